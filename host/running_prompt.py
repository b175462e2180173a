"""Ask the server whether the workflow that runs now contains a node that wants something costly to be recorded."""

from __future__ import annotations

import sys


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
