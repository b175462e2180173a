"""Check what of a run stays in the workflow: it comes back, is small, belongs to its own node, and a stranger's file does no harm."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from avert.tests.server import graphs

from panel_records import HOSTILE, attention, curve, load, look, part, picture, reopen, saw, send, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

SAVED = "() => JSON.parse(JSON.stringify(window.app.rootGraph?.serialize() ?? window.app.graph.serialize()))"
STORED = "id => window.app.canvas.graph.getNodeById(id).properties.avert_run ?? null"
SUMMARY = """id => window.app.canvas.graph.getNodeById(id).widgets.find(w => w.name === 'avert_panel').element
    .querySelector('.avert-summary').textContent.replaceAll('\\u00a0', ' ')"""
ELEMENT = "id => window.app.canvas.graph.getNodeById(id).widgets.find(w => w.name === 'avert_panel').element"
MODULE = "async ([name, call, values]) => (await import(`/extensions/avert/${name}.js`))[call](...values)"
LIMIT = 8192


def demo(page: Page) -> tuple[dict[str, Any], int, int]:
    """Open the report's workflow: the graph, the ids of the Avert node and of the report."""
    graph = copy.deepcopy(graphs.graph("report_demo"))
    load(page, graph)
    node, report = (next(item["id"] for item in graph["nodes"] if item["type"] == kind) for kind in ("AvertVSF", "AvertReport"))
    look(page, str(report))
    return graph, node, report


def stored(page: Page, node: int) -> dict[str, Any]:
    """Wait until a run is kept with a node."""
    page.wait_for_function(f"id => ({STORED})(id)?.run !== undefined", arg=node)
    return dict(page.evaluate(STORED, node))


def bytes_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def test_a_run_comes_back_with_its_workflow(page: Page, thrown: list[str]) -> None:
    """With picture, map, curves and words; the panel stands as open as it was."""
    _, node, report = demo(page)
    page.evaluate_handle(ELEMENT, node).as_element().query_selector("button.avert-head").evaluate("button => button.click()")
    send(page, whole(str(node), notes=["take care"]))
    kept = stored(page, report)
    assert bytes_of(kept) <= LIMIT and kept["run"]["picture"].startswith("data:image/jpeg;base64,") and len(kept["run"]["maps"]) == 8
    assert all(len(f"{value:.12g}".replace(".", "").lstrip("0")) <= 3 for step in kept["run"]["steps"] for value in step[1:])
    stored(page, node)
    before = page.evaluate(SUMMARY, report)
    saved = page.evaluate(SAVED)
    load(page, {**saved, "nodes": [], "links": []})
    load(page, saved)
    look(page, str(report))
    assert page.evaluate(SUMMARY, report) == page.evaluate(SUMMARY, node) == before
    it = page.evaluate_handle(ELEMENT, report).as_element()
    assert it.query_selector(".avert-picture").evaluate("image => image.naturalWidth") > 0
    assert len(it.query_selector_all(".avert-chart")) == 2 and "take care" in it.inner_text()
    assert page.evaluate_handle(ELEMENT, node).as_element().query_selector("button").get_attribute("aria-expanded") == "true"
    assert thrown == []


def test_a_run_goes_on_when_its_workflow_is_opened_again(page: Page, thrown: list[str]) -> None:
    """The frontend itself opens it anew when the language is changed."""
    _, node, report = demo(page)
    send(page, part(str(node), 0))
    reopen(page, page.evaluate(SAVED))
    assert page.evaluate(SUMMARY, report).startswith("step 1 of 8")
    send(page, part(str(node), 1))
    assert page.evaluate(SUMMARY, report).startswith("step 2 of 8") and thrown == []


