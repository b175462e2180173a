"""Check the live panel in the real frontend, in both of its ways to draw nodes, with recorded messages of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from panel_records import NODES, load, look, opened, panel, part, send, summary, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

ADD = """types => types.map((type, i) => {
    const node = window.LiteGraph.createNode(type);
    node.pos = [(i % 5) * 460, Math.floor(i / 5) * 700];
    window.app.canvas.graph.add(node);
    return String(node.id);
})"""
WIDGET = """id => {
    const widget = window.app.canvas.graph.getNodeById(id).widgets.find(w => w.name === 'avert_panel');
    return widget && [widget.serialize, widget.options.serialize, widget.element.isConnected];
}"""
SIZE = "id => [...window.app.canvas.graph.getNodeById(id).size]"
PIXELS = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.join()"
EMPTY = {"version": 0.4, "nodes": [], "links": [], "groups": [], "config": {}, "extra": {}, "last_node_id": 0, "last_link_id": 0}


def test_every_node_has_a_panel(page: Page, thrown: list[str], drawn: str) -> None:
    """It is there on each, of its fixed height, open on the report only, and neither saved nor sent."""
    load(page, EMPTY)
    ids = page.evaluate(ADD, list(NODES))
    page.wait_for_timeout(500)
    for kind, node in zip(NODES, ids, strict=True):
        look(page, node)
        assert page.evaluate(WIDGET, int(node)) == [False, False, True], kind
        it = panel(page, node)
        is_open = kind == "AvertReport"
        assert it.locator("button.avert-head").get_attribute("aria-expanded") == str(is_open).lower()
        assert it.bounding_box()["height"] == pytest.approx(388 if is_open else 28, abs=1), kind
        assert "no run yet" in summary(page, node)
    assert "No run yet." in panel(page, ids[-1]).locator(".avert-empty").inner_text()
    prompt, saved = page.evaluate("async () => { const it = await window.app.graphToPrompt(); return [it.output, it.workflow] }")
    assert all("avert_panel" not in body["inputs"] for body in prompt.values())
    for item in saved["nodes"]:
        wanted = page.evaluate(
            "id => window.app.canvas.graph.getNodeById(id).widgets.filter(w => w.serialize !== false).length", item["id"]
        )
        assert len(item.get("widgets_values", [])) == wanted
    assert thrown == []


def test_a_run_shows_while_it_goes_on(page: Page, thrown: list[str], drawn: str) -> None:
    """Parts are merged, on the node and on the report downstream; the panel keeps its height."""
    node, report = opened(page)
    before = panel(page, report).bounding_box()["height"], page.evaluate(SIZE, int(report))
    send(page, part(node, 0))
    assert summary(page, report) == summary(page, node) == "step 1 of 8 · share 5.0 % · change 2.0 %"
    send(page, part(node, 1), part(node, 2, notes=["take care"]))
    assert summary(page, report) == summary(page, node) == "step 3 of 8 · share 4.2 % · change 4.0 %"
    it = panel(page, report)
    assert it.locator(".avert-chart").count() == 2
    points = it.locator(".avert-line").first.get_attribute("points")
    assert len(points.split()) == 3
    assert "take care" in it.locator(".avert-notes").inner_text()
    assert (it.bounding_box()["height"], page.evaluate(SIZE, int(report))) == before
    send(page, part(node, 7, finished=True))
    assert summary(page, report).startswith("8 steps")
    assert thrown == []


def test_a_new_run_starts_afresh_and_a_broken_one_says_so(page: Page, thrown: list[str]) -> None:
    node, report = opened(page)
    send(page, *(part(node, step) for step in range(5)), run="first")
    send(page, part(node, 4, finished=False, notes=["The run did not finish."]), run="first")
    assert summary(page, report).startswith("stopped at step 5")
    send(page, part(node, 0), run="second")
    assert summary(page, report).startswith("step 1 of 8")
    assert "did not finish" not in panel(page, report).locator(".avert-notes").inner_text()
    # The server's word that the prompt broke off is enough.
    page.evaluate("async () => (await import('/scripts/api.js')).api.dispatchEvent(new CustomEvent('execution_interrupted', {detail: {}}))")
    page.wait_for_timeout(100)
    assert summary(page, report).startswith("stopped at step 1")
    assert thrown == []


def test_the_slider_moves_the_map(page: Page, thrown: list[str], drawn: str) -> None:
    """By arrow keys too; at its end it follows the run."""
    node, report = opened(page)
    send(page, *(part(node, step) for step in range(4)))
    it = panel(page, report)
    canvas, slider = it.locator("canvas.avert-map"), it.get_by_label("Step")
    newest = canvas.evaluate(PIXELS)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    older = canvas.evaluate(PIXELS)
    assert older != newest and it.locator(".avert-slide output").first.inner_text() == "2"
    cursor = it.locator(".avert-cursor").first.get_attribute("x1")
    send(page, part(node, 4))
    assert canvas.evaluate(PIXELS) == older and it.locator(".avert-cursor").first.get_attribute("x1") == cursor
    page.keyboard.press("End")
    page.wait_for_timeout(100)
    send(page, part(node, 5))
    assert canvas.evaluate(PIXELS) not in (older, newest) and it.locator(".avert-slide output").first.inner_text() == "6"
    opacity = it.get_by_label("Map")
    opacity.focus()
    page.keyboard.press("Home")
    assert canvas.evaluate("canvas => canvas.style.opacity") == "0"
    assert page.evaluate(SIZE, int(report)), "the arrow keys are not the canvas's"
    assert thrown == []


def test_it_opens_and_closes_by_keyboard(page: Page, thrown: list[str], drawn: str) -> None:
    """The node grows by what is shown and shrinks again; the tab key reaches every control, and it is seen where one is."""
    node, _ = opened(page)
    look(page, node)
    send(page, part(node, 0), part(node, 1))
    it = panel(page, node)
    button = it.locator("button.avert-head")
    before = page.evaluate(SIZE, int(node))
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    assert button.get_attribute("aria-expanded") == "true" and it.locator(".avert-chart").count() == 2
    assert it.bounding_box()["height"] == pytest.approx(388, abs=1)
    assert page.evaluate(SIZE, int(node))[1] == pytest.approx(before[1] + 360, abs=12)
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.className"))
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid", reached
    assert reached == ["avert-slider", "avert-slider", "avert-tab", "avert-notes"]
    button.focus()
    page.keyboard.press(" ")
    page.wait_for_timeout(400)
    assert button.get_attribute("aria-expanded") == "false" and it.bounding_box()["height"] == pytest.approx(28, abs=1)
    assert page.evaluate(SIZE, int(node))[1] == pytest.approx(before[1], abs=12)
    assert thrown == []


def test_nothing_is_drawn_for_a_closed_panel(page: Page) -> None:
    """And an open one is drawn once a frame, however much arrives."""
    node, report = opened(page)
    count = """element => { element.seen = 0; new MutationObserver(list => element.seen += list.filter(one => one.type === 'childList').length)
        .observe(element, {childList: true, subtree: true}) }"""
    closed, charts = panel(page, node).locator(".avert-body"), panel(page, report).locator(".avert-charts")
    for element in (closed, charts):
        element.evaluate(count)
    send(page, *(part(node, step % 8) for step in range(60)))
    assert closed.evaluate("element => element.seen") == 0
    assert 1 <= charts.evaluate("element => element.seen") <= 3


def test_a_reports_own_record_replaces_what_was_live(page: Page, thrown: list[str]) -> None:
    """What was there before the panel, such as the preview of its pictures, goes on as it did."""
    node, report = opened(page)
    send(page, part(node, 0))
    record = whole(node, notes=["the whole of it"])
    output = {"avert": [record], "images": [], "text": ["words"]}
    page.evaluate("([id, output]) => window.app.canvas.graph.getNodeById(id).onExecuted(output)", [int(report), output])
    page.wait_for_timeout(300)
    assert summary(page, report).startswith("8 steps") and "the whole of it" in panel(page, report).locator(".avert-notes").inner_text()
    assert thrown == []


def test_the_wheel_zooms_the_canvas_over_a_panel(page: Page, thrown: list[str], drawn: str) -> None:
    """As over the rest of a node."""
    node, report = opened(page)
    send(page, part(node, 0))
    box = panel(page, report).locator(".avert-charts").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    scale = "() => window.app.canvas.ds.scale"
    before = page.evaluate(scale)
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(300)
    assert page.evaluate(scale) > before and thrown == []
