"""Ask the server about the workflow that runs now."""

from __future__ import annotations

import sys

from comfy_execution.utils import get_executing_context


def executing_node() -> str:
    """Give the id of the node that is being executed, as the frontend knows it ("5:12": node 12 in the subgraph of node 5); "" outside of a server."""
    context = get_executing_context()
    return "" if context is None else str(context.node_id)


def contains_node(class_type: str) -> bool:
    """Tell whether the workflow being executed has a node of this type; False outside a server.

    The queue holds the workflow as it was sent (execution.py, PromptQueue.currently_running: number, id, prompt, ...).
    """
    server = sys.modules.get("server")
    instance = getattr(getattr(server, "PromptServer", None), "instance", None)
    queue = getattr(instance, "prompt_queue", None)
    running = getattr(queue, "currently_running", None)
    if not running:
        return False
    items = [item for item in list(running.values()) if isinstance(item, (tuple, list)) and len(item) > 2]
    prompts = [item[2] for item in items if isinstance(item[2], dict)]
    return any(node.get("class_type") == class_type for prompt in prompts for node in prompt.values() if isinstance(node, dict))
