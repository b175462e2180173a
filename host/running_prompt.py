"""Ask the server about the workflow that runs now."""

from __future__ import annotations

import sys
from typing import Any

from comfy_execution.utils import get_executing_context


def executing_node() -> str:
    """Give the id of the node that is being executed, as the frontend knows it ("5:12": node 12 in the subgraph of node 5); "" outside of a server."""
    context = get_executing_context()
    return "" if context is None else str(context.node_id)


def contains_node(class_type: str) -> bool:
    """Tell whether the workflow being executed has a node of this type; False outside a server."""
    return any(node.get("class_type") == class_type for prompt in _running() for node in prompt.values() if isinstance(node, dict))


def nodes_before(node: str) -> set[str]:
    """List the ids of all nodes that a node of the running workflow depends on; none outside a server."""
    prompt = next((prompt for prompt in _running() if node in prompt), {})
    found: set[str] = set()
    waiting = [node]
    while waiting:
        inputs = prompt.get(waiting.pop(), {}).get("inputs", {})
        # A link is [node, output].
        linked = {str(value[0]) for value in inputs.values() if isinstance(value, list) and len(value) == 2}
        waiting += linked - found
        found |= linked
    return found


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
