"""Check the pack in the real frontend: the example workflows open, mean what their API forms say, and the report can be read."""

from __future__ import annotations

import copy
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from avert.tests.server import checkpoints as tiny
from avert.tests.server import graphs
from avert.tests.server.hostserver import HostServer
from avert.tests.server.newer import skip_if_too_new

if TYPE_CHECKING:
    from playwright.sync_api import Page

NODES = ("AvertVSF", "AvertNAG", "AvertNASA", "AvertAmplify", "AvertNegativePrompt", "AvertReport", "AvertDemoModel")
LOAD = "async graph => { await window.app.loadGraphData(graph, true, true) }"
PROMPT = "async () => (await window.app.graphToPrompt()).output"
UNKNOWN = "() => window.app.canvas.graph._nodes.map(n => n.type).filter(t => !(t in window.LiteGraph.registered_node_types))"
MISSING = re.compile(r"missing node|nodes? (are|is) missing|node types? (was|were) not found|unknown node", re.IGNORECASE)
STAND_INS = {"ckpt_name": tiny.SD15_CHECKPOINT, "lora_name": tiny.SD15_LORA, "width": 128, "height": 128}
SET_WIDGETS = """values => {
    for (const node of window.app.canvas.graph._nodes)
        for (const widget of node.widgets ?? [])
            if (widget.name in values) widget.value = values[widget.name];
}"""
REPORT = """() => {
    const report = window.app.canvas.graph._nodes.find(n => n.type === 'AvertReport');
    return {pictures: (report.imgs ?? []).length, texts: [...document.querySelectorAll('textarea')].map(t => t.value)};
}"""


def complaints(page: Page) -> list[str]:
    """List unknown node types of the open graph, and what the page says about missing nodes."""
    page.wait_for_timeout(500)
    # The newer frontend counts errors (missing models too) in a corner, and names them in a panel.
    details = page.get_by_role("button", name="View details")
    if details.count() and details.first.is_visible():
        details.first.click()
        page.wait_for_timeout(300)
    return [*page.evaluate(UNKNOWN), *MISSING.findall(page.locator("body").inner_text())]


def test_frontend_knows_every_node(page: Page) -> None:
    """Every node of the pack can be added."""
    known = set(page.evaluate("() => Object.keys(window.LiteGraph.registered_node_types)"))
    assert [name for name in NODES if name not in known] == []


@pytest.mark.parametrize("name", graphs.names())
def test_workflow_opens(page: Page, server: HostServer, thrown: list[str], name: str) -> None:
    """The workflow opens without a missing node, and the frontend would send exactly its API form."""
    info: dict[str, Any] = server.object_info()
    skip_if_too_new(name, info)
    page.evaluate(LOAD, graphs.graph(name))
    assert complaints(page) == []
    assert graphs.known_only(page.evaluate(PROMPT), info) == graphs.api(name)
    assert thrown == []


@pytest.mark.parametrize(
    ("name", "kind", "later"),
    [
        ("vsf_demo", "AvertVSF", ["custom", False]),
        ("nag_demo", "AvertNAG", ["custom", False]),
        ("vsf_demo", "AvertVSF", [False]),
        ("nasa_demo", "AvertNASA", [False]),
    ],
)
def test_workflow_of_an_older_version_opens(
    page: Page, server: HostServer, thrown: list[str], name: str, kind: str, later: list[Any]
) -> None:
    """Before there were presets, and then words_only, their widgets were not saved; it opens with what it did then."""
    graph = copy.deepcopy(graphs.graph(name))
    for item in graph["nodes"]:
        if item["type"] == kind:
            values = item["widgets_values"]
            assert values[-len(later) :] == later
            del values[-len(later) :]
            item.pop("properties")
    page.evaluate(LOAD, graph)
    assert complaints(page) == []
    assert graphs.known_only(page.evaluate(PROMPT), server.object_info()) == graphs.api(name)
    assert thrown == []


def test_report_can_be_read(page: Page, server: HostServer, thrown: list[str], tmp_path: Path) -> None:
    """Queued from the frontend, the run shows the report's plot on its node and its words in the preview."""
    page.evaluate(LOAD, graphs.graph("vsf_sampler_negative_sd15"))
    page.evaluate(SET_WIDGETS, STAND_INS)
    page.evaluate("async () => { await window.app.queuePrompt(0) }")
    shown = _wait_for_report(page, server)
    page.screenshot(path=tmp_path / "report.png")
    assert shown["pictures"] == 1
    assert any("VSF" in text and "share of attention" in text for text in shown["texts"]), shown["texts"]
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert thrown == []


def _wait_for_report(page: Page, server: HostServer, seconds: float = 40.0) -> dict[str, Any]:
    """Wait until the report's node has its picture and some text names the mechanism."""
    deadline = time.monotonic() + seconds
    shown: dict[str, Any] = {}
    while time.monotonic() < deadline:
        shown = page.evaluate(REPORT)
        if shown["pictures"] and any("share of attention" in text for text in shown["texts"]):
            return shown
        page.wait_for_timeout(200)
    raise AssertionError(f"no report within {seconds:.0f} s: {shown}\n{server.log_tail()}")


def test_missing_node_would_be_seen(page: Page) -> None:
    """A node type that nobody has is complained about: else the tests above would pass on anything. Last, since a dialog may stay open."""
    workflow = copy.deepcopy(graphs.graph("nasa_sdxl_lightning"))
    guide = next(item for item in workflow["nodes"] if item["type"] == "AvertNASA")
    guide["type"] = "AvertThatNobodyHas"
    page.evaluate(LOAD, workflow)
    found = complaints(page)
    assert "AvertThatNobodyHas" in found
    assert len(found) > 1, "the page itself says nothing"
