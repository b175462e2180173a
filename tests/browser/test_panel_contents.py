"""Check what the panel shows of answers and curves, and what it makes of text and data that mean it ill."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from avert.tests.server import graphs

from panel_records import HOSTILE, attention, curve, load, look, nodes_of, opened, panel, part, saw, send, summary

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_what_a_model_saw_and_said(page: Page, thrown: list[str], drawn: str) -> None:
    """A later entry replaces an earlier one; the watcher's own panel shows it too, though it takes part only in the end."""
    graph = copy.deepcopy(graphs.graph("vlm_negative_demo"))
    load(page, graph)
    guide, watcher, report = (nodes_of(graph, kind) for kind in ("AvertVSF", "AvertVLMNegative", "AvertReport"))
    look(page, report)
    send(page, part(guide, 0))
    assert summary(page, watcher).startswith("step 1 of 8")
    assert panel(page, report).get_by_role("tab", name="Seen and said").count() == 0
    send(page, part(guide, 1, saw=[saw(watcher, 1)]))
    film = panel(page, report).locator(".avert-card")
    assert "as before: a hat" in film.inner_text() and "0.81 s" in film.inner_text()
    send(page, part(guide, 2, saw=[saw(watcher, 1, used=2), saw(watcher, 2, kind="refused")]))
    assert film.count() == 2 and "from step 3: a hat" in film.first.inner_text() and "refused" in film.last.inner_text()
    assert page.locator(".avert-failed").count() == 1
    assert film.first.locator("img").get_attribute("src").startswith("data:image/jpeg,")
    assert "avoids a hat" in summary(page, watcher)
    panel(page, report).get_by_role("tab", name="About this run").click()
    assert "inside the attention" in panel(page, report).locator(".avert-notes").inner_text()
    send(page, part(guide, 3, saw=[saw(watcher, 3, "nothing", kind="nothing", used=4, negative=[])]))
    assert "from step 5: nothing to avoid" in film.last.inner_text() and "looked 3" in summary(page, watcher)
    assert thrown == []


def test_curves_of_several_negatives(page: Page, thrown: list[str]) -> None:
    """Each has its own dash and colour, the same in each chart, and a label."""
    node, report = opened(page, "dng_demo", "AvertDNG")
    empty = {"steps": [], "maps": []}
    for step in range(3):
        send(page, part(node, step, **empty, curves=[curve(node, "hat", step), curve(node, "a red umbrella", step)]))
    it = panel(page, report)
    assert it.locator(".avert-chart").count() == 3 and it.locator(".avert-label").all_inner_texts() == ["hat", "a red umbrella"]
    lines = it.locator(".avert-chart").nth(1).locator("polyline")
    assert lines.count() == 2 and len(lines.first.get_attribute("points").split()) == 3
    assert len({lines.nth(i).get_attribute("stroke-dasharray") for i in range(2)}) == 2
    assert "change" in summary(page, node) and "strength" in summary(page, node)
    assert thrown == []


def test_hostile_text_is_plain_text(page: Page, thrown: list[str], drawn: str) -> None:
    node, report = opened(page)
    watched = saw(node, 0, HOSTILE, used=1, kind=HOSTILE, picture="javascript:window.pwned=1")
    named = [{"id": node, "name": HOSTILE, "inside": True}]
    send(
        page,
        part(
            node,
            0,
            model=HOSTILE,
            notes=[HOSTILE],
            saw=[watched],
            nodes=named,
            curves=[curve(node, HOSTILE, 0)],
            picture="http://127.0.0.1/x.png",
        ),
    )
    it = panel(page, report)
    for tab in ("About this run", "Seen and said"):
        it.get_by_role("tab", name=tab).click()
        assert it.locator("script, img[src^=x], img[src^=javascript], img[src^=http]").count() == 0
    text = it.evaluate("element => element.textContent")
    assert "<script>" in text and not any(sign in text for sign in "\u202e\u2066\x07\x00") and "\U0001f98a" in text
    said = it.locator(".avert-said").evaluate("element => [element.textContent.length, getComputedStyle(element).unicodeBidi, element.dir]")
    assert said[0] <= 310 and said[1:] == ["isolate", "auto"]
    assert it.bounding_box()["height"] == pytest.approx(388, abs=1) and it.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.evaluate("() => window.pwned") is None and thrown == []


@pytest.mark.parametrize(
    "broken", [None, 7, "x", [], {"version": 2}, {"nodes": 3, "steps": {}, "maps": "x"}, {"steps": [[None], [1e99, "x"], [-1, 2]]}]
)
def test_what_is_no_record_is_ignored(page: Page, thrown: list[str], broken: Any) -> None:
    node, report = opened(page)
    send(page, part(node, 0))
    before = summary(page, report)
    send(page, broken)
    send(page, {**attention(0), "maps": [{**attention(3), "data": "AAAA"}], "nodes": [{"id": "999:7"}]})
    assert summary(page, report) == before and thrown == []