def test_a_run_that_ends_while_another_workflow_is_open(page: Page, thrown: list[str]) -> None:
    """It is shown, and kept, when the user comes back."""
    _, node, report = demo(page)
    saved = page.evaluate(SAVED)
    send(page, part(str(node), 0))
    reopen(page, copy.deepcopy(graphs.graph("compare_demo")))
    send(page, {**part(str(node), 1), "finished": True})
    reopen(page, saved)
    assert page.evaluate(SUMMARY, report).startswith("8 steps") and len(stored(page, report)["run"]["steps"]) == 2
    send(page, whole(str(node)), run="seen at once")
    load(page, saved)
    assert page.evaluate(SUMMARY, report) == "no run yet" and thrown == []


@pytest.mark.slow
def test_what_is_kept_is_small(page: Page, thrown: list[str]) -> None:
    """However much a run holds; and something is always left of it."""
    _, node, report = demo(page)
    noisy = picture(512, noise=True)
    many = whole(str(node), 200, total=200, picture=noisy, model=HOSTILE, notes=[f"{i} {HOSTILE}" for i in range(30)])
    many["maps"] = [attention(step, 48) for step in range(200)]
    many["curves"] = [curve(str(node), f"{i} {HOSTILE}", *range(200)) for i in range(20)]
    many["saw"] = [saw("77", step, HOSTILE, used=step, picture=noisy, negative=[HOSTILE] * 20) for step in range(60)]
    send(page, many)
    kept = stored(page, report)
    assert bytes_of(kept) <= LIMIT and len(kept["run"]["steps"]) >= 16 and kept["run"]["steps"][-1][0] == 199
    assert page.evaluate("([k, v]) => JSON.stringify(v).length", ["", page.evaluate(SAVED)]) < 100_000
    assert thrown == []


def test_pictures_go_first_then_maps(page: Page) -> None:
    """A larger run loses its pictures before its maps."""
    levels = page.evaluate("async () => (await import('/extensions/avert/compact.js')).LEVELS")
    for smaller, larger in zip(levels[1:], levels, strict=False):
        assert all(smaller[key] <= larger[key] for key in larger), (smaller, larger)
    first = {key: next(i for i, level in enumerate(levels) if level[key] == 0) for key in ("picture", "seen", "maps")}
    assert max(first["picture"], first["seen"]) < first["maps"]


def test_a_copy_does_not_keep_the_run_of_another(page: Page, thrown: list[str]) -> None:
    _, node, _ = demo(page)
    send(page, whole(str(node)))
    stored(page, node)
    cloned = page.evaluate(
        """id => { const copy = window.app.canvas.graph.getNodeById(id).clone(); window.app.canvas.graph.add(copy); return copy.id }""",
        node,
    )
    pasted = page.evaluate(
        """id => { const {canvas} = window.app; const graph = canvas.graph; const before = new Set(graph._nodes.map(n => n.id));
            canvas.copyToClipboard([graph.getNodeById(id)]); canvas.pasteFromClipboard();
            return graph._nodes.map(n => n.id).find(id => !before.has(id)) }""",
        node,
    )
    page.wait_for_timeout(300)
    for copied in (cloned, pasted):
        assert str(copied) != str(node)
        assert "run" not in (page.evaluate(STORED, copied) or {}) and page.evaluate(SUMMARY, copied) == "no run yet"
    assert page.evaluate(SUMMARY, node).startswith("8 steps") and thrown == []


def test_an_earlier_run_stays_kept_until_the_next_has_ended(page: Page, thrown: list[str]) -> None:
    """Also when the panel is opened meanwhile."""
    _, node, _ = demo(page)
    send(page, whole(str(node)), run="earlier")
    before = stored(page, node)["run"]
    send(page, part(str(node), 0), run="later")
    page.evaluate_handle(ELEMENT, node).as_element().query_selector("button.avert-head").evaluate("button => button.click()")
    page.wait_for_timeout(300)
    kept = page.evaluate(STORED, node)
    assert kept["open"] is True and kept["run"] == before and page.evaluate(SUMMARY, node).startswith("step 1 of 8") and thrown == []


