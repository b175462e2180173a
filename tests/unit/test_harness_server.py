"""Check how the harness lives with a server that is slow, silent, restarted or strange: against a small one of our own."""

from __future__ import annotations

import io
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from avert.benchmarks.harness import server as harness_server
from avert.benchmarks.harness.pairs import Pair
from avert.benchmarks.harness.pictures import Job, fetch, make_all
from avert.benchmarks.harness.server import Server
from avert.benchmarks.harness.trouble import UserError
from avert.benchmarks.harness.workflow import Workflow
from PIL import Image

NODES = {
    "1": {"class_type": "KSampler", "inputs": {"seed": 0, "text": "%positive%"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}
SAVED = {"2": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}}


class Fake:
    """Stand in for the host: `drop` answers are lost after they took effect, `forget` loses what is queued, `fail` fails so many prompts."""

    def __init__(self) -> None:
        self.history: dict[str, Any] = {}
        self.queued: list[str] = []
        self.submitted: list[dict[str, Any]] = []
        self.drop = self.fail = 0
        self.forget = self.hold = self.lost_file = self.strange = False

    def get(self, path: str) -> tuple[int, bytes]:
        if self.strange:
            return 200, b"<html>"
        if path == "/queue":
            return 200, json.dumps({"queue_running": [[0, one] for one in self.queued], "queue_pending": []}).encode()
        if path.startswith("/history/"):
            name = path.rsplit("/", 1)[1]
            return 200, json.dumps({name: self.history[name]} if name in self.history else {}).encode()
        if self.lost_file:
            return 404, b""
        data = io.BytesIO()
        Image.new("RGB", (4, 4), (len(self.submitted), 0, 0)).save(data, "PNG")
        return 200, data.getvalue()

    def submit(self, body: dict[str, Any]) -> tuple[int, bytes]:
        self.submitted.append(body["prompt"])
        name = str(body["prompt_id"])
        if self.hold:
            self.queued.append(name)
        elif not self.forget:
            self.history[name] = {"outputs": SAVED, "status": {"status_str": "success", "messages": []}}
            if self.fail:
                self.fail -= 1
                messages = [["execution_error", {"node_id": "1", "exception_message": "no room"}]]
                self.history[name] = {"outputs": {}, "status": {"status_str": "error", "messages": messages}}
        return 200, json.dumps({"prompt_id": name}).encode()


def handler_of(fake: Fake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, code: int, body: bytes) -> None:
            if fake.drop and self.command == "POST":
                fake.drop -= 1
                self.close_connection = True
                return
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(*fake.get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(*fake.submit(body))

        def log_message(self, *words: Any) -> None:
            return

    return Handler


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Fake, str]]:
    """Give a host and its address; waiting is short."""
    monkeypatch.setattr(harness_server, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(harness_server, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(harness_server, "QUEUE_SECONDS", 0.1)
    host = Fake()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(host))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host, f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def jobs(count: int = 1) -> list[Job]:
    flow = Workflow("mine", NODES, (("1", "seed"),), frozenset())
    return [Job(flow, Pair(number, "c", f"thing {number}", "hat", "?", "?"), 0) for number in range(count)]


def make(fake: tuple[Fake, str], out: Path, count: int = 1) -> list[Any]:
    return make_all(jobs(count), out, fake[1], lambda line: None)


def test_pictures_are_made_once(fake: tuple[Fake, str], tmp_path: Path) -> None:
    assert len(make(fake, tmp_path, 2)) == 2 and len(make(fake, tmp_path, 3)) == 3
    assert [prompt["1"]["inputs"] for prompt in fake[0].submitted] == [{"seed": 1000 * n, "text": f"thing {n}"} for n in range(3)]
    assert len(make(fake, tmp_path / "other")) == 1 and len(fake[0].submitted) == 4


def test_a_picture_that_was_finished_meanwhile_is_fetched(fake: tuple[Fake, str], tmp_path: Path) -> None:
    make(fake, tmp_path)
    (tmp_path / "runs.jsonl").unlink()
    assert len(make(fake, tmp_path)) == 1 and len(fake[0].submitted) == 1
    fake[0].lost_file = True
    (tmp_path / "runs.jsonl").unlink()
    with pytest.raises(UserError, match="no longer has the picture"):
        make(fake, tmp_path)
    fake[0].lost_file = False
    assert len(make(fake, tmp_path)) == 1 and len(fake[0].submitted) == 2


def test_a_picture_that_is_still_queued_is_waited_for(fake: tuple[Fake, str]) -> None:
    host, space = fake[0], uuid.uuid4()
    host.hold = True
    name = str(uuid.uuid5(space, f"{jobs()[0].key}/0"))
    host.queued.append(name)
    timer = threading.Timer(
        0.4, lambda: (host.history.__setitem__(name, {"outputs": SAVED, "status": {"status_str": "success"}}), host.queued.clear())
    )
    timer.start()
    assert fetch(Server(fake[1]), jobs()[0], space)[1] == name and not host.submitted
    timer.join()


def test_an_answer_that_is_lost_does_not_make_it_twice(fake: tuple[Fake, str], tmp_path: Path) -> None:
    fake[0].drop = 1
    assert len(make(fake, tmp_path)) == 1 and len(fake[0].submitted) == 1


def test_what_failed_is_tried_again_the_next_time(fake: tuple[Fake, str], tmp_path: Path) -> None:
    fake[0].fail = 2
    for count in (1, 2):
        with pytest.raises(UserError, match=r"failed in node 1 \(KSampler\): no room\. Put it right"):
            make(fake, tmp_path)
        assert len(fake[0].submitted) == count
    assert len(make(fake, tmp_path)) == 1 and len(fake[0].submitted) == 3


def test_a_restarted_server_is_told(fake: tuple[Fake, str], tmp_path: Path) -> None:
    fake[0].forget = True
    with pytest.raises(UserError, match="no longer knows the picture"):
        make(fake, tmp_path)


def test_strange_servers_are_told(fake: tuple[Fake, str], tmp_path: Path) -> None:
    fake[0].strange = True
    with pytest.raises(UserError, match="There is no ComfyUI at"):
        make(fake, tmp_path)


def test_a_server_that_falls_silent_is_told(fake: tuple[Fake, str], tmp_path: Path) -> None:
    silent = Server("http://127.0.0.1:9")
    with pytest.raises(UserError, match="does not answer any more"):
        silent.wait("x")
    silent.free()
