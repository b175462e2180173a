"""Start a real host process with the pack linked into it, and talk to it as a user's program would: over HTTP on loopback."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
START_SECONDS = 120.0
PROMPT_SECONDS = 180.0
REQUEST_SECONDS = 30.0
LINK_NAME = "avert"
# The environment may name a proxy, which could not reach this machine's loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PromptRejected(Exception):
    """The host refused a prompt before it ran; `text` is what the user reads."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        errors = [e for node in (answer.get("node_errors") or {}).values() for e in node.get("errors", [])]
        lines = [f"{e.get('message')}: {e.get('details')}" for e in errors]
        super().__init__("\n".join(lines) or json.dumps(answer))
        self.text = str(self)


@dataclass
class Result:
    """What the history says about one prompt."""

    prompt_id: str
    entry: dict[str, Any] = field(repr=False)

    @property
    def status(self) -> str:
        """Give "success" or "error"."""
        return str(self.entry["status"]["status_str"])

    @property
    def outputs(self) -> dict[str, Any]:
        """Give the outputs by node id."""
        return dict(self.entry["outputs"])

    def message(self, kind: str) -> dict[str, Any] | None:
        """Find the first message of a kind, such as execution_error."""
        return next((body for name, body in self.entry["status"]["messages"] if name == kind), None)

    @property
    def error(self) -> str:
        """Give the text of the error dialog, or an empty string."""
        body = self.message("execution_error")
        return str(body["exception_message"]).strip() if body else ""

    @property
    def was_interrupted(self) -> bool:
        """Tell whether the prompt was cancelled."""
        return self.message("execution_interrupted") is not None

    def images(self) -> list[dict[str, str]]:
        """List the saved pictures."""
        return [image for node in self.outputs.values() for image in node.get("images", []) if image.get("type") == "output"]


def free_port() -> int:
    """Find a free port on loopback."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def decode(data: bytes) -> Any:
    """Decode a picture to an integer array [H, W, C], so that metadata in the file does not count."""
    import numpy
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return numpy.asarray(picture.convert("RGB")).astype(numpy.int16)


class HostServer:
    """Run one host process; `base` holds its models, custom nodes, output and log."""

    def __init__(self, host: Path, base: Path, pack: Path, arguments: tuple[str, ...] = ()) -> None:
        self.host, self.base, self.pack, self.arguments = host, base, pack, arguments
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.log_file = base / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.startup_log = ""

    # -- life ---------------------------------------------------------------------------------------------------------
    def command(self) -> list[str]:
        """Give the command line; every option exists on both hosts."""
        database = (self.base / "comfyui.db").as_posix()
        return [
            sys.executable, "main.py", "--cpu", "--use-pytorch-cross-attention", "--listen", LOOPBACK, "--port", str(self.port),
            "--base-directory", str(self.base), "--database-url", f"sqlite:///{database}", "--disable-auto-launch", "--disable-api-nodes",
            *self.arguments,
        ]  # fmt: skip

    def start(self) -> None:
        """Start the process and wait until it answers, or raise with the end of its log."""
        for folder in ("custom_nodes", "models", "input", "output", "temp", "user"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        link = self.base / "custom_nodes" / LINK_NAME
        if not link.exists():
            link.symlink_to(self.pack, target_is_directory=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        # One thread: on a busy machine threads that wait for each other make a tiny model fifty times slower.
        environment.setdefault("OMP_NUM_THREADS", "1")
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.host, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                code = self.process.returncode if self.process else None
                raise RuntimeError(f"the host ended at start with code {code}; the end of its log:\n{self.log_tail()}")
            try:
                self.get("/system_stats", seconds=5)
                self.startup_log = self.log()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        self.stop()
        raise RuntimeError(f"the host did not answer within {START_SECONDS:.0f} s; the end of its log:\n{self.log_tail()}")

    def stop(self) -> None:
        """End the process that `start` started."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def log(self) -> str:
        """Read the whole log."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        """Read the end of the log."""
        return "\n".join(self.log().splitlines()[-lines:])

    # -- requests -----------------------------------------------------------------------------------------------------
    def request(self, path: str, body: dict[str, Any] | None = None, seconds: float = REQUEST_SECONDS) -> bytes:
        """Send GET, or POST with a JSON body, and return the answer's bytes."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        with _opener.open(urllib.request.Request(self.url + path, data=data, headers=headers), timeout=seconds) as answer:
            return bytes(answer.read())

    def get(self, path: str, seconds: float = REQUEST_SECONDS) -> Any:
        """GET and decode JSON."""
        return json.loads(self.request(path, seconds=seconds))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON; decode the answer when there is one."""
        answer = self.request(path, body)
        return json.loads(answer) if answer.strip() else None

    def object_info(self) -> dict[str, Any]:
        """Give the description of every node."""
        return dict(self.get("/object_info", seconds=60))

    def view(self, image: dict[str, str]) -> bytes:
        """Fetch a picture as the frontend does."""
        return self.request("/view?" + urllib.parse.urlencode({k: image[k] for k in ("filename", "subfolder", "type")}))

    # -- prompts ------------------------------------------------------------------------------------------------------
    def submit(self, prompt: dict[str, Any]) -> str:
        """Queue a prompt and return its id; raise PromptRejected when the host refuses it."""
        try:
            return str(self.post("/prompt", {"prompt": prompt})["prompt_id"])
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            if error.code != 400:
                raise RuntimeError(f"the host answered {error.code} to a prompt: {text}\n{self.log_tail()}") from error
            raise PromptRejected(json.loads(text)) from None

    def wait(self, prompt_id: str, seconds: float = PROMPT_SECONDS) -> Result:
        """Wait until the prompt is in the history."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None:
                return Result(prompt_id, entry)
            time.sleep(0.05)
        raise TimeoutError(f"a prompt did not end within {seconds:.0f} s; the end of the log:\n{self.log_tail()}")

    def run(self, prompt: dict[str, Any], seconds: float = PROMPT_SECONDS) -> Result:
        """Queue a prompt and wait for its end."""
        return self.wait(self.submit(prompt), seconds)

    def picture(self, prompt: dict[str, Any]) -> Any:
        """Run a prompt that must succeed and return its first saved picture [H, W, 3]."""
        result = self.run(prompt)
        if result.status != "success":
            raise AssertionError(f"the prompt failed: {result.error}\n{self.log_tail()}")
        return decode(self.view(result.images()[0]))

    def running(self) -> list[str]:
        """List the ids of the prompts that run now."""
        return [item[1] for item in self.get("/queue")["queue_running"]]
