"""Ask the server about the workflow that runs now."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from comfy_execution.graph_utils import is_link
from comfy_execution.utils import get_executing_context


@dataclass(frozen=True)
class Place:
    """Say where something runs: by the ids of the prompt and of the node, and by the node's mark; each "" outside of a server."""

    prompt: str = ""
    node: str = ""
    mark: str = ""


def executing_node() -> str:
    """Give the id of the node that is being executed, as the frontend knows it ("5:12": node 12 in the subgraph of node 5); "" outside of a server."""
    context = get_executing_context()
    return "" if context is None else str(context.node_id)


def executing_place() -> Place:
    """Say where this runs."""
    context = get_executing_context()
    node, marks = _marks()
    return Place() if context is None else Place(str(context.prompt_id), executing_node(), marks.get(node, ""))


def marks_before() -> set[str]:
    """List the marks of all nodes that the node being executed depends on; none outside of a server."""
    node, marks = _marks()
    # What stands inside of an expanded node may depend on all else inside of it.
    return {mark for name, mark in marks.items() if name != node or node != executing_node()}


def contains_node(class_type: str) -> bool:
    """Tell whether the workflow being executed has a node of this type; False outside a server."""
    return any(node.get("class_type") == class_type for prompt in _running() for node in prompt.values() if isinstance(node, dict))


def _marks() -> tuple[str, dict[str, str]]:
    """Give the id of the node being executed, and the marks of it and of all nodes that it depends on.

    A node's mark is the same wherever and whenever such a node has the same inputs, back to the first nodes. By the same rule the host hands out outputs
    of earlier prompts (comfy_execution/caching.py, CacheKeySetInputSignature). Of a node that another one expanded to ("20.0.0.7",
    comfy_execution/graph_utils.py) that one's id and mark are given: itself it is in no workflow.
    """
    executing = executing_node()
    names = (executing, executing.split(".")[0])
    prompt, node = next(((prompt, name) for prompt in _running() for name in names if name in prompt), ({}, ""))
    marks: dict[str, str] = {}
    met: set[str] = set()
    waiting = [node] if node else []
    while waiting:
        body = prompt.get(waiting[-1]) or {}
        links = {name: value for name, value in body.get("inputs", {}).items() if is_link(value)}
        before = {name for name, _ in links.values()} - met if waiting[-1] not in met else set()
        met.add(waiting[-1])
        waiting += before
        if not before:
            inputs = {**body.get("inputs", {}), **{name: [marks.get(other, ""), output] for name, (other, output) in links.items()}}
            written = json.dumps([body.get("class_type"), inputs], sort_keys=True, default=str)
            marks[waiting.pop()] = sha256(written.encode()).hexdigest()
    return node, marks


def _running() -> list[dict[str, Any]]:
    """List the workflows being executed: the queue holds them as they were sent (execution.py, currently_running: number, id, prompt, ...)."""
    server = sys.modules.get("server")
    instance = getattr(getattr(server, "PromptServer", None), "instance", None)
    queue = getattr(instance, "prompt_queue", None)
    running = getattr(queue, "currently_running", None)
    if not running:
        return []
    items = [item for item in list(running.values()) if isinstance(item, (tuple, list)) and len(item) > 2]
    return [item[2] for item in items if isinstance(item[2], dict)]
