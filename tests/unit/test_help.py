"""Check the help pages: each is there in English and in Chinese, and both say the same numbers and name the same inputs."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tiers import ROOT

PAGES = ROOT / "js" / "docs"
# Where the frontend looks: docs/<node>/<language>.md first, then docs/<node>.md.
NODES = sorted(path.stem for path in PAGES.glob("*.md"))
HAN = re.compile("[\u4e00-\u9fff]")
PARTS = {
    "headings": re.compile(r"^#+ ", re.MULTILINE),
    "rows of tables": re.compile(r"^\|", re.MULTILINE),
    "bullets": re.compile(r"^ *- ", re.MULTILINE),
    "formulas and code": re.compile(r"^    (?=\S)", re.MULTILINE),
    "numbers": re.compile(r"\d+(?:\.\d+)*"),
    "names": re.compile(r"`[^`\n]+`"),
    "pictures": re.compile(r"!\[[^]]*\]\([^)]*\)"),
}


def read(node: str, language: str = "") -> str:
    """Read a page; English has no language in its name."""
    path = PAGES / node / f"{language}.md" if language else PAGES / f"{node}.md"
    return path.read_text(encoding="utf-8")


def test_every_page_is_there_in_both_languages() -> None:
    """No page lacks its translation, and no translation its page."""
    assert NODES
    assert sorted(path.parent.name for path in PAGES.glob("*/zh.md")) == NODES


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("part", PARTS)
def test_translation_says_the_same(node: str, part: str) -> None:
    """What can be counted is the same in both: a number that changes in one has to change in the other."""
    english, chinese = (Counter(PARTS[part].findall(read(node, language))) for language in ("", "zh"))
    assert chinese == english, f"only in one of them: {english - chinese} {chinese - english}"


@pytest.mark.parametrize("node", NODES)
def test_translation_is_chinese(node: str) -> None:
    """The page is not a copy."""
    text = read(node, "zh")
    assert len(HAN.findall(text)) > 50
    assert text.splitlines()[0].startswith(read(node).splitlines()[0].split(" (")[0])


@pytest.mark.parametrize("node", NODES)
def test_pictures_are_those_of_the_workflows(node: str) -> None:
    """Every picture that a page shows is there; one that a workflow has too is the same file, so that a new one is not forgotten here."""
    for name in re.findall(r"!\[[^]]*\]\(([^)]*)\)", read(node)):
        shown, thumbnail = PAGES / name, ROOT / "workflows" / name
        assert shown.is_file()
        # The strip of compare_demo is what Avert Compare makes; the workflow's own thumbnail shows more.
        if node != "AvertCompare":
            assert shown.read_bytes() == thumbnail.read_bytes()
    assert node == "AvertLoadVLM" or "](" in read(node).split("##")[0]
