"""Give the vocabulary of words.json as regular expressions: by language, what denies, affirms, joins, opens and ends a list of names.

Each entry of the file is a fragment of a regular expression; in languages that are written with spaces it stands for whole words. Read at the first answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

NEVER = r"(?!)"
# Chinese and Japanese letters: they are written without spaces.
WIDE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"


@dataclass(frozen=True)
class Words:
    """Hold one expression for each use of a word.

    nothing: a whole piece that says that there is nothing; denies: what denies wherever it stands in a piece; last: those of them that deny all that stood before
    them; without: what denies what follows, but is said of a thing; joins, but: between names and between claims; yes: a whole verdict; names: what seems to deny
    and names something; leads, tails: around names; labels, aside: the name of a list, of a comment; sorry: a refusal; category: names of kinds of things;
    vague: a whole piece that says nothing; verbs: what sentences have and names do not.
    """

    nothing: re.Pattern[str]
    denies: re.Pattern[str]
    last: re.Pattern[str]
    without: re.Pattern[str]
    joins: re.Pattern[str]
    but: re.Pattern[str]
    yes: re.Pattern[str]
    names: re.Pattern[str]
    leads: re.Pattern[str]
    tails: re.Pattern[str]
    labels: re.Pattern[str]
    aside: re.Pattern[str]
    sorry: re.Pattern[str]
    category: re.Pattern[str]
    vague: re.Pattern[str]
    verbs: re.Pattern[str]


@lru_cache(maxsize=1)
def words() -> Words:
    """Read words.json."""
    known = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))

    def some(use: str, form: str = "{}", only_last: bool = False) -> re.Pattern[str]:
        found = [one for language in known.values() if language.get("last") or not only_last for one in _fragments(language, use)]
        return re.compile(form.format("|".join(found) or NEVER), re.IGNORECASE)

    return Words(
        nothing=some("nothing", r"(?:{})"),
        denies=some("denies"),
        last=some("denies", only_last=True),
        # In the middle of a name a capital is a name's: "Comic Sans".
        without=re.compile(f"^(?i:{some('without').pattern})|{some('without').pattern}"),
        joins=some("and"),
        but=some("but"),
        yes=some("yes", r"(?:{})"),
        names=some("names"),
        leads=some("leads", r"(?:{})[\s,:]*"),
        tails=some("tails", r"\s*(?:{})$"),
        labels=some("labels", r"(?:{})"),
        aside=some("aside", r"(?:{})"),
        sorry=some("sorry", r"(?:{})"),
        category=some("category", r"(?:{})"),
        vague=some("vague", r"(?:{})"),
        verbs=some("verbs"),
    )


def says_nothing(phrase: str) -> bool:
    """Tell "none", "nichts davon", also said again and again."""
    said = phrase.split()
    return bool(words().nothing.fullmatch(said[0] if len(set(said)) == 1 else phrase))


def _fragments(language: dict, use: str) -> Iterator[str]:
    """Give a language's words for a use, as whole words where words stand apart."""
    for one in language.get(use, ()):
        start, one = ("^", one[1:]) if one.startswith("^") else ("", one)
        yield rf"{start}(?<![\w'])(?:{one})(?<!')(?![\w'])" if language.get("spaced") and not one.endswith("'") else f"{start}(?:{one})"
