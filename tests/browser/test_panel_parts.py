"""Check the panel's parts in the page: pure functions, languages, colours of both themes, and nodes inside subgraphs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from avert.tests.server import graphs

from panel_records import attention, curve, load, look, part, saw, send, whole
from tiers import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

CALL = "async ([name, call, values]) => (await import(`/extensions/avert/${name}.js`))[call](...values)"
SET = "async ([id, value]) => { await window.app.extensionManager.setting.set(id, value) }"
MERGED = """async parts => { const {clean, merge, empty} = await import('/extensions/avert/record.js');
    return parts.reduce((record, one) => merge(record, clean(one)), empty()) }"""
# Moves some nodes into a subgraph as the user's command does; gives the id of the node that stands for it.
INTO_SUBGRAPH = """ids => {
    const graph = window.app.canvas.graph;
    const nodes = ids.map(id => graph.getNodeById(id));
    const {node} = graph.convertToSubgraph(new Set(nodes));
    return [String(node.id), node.subgraph.nodes.map(n => [String(n.id), n.type])];
}"""
SUMMARIES = """() => { const all = graph => (graph.nodes ?? graph._nodes).flatMap(n => [n, ...(n.subgraph ? all(n.subgraph) : [])]);
    return Object.fromEntries(all(window.app.rootGraph ?? window.app.graph).filter(n => n.widgets?.some(w => w.name === 'avert_panel') && !n.subgraph)
        .map(n => [n.type, n.widgets.find(w => w.name === 'avert_panel').element.querySelector('.avert-summary').textContent])) }"""
CONTRAST = """element => {
    const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return text.startsWith('color(') ? n.map((x, i) => i < 3 ? x * 255 : x) : n };
    const light = ([r, g, b]) => { const f = [r, g, b].map(v => (v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4));
        return .2126 * f[0] + .7152 * f[1] + .0722 * f[2] };
    const back = light(parse(getComputedStyle(element).backgroundColor));
    return Object.fromEntries([...element.querySelectorAll('.avert-summary, .avert-title, .avert-line, .avert-label, .avert-name, .avert-value')].map(one => {
        const style = getComputedStyle(one);
        const fore = light(parse(one.classList.contains('avert-line') ? style.stroke : style.color));
        return [one.getAttribute('class'), (Math.max(fore, back) + .05) / (Math.min(fore, back) + .05)] }));
}"""


def open_demo(page: Page, name: str = "report_demo") -> dict[str, int]:
    graph = copy.deepcopy(graphs.graph(name))
    load(page, graph)
    return {item["type"]: item["id"] for item in graph["nodes"]}


def test_every_module_can_be_loaded_by_itself(page: Page, thrown: list[str]) -> None:
    """The host loads each file as an extension of its own; only one of them registers something."""
    names = sorted(path.stem for path in (ROOT / "js").glob("*.js"))
    assert "avert" in names and len(names) > 8
    page.evaluate("async names => { for (const name of names) await import(`/extensions/avert/${name}.js`) }", names)
    assert thrown == []


def test_parts_are_merged(page: Page) -> None:
    """An entry of the same key replaces, others are added; single values are the newest; curves grow by step."""
    first = {**whole("6", 2), "finished": None, "curves": [curve("6", "hat", 0, 1)], "saw": [saw("9", 0)], "notes": ["a"]}
    second = {
        "version": 1,
        "steps": [[1, 0.5, 0.9, None], [2, 0.4, 0.8, 0.7]],
        "maps": [attention(5)],
        "finished": True,
        "notes": ["a", "b"],
    }
    second |= {"curves": [curve("6", "hat", 1, 2), curve("7", "hat", 0)], "saw": [saw("9", 0, "a dog", used=1), saw("9", 0, sample=1)]}
    record = page.evaluate(MERGED, [first, second])
    assert [step[0] for step in record["steps"]] == [0, 1, 2] and record["steps"][1] == [1, 0.5, 0.9, None]
    assert [one["step"] for one in record["maps"]] == [0, 1, 5]
    assert [(one["node"], len(one["steps"])) for one in record["curves"]] == [("6", 3), ("7", 1)]
    assert [(one["sample"], one["said"], one["used"]) for one in record["saw"]] == [(0, "a dog", 1), (1, "a hat", None)]
    assert record["notes"] == ["a", "b"] and record["finished"] is True and record["total"] == 8


@pytest.mark.parametrize("count", [1, 2, 3, 4, 255, 256])
def test_bytes_as_text_and_back(page: Page, count: int) -> None:
    data = bytes((7 * i + 13) % 256 for i in range(count))
    text = data.hex()
    read = "async ([text, count]) => { const b = (await import('/extensions/avert/bytes.js')).readBytes(text, count); return b && [...b] }"
    assert page.evaluate(read, [text, count]) == list(data)
    assert page.evaluate(CALL, ["bytes", "writeBytes", [list(data)]]) == text
    assert page.evaluate(read, [text, count + 3]) is None and page.evaluate(read, ["*" * len(text), count]) is None


def test_maps_are_averaged_down(page: Page) -> None:
    small = page.evaluate(
        "async () => { const it = (await import('/extensions/avert/bytes.js')).smaller(new Uint8Array([0, 2, 10, 10, 4, 6, 20, 20]), 4, 2, 2);"
        "return [it.width, it.height, ...it.bytes] }"
    )
    assert small == [2, 1, 3, 15]


@pytest.mark.parametrize(("value", "text"), [(0, "0 %"), (0.0312, "3.1 %"), (0.0004, "0.04 %"), (0.0996, "10 %"), (1, "100 %")])
def test_numbers_are_written_short(page: Page, value: float, text: str) -> None:
    assert page.evaluate(CALL, ["strings", "percent", [value]]).replace("\u00a0", " ") == text


def test_both_languages_say_the_same_things(page: Page) -> None:
    """Chinese has every sentence, with the same places for values; a user of Chinese reads it."""
    english, chinese = (page.evaluate(CALL, ["strings", "stringsFor", [name]]) for name in ("en", "zh-TW"))
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert chinese[key] != text, key
        assert [f"{{{i}}}" in text for i in range(3)] == [f"{{{i}}}" in chinese[key] for i in range(3)], key
    ids = open_demo(page)
    page.evaluate(SET, ["Comfy.Locale", "zh"])
    try:
        send(page, part(str(ids["AvertVSF"]), 0))
        # The frontend opens the workflow anew in the other language, at its own pace.
        page.wait_for_function(f"({SUMMARIES})().AvertReport?.startsWith('\u7b2c 1 / 8 \u6b65')")
    finally:
        page.evaluate(SET, ["Comfy.Locale", "en"])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_can_be_read_in_both_themes(page: Page, thrown: list[str], drawn: str, theme: str) -> None:
    """Text stands out from its background by 4.5 to 1, the faint and lines by 3 to 1."""
    page.evaluate(SET, ["Comfy.ColorPalette", theme])
    try:
        ids = open_demo(page, "dng_demo")
        look(page, str(ids["AvertReport"]))
        send(page, part(str(ids["AvertDNG"]), 1, curves=[curve(str(ids["AvertDNG"]), text, 0, 1) for text in ("a", "b", "c")]))
        element = page.locator(".avert-panel:visible").filter(has=page.locator(".avert-charts:visible")).first
        found = element.evaluate(CONTRAST)
        assert len(found) > 6
        for name, contrast in found.items():
            limit = 3 if any(word in name for word in ("line", "title", "name")) else 4.5
            assert contrast >= limit, (name, found)
    finally:
        page.evaluate(SET, ["Comfy.ColorPalette", "dark"])
    assert thrown == []


@pytest.mark.parametrize("inside", [("AvertVSF",), ("AvertReport",), ("AvertVSF", "AvertReport")])
def test_nodes_inside_subgraphs(page: Page, thrown: list[str], inside: tuple[str, ...]) -> None:
    """A run's ids lead into subgraphs, and a report finds the nodes upstream across their borders."""
    ids = open_demo(page)
    stands, members = page.evaluate(INTO_SUBGRAPH, [ids[kind] for kind in inside])
    guide = next((f"{stands}:{node}" for node, kind in members if kind == "AvertVSF"), str(ids["AvertVSF"]))
    send(page, part(guide, 0), part(guide, 1))
    shown: dict[str, Any] = page.evaluate(SUMMARIES)
    assert shown["AvertVSF"].startswith("step 2 of 8") and shown["AvertReport"].startswith("step 2 of 8")
    assert thrown == []


def test_a_report_on_another_model_shows_nothing(page: Page) -> None:
    """In the workflow that compares, only the first branch has a report."""
    ids = open_demo(page, "compare_demo")
    send(page, part(str(ids["AvertNAG"]), 0))
    shown = page.evaluate(SUMMARIES)
    assert shown["AvertNAG"].startswith("step 1") and shown["AvertReport"] == shown["AvertVSF"] == "no run yet"
