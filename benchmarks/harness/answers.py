"""Read what a judge answered: yes or no, or a number from 0 to 1. What is not clear is no answer; nothing is guessed.

A whole sentence ("There is a hat.") is no answer either: sentences that deny are easier to know than those that affirm, so reading some would favour one side.
"""

from __future__ import annotations

import re

from ...vlm.answer import spoken

_MARKS = re.compile(r"[*_`\"#\u201c\u201d\\]+|boxed|[{}$]")
_BULLET = re.compile(r"^(?:[-:>\u2022]\s+)+")
_WORD = r"(?P<word>yes|yeah|yep|no|nope|true|false)"
_YES = ("yes", "yeah", "yep", "true")
# After the word the answer ends, or a new sentence or remark begins: "No wheels ..." is a sentence.
_FIRST = re.compile(
    rf"{_WORD}(?:\W*$|\s*[.,:;!()\n\u2013\u2014]|\s*-\s|\s+(?:there|it|this|that|the|they|i|you|we|he|she|because|as|since)\b)",
    re.IGNORECASE,
)
_LABELLED = re.compile(rf"\b(?:answer|verdict|conclusion|result)\b(?:\s+(?:is|would be))?\s*[:=]?\s*{_WORD}\b", re.IGNORECASE)
_LAST = re.compile(rf"(?:^|[.,!?\n]\s*){_WORD}\W*$", re.IGNORECASE)
_BOTH = re.compile(r"\byes\s*(?:and|or|/|\|)\s*no\b|\bno\s*(?:and|or|/|\|)\s*yes\b", re.IGNORECASE)

_NUMBER = r"(?<![\d.,/-])(?:\d+(?:[.,]\d+)?|\.\d+)"
_SCALE = re.compile(
    r"\b(?:from|between)\s+0(?:\.0)?(?:\s*\([^)]*\))?\s*(?:to|and|-|\u2013)\s*1(?:\.0)?\b(?:\s*\([^)]*\))?"
    r"|\b(?:scale|range) of\s+0(?:\.0)?\s*(?:to|-|\u2013)\s*1(?:\.0)?\b|\(?\b0(?:\.0)?\s*[-\u2013]\s*1(?:\.0)?\b\)?",
    re.IGNORECASE,
)  # fmt: skip
_PART = re.compile(rf"(?P<top>{_NUMBER})\s*(?:/|out of|of)\s*(?P<whole>\d+(?:\.\d+)?)", re.IGNORECASE)
_PERCENT = re.compile(rf"(?P<top>{_NUMBER})\s*(?:%|percent\b)", re.IGNORECASE)
_PLAIN = re.compile(rf"(?P<top>{_NUMBER})(?![\d%])")
_NAMED = re.compile(r"\b(?:quality|rating|rate|score|answer|value|number)\b[^\d\n]{0,40}$", re.IGNORECASE)
# What pictures are rated out of.
_WHOLES = (1.0, 5.0, 10.0, 100.0)


def has_said(answer: str) -> bool:
    """Tell whether anything at all was answered."""
    return bool(_said(answer))


def _said(answer: str) -> str | None:
    """Give what was said, without thinking and marks; None when it ended while it was still thinking."""
    told = spoken(answer)
    return None if told is None else _BULLET.sub("", _MARKS.sub("", told).strip())


def yes_or_no(answer: str) -> bool | None:
    """Read an answer to a question of yes or no; None when it is neither."""
    said = _said(answer)
    if not said or _BOTH.search(said):
        return None
    labelled = [_is_yes(found) for found in _LABELLED.finditer(said)]
    if labelled:
        return labelled[-1]
    first, last = _FIRST.match(said), _LAST.search(said)
    words = {_is_yes(found) for found in (first, last) if found}
    return words.pop() if len(words) == 1 else None


def _is_yes(found: re.Match[str]) -> bool:
    return found["word"].lower() in _YES


def share(answer: str) -> float | None:
    """Read a number from 0 to 1: "0.8", "8/10", "80 %", "Quality: 0.8"; None when there is none, or more than one and none is named so or comes first."""
    said = _said(answer)
    if not said:
        return None
    values = list(_values(_SCALE.sub(lambda found: " " * len(found.group()), said)))
    named = [value for start, value in values if _NAMED.search(said[:start])]
    first = [value for start, value in values if not said[:start].strip()]
    different = {value for _, value in values}
    value = named[-1] if named else first[0] if first else different.pop() if len(different) == 1 else None
    return value if value is not None and 0 <= value <= 1 else None


def _values(said: str) -> list[tuple[int, float | None]]:
    """List (place, value) of the numbers in a text, in its order; None for one that has no meaning."""
    found: dict[int, float | None] = {}
    taken: list[tuple[int, int]] = []
    for pattern in (_PART, _PERCENT, _PLAIN):
        for match in pattern.finditer(said):
            if any(start <= match.start() < end for start, end in taken):
                continue
            taken.append(match.span())
            top = float(match["top"].replace(",", "."))
            whole = 100.0 if pattern is _PERCENT else float(match["whole"]) if pattern is _PART else 1.0
            found[match.start()] = top / whole if whole in _WHOLES else None
    return sorted(found.items(), key=lambda item: item[0])
