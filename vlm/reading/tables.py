"""Read tables of Markdown: rows of names with verdicts."""

from __future__ import annotations

import re

from .heard import Heard
from .names import plain
from .verdicts import judged, marked, settle
from .words import ASIDE, VERDICT, YES, says_nothing

_RULE = re.compile(r"^[\s|:\-]*-{2,}[\s|:\-]*$")
_NUMBER = re.compile(r"\W*\d*\W*")


def read_table(said: str, heard: Heard) -> bool:
    """Hear a table, and tell whether there is one."""
    lines = [line.strip() for line in said.splitlines() if "|" in line]
    ruled = next((at for at, line in enumerate(lines) if _RULE.match(line)), None)
    framed = [line for line in lines if line.startswith("|") and line.endswith("|") and line.count("|") > 2]
    if ruled is None and len(framed) < 2:
        return False
    head = _cells(lines[ruled - 1]) if ruled else []
    rows = [_cells(line) for line in (lines[ruled + 1 :] if ruled is not None else framed)]
    for row in rows:
        _hear_row(head, row, heard)
    return True


def _cells(line: str) -> list[str]:
    return [cell.strip(" *_`") for cell in marked(line).strip().strip("|").split("|")]


def _hear_row(head: list[str], row: list[str], heard: Heard) -> None:
    """Take a row's first words as a name, and the other cells as what is said of it."""
    titles = [*head, *[""] * (len(row) - len(head))]
    named = next((at for at, cell in enumerate(row) if not _NUMBER.fullmatch(cell)), None)
    if named is None:
        return
    others = [(titles[at], cell) for at, cell in enumerate(row) if at > named and plain(cell)]
    verdicts = [cell for title, cell in others if re.search(rf"\b{VERDICT}\b", title, re.IGNORECASE) or _is_verdict(cell)]
    said = [judged(cell) for cell in verdicts] or [
        judged(cell) for title, cell in others if not re.search(rf"\b{ASIDE}\b", title, re.IGNORECASE)
    ]
    said = said or ["absent" for title, cell in others if judged(cell) == "absent"]
    settle(row[named], "absent" if "absent" in said else "unclear" if "unclear" in said else "there", heard)


def _is_verdict(cell: str) -> bool:
    return bool(YES.fullmatch(plain(cell)) or says_nothing(plain(cell)))