def test_a_user_can_have_nothing_kept(page: Page, thrown: list[str]) -> None:
    page.evaluate("async () => { await window.app.extensionManager.setting.set('Avert.KeepRuns', false) }")
    _, node, _ = demo(page)
    send(page, whole(str(node)))
    page.wait_for_timeout(300)
    kept = page.evaluate(STORED, node)
    page.evaluate("async () => { await window.app.extensionManager.setting.set('Avert.KeepRuns', true) }")
    assert "run" not in kept and page.evaluate(SUMMARY, node).startswith("8 steps") and thrown == []


BROKEN = [
    None, 5, "text", [], {"version": 2, "node": "6", "run": {"version": 1, "steps": [[0, 1, 0.5, 0.5]]}}, {"version": 1, "node": "6"},
    {"version": 1, "node": "6", "run": {"version": 9, "steps": [[0, 1, 0.5, 0.5]]}}, {"version": 1, "node": "6", "run": [[[]]]},
    {"version": 1, "node": {"toString": 1}, "open": "yes", "run": "x"}, {"version": 1, "node": "6", "run": {"steps": [[0, 1, 0.5, 0.5]]}},
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_strangers_file_is_ignored_where_it_cannot_be_read(page: Page, thrown: list[str], broken: Any) -> None:
    graph = copy.deepcopy(graphs.graph("report_demo"))
    for item in graph["nodes"]:
        if item["type"] in ("AvertVSF", "AvertReport"):
            item.setdefault("properties", {})["avert_run"] = broken
    load(page, graph)
    # The workflow's own ids: the broken data name them.
    node, report = (next(item["id"] for item in graph["nodes"] if item["type"] == kind) for kind in ("AvertVSF", "AvertReport"))
    assert node == 6
    look(page, str(report))
    assert page.evaluate(SUMMARY, 6) == page.evaluate(SUMMARY, report) == "no run yet" and thrown == []
    send(page, part("6", 0))
    assert page.evaluate(SUMMARY, report).startswith("step 1 of 8") and thrown == []


def test_a_strangers_record_does_no_harm(page: Page, thrown: list[str]) -> None:
    """Its texts are text, its pictures are pictures, and numbers that are none are left out."""
    graph = copy.deepcopy(graphs.graph("report_demo"))
    item = next(item for item in graph["nodes"] if item["type"] == "AvertReport")
    evil = whole("6", notes=[HOSTILE, {"a": 1}], model=HOSTILE, picture="data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=", total=1e300)
    evil["saw"] = [saw("6", 1, HOSTILE, picture="data:image/jpeg;base64,x' onerror='window.pwned=1"), {"step": "__proto__"}]
    evil["steps"] += [["x", 1, 2, 3], [10**9, 1, 1, 1], [9, "1", None, {}]]
    evil["maps"] += [
        {"step": 1, "width": 10**6, "height": 10**6, "top": 1, "data": ""},
        {"step": 2, "width": 2, "height": 2, "top": 1, "data": "!!!!!!!!"},
    ]
    evil["__proto__"] = {"polluted": True}
    item.setdefault("properties", {})["avert_run"] = {"version": 1, "node": str(item["id"]), "open": True, "run": evil}
    load(page, graph)
    look(page, str(item["id"]))
    it = page.evaluate_handle(ELEMENT, item["id"]).as_element()
    assert page.evaluate(SUMMARY, item["id"]).startswith("10 steps")
    assert all(image.get_attribute("src") is None for image in it.query_selector_all("img"))
    assert page.evaluate("() => [window.pwned, ({}).polluted]") == [None, None] and thrown == []


def test_the_list_of_properties_does_not_offer_the_record(page: Page) -> None:
    _, node, _ = demo(page)
    hidden = page.evaluate("id => window.app.canvas.graph.getNodeById(id).onAddPropertyToPanel('avert_run', {})", node)
    assert hidden is True and not page.evaluate("id => window.app.canvas.graph.getNodeById(id).onAddPropertyToPanel('other', {})", node)
