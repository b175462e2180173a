"""Check what the harness keeps in files that outlive a crash, and what it makes of a server's answers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from avert.benchmarks.harness.pairs import Pair
from avert.benchmarks.harness.pictures import Job, Pictures, all_jobs, as_png, failure_of, picture_of, reason_of
from avert.benchmarks.harness.records import Records, put_text
from avert.benchmarks.harness.server import Server
from avert.benchmarks.harness.trouble import UserError, short
from avert.benchmarks.harness.workflow import read_workflow
from PIL import Image

from tiers import ROOT

PAIR = Pair(7, "vehicle", "a bicycle", "wheels", "Is there a bicycle?", "Does it have wheels?")
NODES: dict[str, Any] = {
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "%positive%, photograph"}, "_meta": {"title": "Prompt"}},
    "3": {"class_type": "AvertNegativePrompt", "inputs": {"clip": ["1", 1], "text": "%negative%"}},
    "8": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 8, "positive": ["2", 0], "flag": True}},
    "10": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}, "_meta": {"title": "Save"}},
}


def write_workflow(folder: Path, nodes: Any = NODES, name: str = "mine.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(nodes), encoding="utf-8")
    return path


def changed(**inputs: dict[str, Any]) -> dict[str, Any]:
    """Give the nodes with other inputs, by node: n8={"seed": 3}."""
    nodes = json.loads(json.dumps(NODES))
    for node, values in inputs.items():
        nodes[node[1:]]["inputs"] |= values
    return nodes


# Files


def test_torn_lines_are_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    records = Records(path, ("key",))
    records.add({"key": "a", "text": "\u96ea\n"})
    records.add({"key": "b"})
    with path.open("ab") as file:
        file.write(b'nonsense\n{"other": 1}\n[1]\n{"key": "c')
    again = Records(path, ("key",))
    assert [record["key"] for record in again.lines] == ["a", "b"] and again.lines[0]["text"] == "\u96ea\n"
    again.add({"key": "d"})
    assert [record["key"] for record in Records(path, ("key",)).lines] == ["a", "b", "d"]
    assert path.read_bytes().endswith(b'[1]\n{"key": "d"}\n')


def test_files_are_put_in_place_whole(tmp_path: Path) -> None:
    put_text(tmp_path / "a" / "b.md", "one\n")
    put_text(tmp_path / "a" / "b.md", "two\n")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.md"] and (tmp_path / "a" / "b.md").read_bytes() == b"two\n"


def png(colour: tuple[int, ...], mode: str = "RGB") -> bytes:
    data = io.BytesIO()
    Image.new(mode, (4, 4), colour).save(data, "PNG")
    return data.getvalue()


def test_pictures_are_known_while_they_are_as_they_were_made(tmp_path: Path) -> None:
    first = Job(read_workflow(write_workflow(tmp_path)), PAIR, 0)
    other = Job(read_workflow(write_workflow(tmp_path, changed(n8={"steps": 9}))), PAIR, 0)
    Pictures(tmp_path).keep(first, png((1, 2, 3)), "id")
    shown = Pictures(tmp_path).shown(first)
    assert shown is not None and shown.path == tmp_path / "pictures" / "mine" / "7_0.png"
    assert Pictures(tmp_path).shown(other) is None
    # The other one takes its place; going back makes it anew.
    Pictures(tmp_path).keep(other, png((4, 5, 6)), "id")
    assert Pictures(tmp_path).shown(other) is not None and Pictures(tmp_path).shown(first) is None
    shown.path.write_bytes(png((7, 7, 7)))
    assert Pictures(tmp_path).shown(other) is None
    shown.path.unlink()
    assert Pictures(tmp_path).shown(other) is None


def test_pictures_are_kept_in_one_form(tmp_path: Path) -> None:
    job = Job(read_workflow(write_workflow(tmp_path)), PAIR, 0)
    with Image.open(io.BytesIO(as_png(png((9, 8, 7, 255), "RGBA"), job))) as picture:
        assert picture.mode == "RGB" and picture.getpixel((0, 0)) == (9, 8, 7) and not picture.info
    with pytest.raises(UserError, match="mine made cannot be read"):
        as_png(b"<html>", job)


def test_each_workflow_is_tried_first(tmp_path: Path) -> None:
    workflows = [read_workflow(write_workflow(tmp_path, name=f"{name}.json")) for name in "abc"]
    jobs = all_jobs(workflows, [PAIR, Pair(8, "c", "p", "n", "?", "?")], 2)
    told = [(job.workflow.name, job.pair.number, job.turn) for job in jobs]
    assert told[:3] == [("a", 7, 0), ("b", 7, 0), ("c", 7, 0)] and len(set(told)) == 12
    assert [name for name, _, _ in told[3:]] == [*"aaabbbccc"]


# What the server says


def entry(outputs: Any, *messages: Any, status: str = "success") -> dict[str, Any]:
    return {"outputs": outputs, "status": {"status_str": status, "messages": list(messages)}}


SAVED = {"filename": "a.png", "subfolder": "", "type": "output"}
SEEN = {**SAVED, "type": "temp"}


def test_the_saved_picture_is_taken(tmp_path: Path) -> None:
    workflow = read_workflow(write_workflow(tmp_path))
    assert picture_of(entry({"9": {"images": [SEEN]}, "10": {"images": [SAVED, SEEN]}, "4": {"text": ["x"]}}), workflow) == SAVED
    assert picture_of(entry({"9": {"images": [SEEN]}}), workflow) == SEEN


def test_unclear_pictures_are_refused(tmp_path: Path) -> None:
    workflow = read_workflow(write_workflow(tmp_path))
    two = {"3": {"images": [SAVED]}, "10": {"images": [SAVED]}}
    with pytest.raises(UserError, match=r"node 3 \(AvertNegativePrompt\) and node 10 \(SaveImage, 'Save'\)"):
        picture_of(entry(two), workflow)
    for outputs in ({}, None, {"10": None}, {"10": {"images": [{}]}}, {"10": {"images": "x"}}, {"4": {"text": ["x"]}}):
        with pytest.raises(UserError, match="shows no picture"):
            picture_of(entry(outputs), workflow)
    nodes = json.loads(json.dumps(NODES))
    nodes["3"]["_meta"] = {"title": "this %picture%"}
    marked = read_workflow(write_workflow(tmp_path, nodes))
    assert picture_of(entry({"3": {"images": [SEEN]}, "10": {"images": [SAVED]}}), marked) == SEEN
    with pytest.raises(UserError, match="no picture in the node whose title"):
        picture_of(entry({"10": {"images": [SAVED]}}), marked)


def test_refusals_and_failures_name_node_and_message(tmp_path: Path) -> None:
    workflow = read_workflow(write_workflow(tmp_path))
    errors = {"10": {"errors": [{"message": "Value not in list", "details": "x:\n 'y' not in []"}]}}
    assert reason_of({"node_errors": errors}, workflow) == "node 10 (SaveImage, 'Save'): Value not in list: x: 'y' not in []"
    assert reason_of({"error": {"message": "Prompt has no outputs", "details": ""}, "node_errors": {}}, workflow) == "Prompt has no outputs"
    assert reason_of({"error": "no"}, workflow) == "no" and reason_of([1], workflow) == reason_of({}, workflow) == "it does not say why"
    broken = ["execution_error", {"node_id": "8", "node_type": "KSampler", "exception_message": "out\nof memory\n"}]
    assert failure_of(entry({}, broken), workflow) == "The workflow mine failed in node 8 (KSampler): out of memory."
    assert "cancelled" in str(failure_of(entry({}, ["execution_interrupted", {}]), workflow))
    assert "does not say why" in str(failure_of(entry({}, status="error"), workflow))
    assert failure_of(entry({}, ["execution_success", {}]), workflow) is None and failure_of({}, workflow) is None


@pytest.mark.parametrize("address", ["ftp://x", "http://", "http://[x", "http://x:99999999", "http://x:y", ""])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(UserError, match="no address"):
        Server(address)


def test_addresses_may_be_short() -> None:
    assert Server("localhost:8188").url == "http://localhost:8188" and Server("https://x/comfy/").url == "https://x/comfy"


def test_what_others_wrote_becomes_one_line() -> None:
    assert short("a\n\x1b[31m b" + "c" * 999, 20) == "a [31m bccccccccc..." and short(None) == "None"


def test_pictures_need_neither_torch_nor_the_host() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import pack; pack.open_pack(); import avert.benchmarks.harness.command"
    code += "; print({'torch', 'numpy', 'transformers', 'comfy'} & set(sys.modules))"
    command = [sys.executable, "-c", code, str(ROOT / "benchmarks")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "set()"
