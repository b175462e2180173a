"""Check the panel with real runs: it fills while the server samples, outlives a cancel and a reload, and each tab sees its own runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from avert.tests.server import graphs
from avert.tests.server.hostserver import HostServer

from panel_records import load, look, panel, summary

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUEUE = "async () => { await window.app.queuePrompt(0) }"
CANCEL = "async () => { await (await import('/scripts/api.js')).api.interrupt() }"
SET = """([type, name, value]) => {
    for (const node of window.app.canvas.graph._nodes)
        if (node.type === type) node.widgets.find(widget => widget.name === name).value = value;
}"""
LISTEN = """id => {
    const line = document.querySelector(`.avert-panel[data-test="${id}"] .avert-summary`);
    window.avertLines = [];
    new MutationObserver(() => window.avertLines.push(line.textContent)).observe(line, {childList: true, characterData: true, subtree: true});
}"""
IDLE = """async () => {
    const queue = await (await (await import('/scripts/api.js')).api.fetchApi('/queue')).json();
    return queue.queue_running.length + queue.queue_pending.length === 0;
}"""
GRAPH = "() => window.app.canvas.graph.serialize()"
SECONDS = 60.0


def node_of(workflow: dict[str, Any], kind: str) -> str:
    return str(next(node["id"] for node in workflow["nodes"] if node["type"] == kind))


def opened(page: Page, name: str, seed: int, steps: int | None = None) -> dict[str, Any]:
    """Open a demo workflow with a seed of its own, so that the server has nothing of it yet, when the run before has wholly ended."""
    page.wait_for_function(IDLE, timeout=SECONDS * 1000)
    page.wait_for_timeout(300)
    workflow = graphs.graph(name)
    load(page, workflow)
    page.evaluate(SET, ["KSampler", "seed", seed])
    page.evaluate(SET, ["KSampler", "control_after_generate", "fixed"])
    if steps is not None:
        page.evaluate(SET, ["KSampler", "steps", steps])
    return workflow


def until(page: Page, node: str, wanted: str, server: HostServer) -> str:
    """Wait until the panel's line says what is wanted."""
    line, deadline = "", time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        line = summary(page, node)
        if wanted in line:
            return line
        page.wait_for_timeout(100)
    raise AssertionError(f"the panel never said {wanted!r}, but {line!r}\n{server.log_tail()}")


def test_a_run_fills_the_panel_while_it_goes_on(page: Page, server: HostServer, thrown: list[str], drawn: str) -> None:
    workflow = opened(page, "report_demo", 7001 + (drawn == "page"), steps=100)
    report, guide = node_of(workflow, "AvertReport"), node_of(workflow, "AvertVSF")
    look(page, report)
    summary(page, report)
    page.evaluate(LISTEN, report)
    page.evaluate(QUEUE)
    # The frontend may show the last run of the same workflow until then.
    page.wait_for_function("() => window.avertLines.some(line => line.includes('of 100'))", timeout=SECONDS * 1000)
    until(page, report, "100 steps", server)
    live = [line.replace("\u00a0", " ") for line in page.evaluate("() => window.avertLines")]
    assert sum("of 100" in line for line in live) >= 3, live
    assert summary(page, guide).startswith("100 steps")
    it = panel(page, report)
    assert it.locator(".avert-chart").count() == 2
    assert len(it.locator(".avert-line").first.get_attribute("points").split()) >= 30
    assert it.locator("canvas").first.is_visible()
    assert thrown == []


@pytest.mark.slow
def test_cancelled_in_mid_run_and_queued_again(page: Page, server: HostServer, thrown: list[str]) -> None:
    workflow = opened(page, "report_demo", 7003, steps=2000)
    guide = node_of(workflow, "AvertVSF")
    look(page, guide)
    page.evaluate(QUEUE)
    until(page, guide, "of 2000", server)
    page.evaluate(CANCEL)
    assert "stopped at step" in until(page, guide, "stopped", server)
    page.evaluate(SET, ["KSampler", "steps", 8])
    page.evaluate(QUEUE)
    until(page, guide, "8 steps", server)
    assert thrown == []


def test_what_a_vision_language_model_saw_is_a_filmstrip(page: Page, server: HostServer, thrown: list[str]) -> None:
    workflow = opened(page, "vlm_negative_demo", 7004)
    report = node_of(workflow, "AvertReport")
    look(page, report)
    page.evaluate(QUEUE)
    until(page, report, "8 steps", server)
    film = panel(page, report).locator(".avert-film img")
    assert film.count() >= 1 and film.first.evaluate("it => it.naturalWidth") > 0
    assert thrown == []


def test_a_saved_run_comes_back_after_a_reload(page: Page, server: HostServer) -> None:
    workflow = opened(page, "report_demo", 7005)
    report = node_of(workflow, "AvertReport")
    look(page, report)
    page.evaluate(QUEUE)
    until(page, report, "8 steps", server)
    line = summary(page, report)
    page.wait_for_timeout(1000)
    saved = page.evaluate(GRAPH)
    page.reload()
    page.wait_for_function(
        "() => 'AvertVSF' in (window.LiteGraph?.registered_node_types ?? {}) && window.app?.canvas?.graph?._nodes?.length > 0"
    )
    load(page, saved)
    look(page, report)
    assert summary(page, report) == line
    assert panel(page, report).locator(".avert-chart").count() == 2


@pytest.mark.slow
def test_another_tab_does_not_show_this_ones_run(page: Page, server: HostServer) -> None:
    browser = page.context.browser
    assert browser is not None
    other = browser.new_page()
    try:
        other.route(lambda url: not url.startswith((server.url, "data:", "blob:")), lambda route: route.abort())
        other.goto(server.url)
        ready = "() => 'AvertVSF' in (window.LiteGraph?.registered_node_types ?? {}) && window.app?.canvas?.graph?._nodes?.length > 0"
        other.wait_for_function(ready, timeout=60_000)
        other.set_default_timeout(30_000)
        workflow = opened(other, "report_demo", 1)
        opened(page, "report_demo", 7006)
        report = node_of(workflow, "AvertReport")
        look(page, report)
        page.evaluate(QUEUE)
        until(page, report, "8 steps", server)
        look(other, report)
        assert "no run yet" in summary(other, report)
    finally:
        other.close()


@pytest.mark.parametrize("name", ["dng_demo", pytest.param("sld_demo", marks=pytest.mark.slow)])
def test_mechanisms_on_predictions_show_their_strength(page: Page, server: HostServer, thrown: list[str], name: str) -> None:
    workflow = opened(page, name, 7007)
    report = node_of(workflow, "AvertReport")
    look(page, report)
    page.evaluate(QUEUE)
    until(page, report, "steps", server)
    assert "strength" in panel(page, report).inner_text().lower()
    assert thrown == []
