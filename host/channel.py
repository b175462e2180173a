"""The way from a run to the browser that queued it."""

from __future__ import annotations

import sys
from typing import Any

EVENT = "avert.run"


class Channel:
    """Send messages to one client of the server."""

    def __init__(self, server: Any, client: str) -> None:
        self._server = server
        self._client = client

    @property
    def open(self) -> bool:
        """Tell whether the client still listens."""
        return self._client in self._server.sockets

    def send(self, run: str, part: dict[str, Any]) -> None:
        """Send a part of a run's record (host/panel.py says what is in it)."""
        self._server.send_sync(EVENT, {"run": run, "part": part}, self._client)

    def say(self, text: str, node: str) -> None:
        """Show a line of text on a node."""
        self._server.send_progress_text(text, node, self._client)


def open_channel() -> Channel | None:
    """Give the way to the client that queued what runs now; None where nobody listens (no server, the API without a websocket)."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    client = getattr(server, "client_id", None)
    if client is None:
        return None
    channel = Channel(server, client)
    return channel if channel.open else None
