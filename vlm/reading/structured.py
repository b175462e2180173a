"""Read JSON: what its keys say of its values."""

from __future__ import annotations

import re
from typing import Any

from .heard import Heard
from .lists import hear_sentences
from .loose import Group, values_in
from .names import hidden, plain
from .verdicts import Verdict, counted, denies, hear_item, is_label, judged, settle
from .words import ASIDE, FINE, VERDICT

_ITEM_KEYS = (
    "item", "name", "label", "object", "element", "thing", "entity", "phrase", "term", "keyword", "category", "class", "type", "what", "title", "issue",
    "defect", "problem", "artefact", "artifact",
)  # fmt: skip
_VERDICT_KEYS = re.compile(rf"(?:is )?{VERDICT}|contains?|count|number|quantity", re.IGNORECASE)
_ABSENT_KEYS = re.compile(r"(?:absent|missing|excluded|ruled out|undetected|unseen|(?:not|none|no) \w+)", re.IGNORECASE)
_ASIDE_KEYS = re.compile(
    rf".*\b(?:{ASIDE}|bbox 2d|box|boxes|id|index|image|caption|error|message|point|where|area|part|side|region|rating|level|text content)\b.*",
    re.IGNORECASE,
)
_CLEAN = re.compile(rf"(?:is |image |picture )?{FINE}", re.IGNORECASE)
_PREFIX = re.compile(
    r"^(?:contains?|has|is|shows?|includes?|there is|detected|visible|present) (?=\w)|(?<=\w) (?:present|visible|detected|found)$",
    re.IGNORECASE,
)
_SURE = 0.3


def read_structured(said: str, heard: Heard) -> bool:
    """Hear the JSON in an answer, and tell whether there is any."""
    found, rest, at = [], [], 0
    for value, begin, end in values_in(said):
        if _means(value):
            found.append(value)
        rest.append(said[at:begin])
        at = end
    outside = plain(" ".join([*rest, said[at:]]))
    if not found or (outside and not any(one.items for one in found) and not is_label(outside)):
        return False
    for value in found:
        _hear_value(value, heard)
    if any(value.cut for value in found) and not heard.named:
        heard.doubted = True
    return True


def plain_rest(said: str) -> str:
    """Leave out lists of numbers, which are places in the picture."""
    at, kept = 0, []
    for value, begin, end in values_in(said):
        kept.append(said[at : begin if not _means(value) else end])
        at = end
    return "".join([*kept, said[at:]])


def _means(value: Group) -> bool:
    """Tell a value that can say something from a list of numbers."""
    return (
        value.pairs
        or not value.items
        or any(isinstance(one, str | bool) or (isinstance(one, Group) and _means(one) and one.items) for one in value.items)
    )


def _hear_value(value: Any, heard: Heard) -> None:
    if isinstance(value, str):
        hear_sentences(hidden(value), heard)
    elif isinstance(value, Group) and value.pairs:
        _hear_object(value, heard)
    elif isinstance(value, Group):
        heard.nothing = heard.nothing or not (value.items or value.cut)
        for one in value.items:
            inner = heard.apart()
            _hear_value(one, inner)
            # One string of a list says nothing about the next one.
            heard.add(inner)
    elif value is None:
        heard.nothing = True


def _hear_object(value: Group, heard: Heard) -> None:
    known = {_key(key): one for key, one in value.items}
    names = [known[key] for key in _ITEM_KEYS if isinstance(known.get(key), str)]
    if not known:
        heard.nothing = heard.nothing or not value.cut
    elif names:
        if not value.cut:
            _hear_record(names[0], known, heard)
    else:
        for key, one in known.items():
            _hear_pair(key, one, heard)


def _key(key: str) -> str:
    """Write a key in plain words: "containsNudity" and "contains_nudity" are the same."""
    return plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).replace("_", " ").replace("-", " ")).casefold() or key


def _hear_record(name: str, known: dict[str, Any], heard: Heard) -> None:
    """Hear an object that describes one thing: its name, and whether it is there."""
    groups = [one for key, one in known.items() if isinstance(one, Group) and not _ASIDE_KEYS.fullmatch(key)]
    lists = [one for one in groups if not one.pairs and _means(one)]
    inner = heard.apart()
    for one in lists:
        _hear_value(one, inner)
    if lists and (inner.named or not inner.nothing):
        heard.add(inner)
    elif lists:
        heard.deny(name)
    elif (said := _verdict(known)) == "there":
        hear_sentences(hidden(name), heard)
    else:
        settle(name, said, heard)


def _verdict(known: dict[str, Any]) -> Verdict:
    """Tell whether a thing is there, from what else is said of it."""
    for key, one in known.items():
        if _VERDICT_KEYS.fullmatch(key) and not isinstance(one, Group):
            said = _said(one)
            if said is not None:
                return said
    sure = [one for key, one in known.items() if key in ("confidence", "score", "probability", "likelihood") and isinstance(one, float)]
    return "unclear" if sure and sure[0] < _SURE else "there"


def _said(value: Any) -> Verdict | None:
    """Read a value as a verdict; None where it is none."""
    if isinstance(value, bool):
        return "there" if value else "absent"
    if isinstance(value, float):
        return counted(value * 100, share=True) if value <= 1 else "there"
    if value is None:
        return "absent"
    return judged(hidden(value)) if isinstance(value, str) else None


def _hear_pair(key: str, value: Any, heard: Heard) -> None:
    """Hear a key with its value: a list's name, a thing's name with a verdict, or a comment."""
    if _ASIDE_KEYS.fullmatch(key):
        return
    if _ABSENT_KEYS.fullmatch(key) or denies(key):
        inner = heard.apart()
        _hear_value(value, inner)
        heard.denied += [*inner.named, *inner.described]
    elif isinstance(value, Group):
        _hear_group(key, value, heard)
    elif isinstance(value, str):
        _hear_words(key, value, heard)
    elif _CLEAN.fullmatch(key) or is_label(_PREFIX.sub("", key)):
        nothing = (value is True) if _CLEAN.fullmatch(key) else not value
        heard.nothing = heard.nothing or nothing
    else:
        settle(_PREFIX.sub("", key), _said(value * 0.01 if isinstance(value, float) and value > 10 else value) or "unclear", heard)


def _hear_group(key: str, value: Group, heard: Heard) -> None:
    known = {_key(one): inner for one, inner in value.items} if value.pairs else {}
    lists = any(isinstance(one, Group) and not _ASIDE_KEYS.fullmatch(name) for name, one in known.items())
    if known and not lists and (any(map(_VERDICT_KEYS.fullmatch, known)) or all(map(_ASIDE_KEYS.fullmatch, known))):
        if not value.cut:
            settle(key, _verdict(known), heard)
    elif not value.pairs and value.items and not _means(value):
        settle(key, "there", heard)
    elif not value.pairs and not value.items and not value.cut and not is_label(key):
        heard.deny(key)
    else:
        _hear_value(value, heard)


def _hear_words(key: str, value: str, heard: Heard) -> None:
    if is_label(key) or len(key) <= 2 or re.search(r"\d", key) or _VERDICT_KEYS.fullmatch(key):
        hear_sentences(hidden(value), heard)
    else:
        hear_item(f"{_PREFIX.sub('', key)} = {hidden(value)}", heard)
