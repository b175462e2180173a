"""Talk to a running ComfyUI over HTTP as its page does: queue a prompt, wait for it, fetch its picture. Its answers are data, nothing more."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .trouble import UserError, short

LOOPBACK = ("127.0.0.1", "localhost", "::1")
REQUEST_SECONDS, MOST_BYTES = 60.0, 512 * 2**20
# A server that loads a model may not answer for a while.
PATIENCE_SECONDS = 30.0
SHORTEST_WAIT, LONGEST_WAIT, QUEUE_SECONDS = 0.05, 1.0, 3.0
GONE = "Start it again, and run the same command once more; what is finished stays."
SILENT = (OSError, http.client.HTTPException)

Entry = dict[str, Any]


class RefusedError(Exception):
    """The server does not take a prompt: its answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__("refused")
        self.answer = answer


class MissingError(Exception):
    """The server has no such picture any more."""


class Server:
    """Ask one server."""

    def __init__(self, url: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
            right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            right = False
        if not right:
            raise UserError(f"{short(url, 100)!r} is no address of a server; give one such as http://127.0.0.1:8188.")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        # A proxy that the system names could not reach this machine's own addresses.
        proxies = [urllib.request.ProxyHandler({})] if parts.hostname in LOOPBACK else []
        self._opener = urllib.request.build_opener(*proxies)

    def check(self) -> None:
        """Find out whether ComfyUI is there."""
        try:
            answer = _decoded(self._bytes("/queue"))
        except (*SILENT, UserError) as error:
            why = getattr(error, "reason", None) or error
            raise UserError(f"There is no ComfyUI at {self.url} ({short(why, 200)}); start it, or name its address by --server.") from error
        if not (isinstance(answer, dict) and "queue_running" in answer):
            raise UserError(f"What answers at {self.url} is no ComfyUI; name its address by --server.")

    def submit(self, prompt: dict[str, Any], wanted: str) -> str:
        """Queue a prompt under an id, and give the id that the server took. Raises RefusedError."""
        body = {"prompt": prompt, "prompt_id": wanted}
        try:
            try:
                answer = _decoded(self._bytes("/prompt", body))
            except urllib.error.HTTPError:
                raise
            except SILENT:
                # It may have come through all the same.
                if self.find(wanted) is not None:
                    return wanted
                answer = _decoded(self._patiently("/prompt", body))
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise self._strange(error) from error
            raise RefusedError(_decoded(error.read(MOST_BYTES))) from error
        taken = answer.get("prompt_id") if isinstance(answer, dict) else None
        if not isinstance(taken, str):
            raise UserError(f"What answers at {self.url} took a workflow without giving it an id; is it ComfyUI?")
        return taken

    def find(self, prompt_id: str) -> Entry | None:
        """Give what became of a prompt: None when the server does not know it, an empty entry while it waits or runs."""
        entry = self._history(prompt_id)
        if entry is None and self._is_queued(prompt_id):
            return {}
        # It may have ended between the two questions.
        return entry if entry is not None else self._history(prompt_id)

    def wait(self, prompt_id: str) -> Entry:
        """Wait for the end of a prompt, however long it takes."""
        began = asked = time.monotonic()
        while True:
            entry = self._history(prompt_id)
            now = time.monotonic()
            if entry is None and now - asked > QUEUE_SECONDS:
                asked, entry = now, self.find(prompt_id)
                if entry is None:
                    raise UserError(
                        f"ComfyUI at {self.url} no longer knows the picture that it was to make; it was restarted, or its queue was cleared. "
                        "Run the same command once more; what is finished stays."
                    )
            if entry:
                return entry
            time.sleep(min(max(SHORTEST_WAIT, (now - began) / 20), LONGEST_WAIT))

    def view(self, image: dict[str, Any]) -> bytes:
        """Fetch a picture. Raises MissingError when it is no longer there."""
        query = urllib.parse.urlencode({name: str(image.get(name, "")) for name in ("filename", "subfolder", "type")})
        try:
            return self._patiently(f"/view?{query}")
        except urllib.error.HTTPError as error:
            raise MissingError(f"{error.code}") from error

    def free(self) -> None:
        """Ask the server to put its models away, so that the judge has room; nothing follows when it does not."""
        try:
            self._bytes("/free", {"unload_models": True, "free_memory": True}, seconds=5)
        except SILENT:
            return

    def _history(self, prompt_id: str) -> Entry | None:
        answer = self._patient(f"/history/{urllib.parse.quote(prompt_id, safe='')}")
        entry = answer.get(prompt_id) if isinstance(answer, dict) else None
        return entry if isinstance(entry, dict) and entry else None

    def _is_queued(self, prompt_id: str) -> bool:
        answer = self._patient("/queue")
        lists = [answer.get(name) for name in ("queue_running", "queue_pending")] if isinstance(answer, dict) else []
        return any(isinstance(item, list) and prompt_id in item[1:2] for items in lists if isinstance(items, list) for item in items)

    def _patient(self, path: str) -> Any:
        try:
            return _decoded(self._patiently(path))
        except urllib.error.HTTPError as error:
            raise self._strange(error) from error

    def _strange(self, error: urllib.error.HTTPError) -> UserError:
        """Say that the server answers with an error of HTTP."""
        said = error.read(MOST_BYTES).decode("utf-8", "replace")
        return UserError(f"ComfyUI at {self.url} answers with error {error.code}: {short(said or error.reason)}")

    def _patiently(self, path: str, body: Any = None) -> bytes:
        """Ask again while the server is silent, for a while."""
        began = time.monotonic()
        while True:
            try:
                return self._bytes(path, body)
            except urllib.error.HTTPError:
                raise
            except SILENT as error:
                if time.monotonic() - began > PATIENCE_SECONDS:
                    why = getattr(error, "reason", None) or error
                    raise UserError(f"ComfyUI at {self.url} does not answer any more ({short(why, 200)}). {GONE}") from error
                time.sleep(LONGEST_WAIT)

    def _bytes(self, path: str, body: Any = None, seconds: float = REQUEST_SECONDS) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._opener.open(urllib.request.Request(self.url + path, data=data, headers=headers), timeout=seconds) as answer:
            return bytes(answer.read(MOST_BYTES))


def _decoded(said: bytes) -> Any:
    try:
        return json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"The server's answer is not JSON, as ComfyUI's would be: {short(said[:200].decode('utf-8', 'replace'))!r}."
        ) from error
