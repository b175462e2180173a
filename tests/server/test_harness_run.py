"""Compare two workflows through the real server as a user does, from the command line: stopped, killed and resumed; refused and failing ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from avert.tests.server.hostserver import HostServer, free_port

from tiers import ROOT

PAIRS, LIMIT = ROOT / "benchmarks" / "pairs_demo.csv", 5
DEMO = ROOT / "workflows" / "api" / "vsf_demo_api.json"
TOTAL = 2 * LIMIT
SECONDS = 400


def workflow(folder: Path, name: str, guided: bool, **others: dict[str, Any]) -> Path:
    """Write the demo's workflow with one picture, and with marks for the prompts; others: other inputs, by node (n8={"steps": 3})."""
    nodes = json.loads(DEMO.read_text(encoding="utf-8"))
    kept = {key: nodes[key] for key in ("1", "2", "3", "4", "5", "6", "8") if guided or key not in ("3", "6")}
    kept |= {"13": nodes["13"], "15": nodes["15"]}
    kept["2"]["inputs"]["text"] = "%positive%"
    kept["5"]["inputs"]["batch_size"] = 1
    kept["8"]["inputs"] |= {"model": ["6" if guided else "1", 0], "steps": 4}
    kept["13"]["inputs"]["samples"] = ["8", 0]
    kept["15"]["inputs"] |= {"images": ["13", 0], "filename_prefix": f"harness/{folder.name}/{name}"}
    if guided:
        kept["3"]["inputs"]["text"] = "%negative%"
    for node, values in others.items():
        kept[node[1:]]["inputs"] |= values
    path = folder / f"{name}.json"
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


def start(address: str, out: Path, host: Path, *workflows: Path, judge: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "negation.py"), "--server", address, "--pairs", str(PAIRS), "--limit", str(LIMIT)]
    command += [word for path in workflows for word in ("--workflow", str(path))]
    command += ["--out", str(out), *(("--judge", "Avert demo", "--ask", "naming") if judge else ())]
    environment = {**os.environ, "COMFYUI_PATH": str(host), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, preexec_fn=heed_interrupts, **pipes)


def heed_interrupts() -> None:
    """Take Ctrl-C as from a terminal: what is started in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def end_at(process: subprocess.Popen[str], path: Path, count: int, end: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """End a process as soon as a file has so many lines; give its exit code and what it complained of."""
    deadline = time.monotonic() + SECONDS
    while lines(path) < count:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.005)
    end(process)
    complaint = process.communicate(timeout=SECONDS)[1]
    return process.returncode, complaint


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    told, complaint = process.communicate(timeout=SECONDS)
    return process.returncode, told, complaint


def stamps(out: Path) -> dict[str, int]:
    """Give the time at which each picture was written."""
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in out.glob("pictures/*/*.png")}


def saved(server: HostServer, folder: Path) -> int:
    """Count the pictures that the server has written for a test."""
    return len(list((server.base / "output" / "harness" / folder.name).glob("*.png")))


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


@pytest.mark.slow
def test_an_interrupted_comparison_ends_as_one_that_was_not(server: HostServer, host_path: Path, tmp_path: Path) -> None:
    """Stopped and killed among the pictures, and killed among the verdicts: nothing is made or judged twice, and the tables are the same."""
    both = (workflow(tmp_path, "without", False), workflow(tmp_path, "vsf", True))
    out, runs, verdicts = tmp_path / "out", tmp_path / "out" / "runs.jsonl", tmp_path / "out" / "verdicts.jsonl"
    code, complaint = end_at(start(server.url, out, host_path, *both, judge=True), runs, 2, interrupt)
    assert code == 130 and complaint.startswith("Stopped.") and 2 <= lines(runs) < TOTAL
    code, _ = end_at(start(server.url, out, host_path, *both, judge=True), runs, 5, kill)
    assert code != 0 and 5 <= lines(runs) < TOTAL
    first = stamps(out)
    with runs.open("ab") as file:
        file.write(b'{"key": "torn')
    end_at(start(server.url, out, host_path, *both, judge=True), verdicts, 1, kill)
    assert lines(runs) == TOTAL == saved(server, tmp_path) and 1 <= lines(verdicts) < TOTAL
    pictures = stamps(out)
    assert len(pictures) == TOTAL and first.items() <= pictures.items()
    judged = verdicts.read_bytes()
    code, told, complaint = finished(start(server.url, out, host_path, *both, judge=True))
    assert code == 0, complaint
    assert stamps(out) == pictures and verdicts.read_bytes().startswith(judged[: judged.rfind(b"\n") + 1]) and lines(verdicts) == TOTAL

    code, _, complaint = finished(start(server.url, tmp_path / "at once", host_path, *both, judge=True))
    assert code == 0, complaint
    for name in ("table.md", "results.json", "contact.jpg"):
        assert (out / name).read_bytes() == (tmp_path / "at once" / name).read_bytes(), name
    check_table(out, told)


def check_table(out: Path, told: str) -> None:
    """The judge sees nearly all things, and nearly all that comes with them where nothing is avoided."""
    table = (out / "table.md").read_text(encoding="utf-8")
    assert table in told and f"| without | {LIMIT} |" in table and f"| vsf | {LIMIT} |" in table
    content = json.loads((out / "results.json").read_text(encoding="utf-8"))["workflows"]
    assert content["without"]["positive"]["value"] >= 0.6 and content["without"]["negative"]["value"] <= 0.4
    assert content["vsf"]["no answer"] == {"positive": 0, "negative": 0, "both": 0}
    plain, guided = (sorted((out / "pictures" / name).glob("*.png")) for name in ("without", "vsf"))
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(plain, guided, strict=True))


@pytest.mark.parametrize(
    ("node", "values", "told"),
    [
        ("n8", {"sampler_name": "none such"}, "refuses the workflow second: node 8 (KSampler, 'With'): Value not in list"),
        ("n6", {"blocks": "none such"}, "The workflow second failed in node 6 (AvertVSF"),
        ("n15", {"images": ["99", 0]}, "refuses the workflow second"),
    ],
)
def test_what_the_server_says_is_one_sentence(
    server: HostServer, host_path: Path, tmp_path: Path, node: str, values: dict[str, Any], told: str
) -> None:
    """A mistake in the last workflow is found at once, after the first picture of the first one, which stays."""
    good, bad = workflow(tmp_path, "first", True), workflow(tmp_path, "second", True, **{node: values})
    code, _, complaint = finished(start(server.url, tmp_path / "out", host_path, good, bad))
    assert code == 1 and told in complaint and complaint.count("\n") == 1, complaint
    assert len(stamps(tmp_path / "out")) == 1 == lines(tmp_path / "out" / "runs.jsonl")


def test_a_server_that_is_not_there_is_one_sentence(host_path: Path, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    code, _, complaint = finished(start(address, tmp_path / "out", host_path, workflow(tmp_path, "one", True)))
    assert code == 1 and complaint.startswith(f"There is no ComfyUI at {address} (") and complaint.count("\n") == 1
