"""Make the strip through a real ComfyUI server: queue `workflows/compare_demo` once for each example, as an API user would."""

from __future__ import annotations

import copy
import io
import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from .seen import EXAMPLES, Count, Example, count, table, to_tensor
from .strip import strip

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / "workflows" / "api" / "compare_demo_api.json"
WAYS = ("Without", "VSF", "NAG", "NASA")
MAP = "VSF: attention on the negative, step by step"
REPORT = "VSF: report"


def _titled(workflow: dict[str, Any], title: str) -> str:
    return next(key for key, node in workflow.items() if node["_meta"]["title"] == title)


def _workflow(example: Example) -> dict[str, Any]:
    """Put an example's texts into the workflow."""
    workflow = copy.deepcopy(json.loads(WORKFLOW.read_text(encoding="utf-8")))
    workflow[_titled(workflow, "Prompt")]["inputs"]["text"] = example[0]
    workflow[_titled(workflow, "What to avoid")]["inputs"]["text"] = example[2]
    return workflow


def _pictures(server: Any, result: Any, key: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(server.view(image))) for image in result.outputs[key]["images"]]


def _saved(workflow: dict[str, Any], way: str) -> str:
    return next(key for key, node in workflow.items() if node["class_type"] == "SaveImage" and node["_meta"]["title"] == way)


def make(output: Path) -> str:
    """Start the host, queue the workflows, write the strip and the last report, and return what was measured."""
    from avert.tests.server.hostserver import HostServer

    from tiers import find_host

    counts, rows, report = dict.fromkeys(WAYS, Count(0, 0, 0)), [], ""
    host = find_host()
    assert host is not None
    output.mkdir(exist_ok=True)
    with _running(HostServer, host) as server:
        started = time.perf_counter()
        for example in EXAMPLES:
            workflow = _workflow(example)
            result = server.wait(server.submit({key: {k: v for k, v in node.items() if k != "_meta"} for key, node in workflow.items()}))
            if result.status != "success":
                raise RuntimeError(f"The workflow failed: {result.error}")
            row = {way: _pictures(server, result, _saved(workflow, way)) for way in WAYS}
            for way, pictures in row.items():
                counts[way] = counts[way] + count(example, to_tensor(pictures))
            maps = _pictures(server, result, _titled(workflow, MAP))
            # The maps of the first picture come first, one for each step: its middle one.
            middle = len(maps) // len(row[WAYS[0]]) // 2
            rows.append((f"{example[0]}\nnot: {example[2]}", [*(pictures[0] for pictures in row.values()), maps[middle]]))
            report = report or "\n".join(result.outputs[_titled(workflow, REPORT)]["text"])
        seconds = time.perf_counter() - started
    strip([*WAYS, "VSF: attention on it"], rows).save(output / "strip.png")
    (output / "report.txt").write_text(report + "\n", encoding="utf-8")
    drawn = sum(found.pictures for found in counts.values())
    return f"{report}\n\n{table(counts, {})}\n\n{drawn} pictures in {seconds:.0f} s.\n\nWritten: {output / 'strip.png'}, {output / 'report.txt'}"


@contextmanager
def _running(server_class: Any, host: Path) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        server = server_class(host, Path(folder), ROOT)
        try:
            server.start()
            yield server
        finally:
            server.stop()
