"""Check the Chinese names and tooltips against the nodes as the host describes them, and that host and frontend would find them."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from avert.tests.server import graphs
from avert.tests.server.hostserver import HostServer

from tiers import ROOT

# English needs no file: the frontend shows the node's own words where a language has none.
FOLDER = ROOT / "locales" / "zh"
HAN = re.compile("[\u4e00-\u9fff]")
NUMBERS = re.compile(r"\d+(?:\.\d+)*")
NAMES = re.compile(r"`[^`]+`")
# The frontend's translator reads these as code (placeholders, plurals, links to other words).
SYNTAX = set("{}@|")
# This pack's own name stays.
NOT_TRANSLATED = "Avert"


def locale(name: str) -> dict[str, Any]:
    """Read one of the files."""
    return dict(json.loads((FOLDER / name).read_text(encoding="utf-8")))


def own(server: HostServer) -> dict[str, Any]:
    """Give the pack's nodes as this host describes them."""
    return {name: body for name, body in server.object_info().items() if name.startswith("Avert")}


def texts(value: Any) -> list[str]:
    """List every text in a file."""
    return [value] if isinstance(value, str) else [text for inner in value.values() for text in texts(inner)]


def test_every_node_input_and_output_has_an_entry(server: HostServer) -> None:
    """Nothing is missing, and nothing is left over of a node or an input that is gone."""
    nodes, entries = own(server), locale("nodeDefs.json")
    assert nodes and sorted(entries) == sorted(nodes)
    for name, body in nodes.items():
        entry = entries[name]
        assert set(entry) == {"display_name", "description", "inputs", "outputs"}, name
        assert sorted(entry["inputs"]) == sorted(graphs.inputs_of(body)), name
        assert list(entry["outputs"]) == [str(slot) for slot in range(len(body["output"]))], name


def test_entries_say_the_same_as_the_nodes(server: HostServer) -> None:
    """Tooltips have the same numbers and name the same inputs, so that a changed default shows; names can be recognised."""
    entries = locale("nodeDefs.json")
    for name, body in own(server).items():
        entry = entries[name]
        assert entry["display_name"].startswith(body["display_name"].split(" (")[0]), name
        pairs = {"description": (body["description"], entry["description"])}
        for key, spec in graphs.inputs_of(body).items():
            # The names of inputs stay: tutorials and workflows use them.
            assert set(entry["inputs"][key]) == {"tooltip"}, f"{name} {key}"
            pairs[key] = (spec[1]["tooltip"], entry["inputs"][key]["tooltip"])
        for key, (english, chinese) in pairs.items():
            assert HAN.search(chinese), f"{name} {key}"
            for kind in (NUMBERS, NAMES):
                assert Counter(kind.findall(chinese)) == Counter(kind.findall(english)), f"{name} {key}: {english}"


def test_categories_have_names(server: HostServer) -> None:
    """Every folder of the node menu but the pack's own is translated."""
    folders = {part for body in own(server).values() for part in body["category"].split("/")} - {NOT_TRANSLATED}
    assert sorted(locale("main.json")["nodeCategories"]) == sorted(folders)


@pytest.mark.parametrize("name", ["nodeDefs.json", "main.json"])
def test_no_text_is_code_to_the_translator(name: str) -> None:
    """A brace or a bar would be read as a placeholder or a plural, and the frontend would show nothing."""
    assert [text for text in texts(locale(name)) if SYNTAX & set(text)] == []


def test_host_serves_them(server: HostServer) -> None:
    """The host offers the words to its frontend, and the pages of the help."""
    served = server.get("/i18n")["zh"]
    assert served["nodeDefs"]["AvertVSF"] == locale("nodeDefs.json")["AvertVSF"]
    assert served["nodeCategories"]["attention"] == locale("main.json")["nodeCategories"]["attention"]
    for name in own(server):
        page = server.request(f"/extensions/avert/docs/{name}/zh.md").decode("utf-8")
        assert page == (ROOT / "js" / "docs" / name / "zh.md").read_text(encoding="utf-8")
