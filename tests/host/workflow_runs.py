"""Stand for a server that runs a workflow, for tests of what runs leave behind for each other; the server tier has the real one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from avert.nodes.report import AvertReport
from avert.vlm.transcript import Transcript, read_transcripts
from comfy_execution.utils import CurrentNodeContext


class Workflow:
    """Run nodes of one workflow by hand, in prompts that follow each other (server.PromptServer.instance.prompt_queue.currently_running)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, links: dict[str, Sequence[str]]) -> None:
        """links: of each node those whose outputs it takes."""
        self.prompt: dict[str, dict[str, Any]] = {
            name: {"class_type": "Node", "inputs": {"seed": int(name), **{f"input_{i}": [one, 0] for i, one in enumerate(before)}}}
            for name, before in links.items()
        }
        self.queued = 0
        self._queue = SimpleNamespace(currently_running={})
        server = ModuleType("server")
        server.PromptServer = SimpleNamespace(instance=SimpleNamespace(prompt_queue=self._queue))  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "server", server)
        self.queue()

    def queue(self, node: str = "", **inputs: Any) -> None:
        """Change a node's inputs, and begin with the next prompt."""
        self.queued += 1
        self.prompt = json.loads(json.dumps(self.prompt))
        if node:
            self.prompt[node]["inputs"] |= inputs
        self._queue.currently_running = {0: (self.queued, f"prompt {self.queued}", self.prompt, {}, [])}

    def node(self, name: str) -> CurrentNodeContext:
        """Be this node."""
        return CurrentNodeContext(f"prompt {self.queued}", name)

    def report(self, name: str, model: Any, latent: Any) -> dict[str, Any]:
        """Run Avert Report there, and give what it shows as JSON, with what is saved in pictures under `saved`."""
        saved: dict[str, Any] = {}

        class Prepared(AvertReport):
            hidden = type("Hidden", (), {"extra_pnginfo": saved, "prompt": None})()

        with self.node(name):
            shown: dict[str, Any] = json.loads(Prepared.execute(model, {"samples": latent}).args[4])
        return {**shown, "saved": saved.get("avert", {}).get("watched", [])}


def known(report: dict[str, Any], label: str = "test") -> tuple[Transcript, ...]:
    """Read what a report saved in pictures as `replay` reads it."""
    return read_transcripts(json.dumps({"watched": report["saved"]}), label)


def words(report: dict[str, Any]) -> list[list[str]]:
    """List what was to be avoided, in the runs of which a report saved transcripts."""
    return [entry["negative"] for told in report["saved"] for entry in told["entries"] if entry["negative"]]
