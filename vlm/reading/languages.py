"""Put what an answer in another language says around its names into English: what denies, doubts, joins and opens a list of names; the names stay.

languages.json holds, by language, what stands for an English word or for several: fragments of regular expressions, whole words but in languages that are
told by their letters, which have no spaces. ^ and $ are the begin and the end of a piece. What begins with ~ is also an English name ("hay", "ale"), and tells
no language.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_BEGIN = r"(?<![^\s,.;:!?(\[\"'\u3001\u3002])"
_END = r"(?=\s*(?:$|[,.;:!?)\]\"'\u3001\u3002\n]))"
# Of these an answer in English has more than it has words that happen to be another language's.
_ENGLISH = re.compile(r"\b(?:the|and|of|with|there|are|this|not)\b", re.IGNORECASE)


class Language(NamedTuple):
    """letters: what only it is written in, if anything; signs: what tells it; entries: what stands for which English words."""

    letters: re.Pattern[str] | None
    signs: re.Pattern[str]
    entries: tuple[tuple[str, str], ...]


def english(text: str) -> str:
    """Put what is no name into English, where an answer is in another language that is known."""
    chosen = languages_of(text)
    if not chosen:
        return text
    meant, pattern = _dictionary(chosen)
    return pattern.sub(lambda found: f" {meant[(found.lastindex or 1) - 1]} ", text)


def languages_of(text: str) -> tuple[str, ...]:
    """Tell an answer's languages: by its letters, and of those with Latin letters by the words that it has most of."""
    known = vocabulary()
    written = [name for name, one in known.items() if one.letters and one.letters.search(text)][:1]
    signs = {name: len({found[0].casefold() for found in one.signs.finditer(text)}) for name, one in known.items() if not one.letters}
    most = max(signs.values())
    heard = len({found[0].casefold() for found in _ENGLISH.finditer(text)})
    return (*written, *(name for name, count in signs.items() if count == most > heard))


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, Language]:
    """Read languages.json."""
    listed = json.loads(Path(__file__).with_name("languages.json").read_text(encoding="utf-8"))
    return {name: _language(uses) for name, uses in listed.items()}


def _language(uses: dict) -> Language:
    letters = uses.pop("letters", "")
    entries = [(meaning, one) for meaning, fragments in uses.items() for one in fragments]
    signs = "|".join(_fragment(one, not letters) for _, one in entries if not one.startswith("~"))
    return Language(
        re.compile(letters, re.IGNORECASE) if letters else None,
        re.compile(signs, re.IGNORECASE),
        tuple((meaning, _fragment(one.lstrip("~"), not letters)) for meaning, one in entries),
    )


def _fragment(one: str, spaced: bool) -> str:
    begin, end = (_BEGIN if one.startswith("^") else ""), (_END if one.endswith("$") else "")
    bare = f"(?:{one.removeprefix('^').removesuffix('$')})"
    return begin + (rf"(?<![\w']){bare}(?![\w'-])" if spaced else bare) + end


@lru_cache(maxsize=64)
def _dictionary(chosen: tuple[str, ...]) -> tuple[list[str], re.Pattern[str]]:
    """Give the English words of some languages' entries, and one expression with a group for each, the longest first."""
    entries = sorted((entry for name in chosen for entry in vocabulary()[name].entries), key=lambda entry: -len(entry[1]))
    return [meaning for meaning, _ in entries], re.compile("|".join(f"({_ungrouped(one)})" for _, one in entries), re.IGNORECASE)


def _ungrouped(pattern: str) -> str:
    """Let no group of a fragment count."""
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)
