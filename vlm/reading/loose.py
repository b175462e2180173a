"""Read JSON as models write it: with single quotes, with Python's words, with a comma too many, or cut off before its end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 40
_TOKEN = re.compile(
    r"\s*(?:(?P<double>\"(?:[^\"\\]|\\.)*\")|(?P<single>'(?:[^'\\]|\\.|'(?!\s*(?:[,:\]}]|$)))*')|(?P<word>true|false|null|none|nan"
    r"|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?%?)(?![\w.])"
    r"|(?P<sign>[\[\]{}:,])|(?P<cut>[\"'].*))",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_WORDS = {"true": True, "false": False, "null": None, "none": None, "nan": None}
_BEGIN = re.compile(r"[\[{](?=\s*(?:[\"'\[{\]}]|-?\d|true|false|null|$))", re.IGNORECASE)


class NotJsonError(ValueError):
    """What began as JSON is something else."""


@dataclass
class Group:
    """A list or an object (pairs); cut: the answer ended inside of it."""

    pairs: bool
    items: list[Any] = field(default_factory=list)
    cut: bool = False


def values_in(text: str) -> Iterator[tuple[Any, int, int]]:
    """Give the lists and objects in a text, as `Group`s of values or of (key, value), and where they stand."""
    at = 0
    while begin := _BEGIN.search(text, at):
        try:
            value, at = _Reader(text, begin.start()).read()
            yield value, begin.start(), at
        except NotJsonError as stopped:
            at = max(begin.end(), stopped.args[0])


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self._text, self._at = text, at
        self._depth = 0

    def _token(self) -> tuple[str, Any]:
        """Give the next sign, value, or "cut" at the end."""
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            if self._text[self._at :].strip(" \n\t.\u2026") and not re.fullmatch(r"\s*-?[a-z]{1,4}", self._text[self._at :]):
                raise NotJsonError(self._at)
            return "cut", None
        self._at = found.end()
        if found["sign"]:
            return found["sign"], None
        if found["cut"]:
            return "cut", None
        if found["word"]:
            word = found["word"].lower()
            return "value", _WORDS[word] if word in _WORDS else float(word.rstrip("%")) / (100 if word.endswith("%") else 1)
        return "value", _unquoted(found["double"] or found["single"])

    def read(self) -> tuple[Group, int]:
        """Read a list or an object that begins here, and say where it ends."""
        sign, _ = self._token()
        return self._group(sign == "{"), self._at

    def _group(self, pairs: bool) -> Group:
        group, key, end = Group(pairs), None, "}" if pairs else "]"
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotJsonError(self._at)
        while True:
            sign, value = self._token()
            if sign in ("cut", end):
                group.cut = sign == "cut"
                break
            if sign in "[{":
                value = self._group(sign == "{")
            elif sign == "," or (sign == ":" and pairs and key is not None):
                continue
            elif sign != "value":
                raise NotJsonError(self._at)
            if pairs and key is None:
                key = _key(value, self._at)
            else:
                group.items.append((key, value) if pairs else value)
                key = None
            if isinstance(value, Group) and value.cut:
                group.cut = True
                break
        self._depth -= 1
        return group


def _key(value: Any, at: int) -> str:
    if isinstance(value, str):
        return value
    raise NotJsonError(at)


def _unquoted(quoted: str) -> str:
    if quoted.startswith('"'):
        try:
            return str(json.loads(quoted, strict=False))
        except ValueError:
            pass
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])
