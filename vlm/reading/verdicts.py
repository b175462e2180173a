"""Read an item that says of itself whether it is there: "Nudity: none", "blood - on the floor", "weapons (no)"."""

from __future__ import annotations

import re
from functools import partial
from typing import Literal, NamedTuple

from .claims import STATE, hear
from .echoes import asked_for, in_question
from .heard import FAULTS, Heard
from .names import pieces_of, plain
from .openings import opened
from .words import ASIDE, DENIES, FINE, HEDGES, LABEL, YES, denial_in, says_nothing

Verdict = Literal["there", "absent", "unclear"]

# An item with what it says of itself behind its name; not a prompt's weight, which is a number.
_ITEM = re.compile(
    r"^(?P<name>[^:(\[\u2013\u2014\u2192=]{1,100}?)[*_]*\s*(?::[*_]*(?!\s*-?(?:[1-9]|0\.))|\s?[-=]>|=|\u2192"
    r"|(?P<aside>\s[-\u2013\u2014]\s|[\u2013\u2014]\s|[(\[]))\s*(?P<verdict>.*)$", re.DOTALL
)  # fmt: skip
_NUMBERED = re.compile(
    r"^(?P<name>(?:(?!\s[-\u2013\u2014]\s)[^:=(\[]){1,100}?)[*_]*\s*(?:[:=]|\s-\s)[*_]*\s*(?P<number>\d{1,6}(?:\.\d{1,6})?)\s*(?P<share>%?)$"
)
_NEXT = re.compile(r"[,;]\s*[^\s,;:=][^,;:=]{0,40}?(?:[:=]|\s[-\u2013\u2014]\s)")
_OUGHT = re.compile(r"\b(?:should|must|ought|shall|may)(?:n't| not)\b|\bnot allowed\b", re.IGNORECASE)
_CATEGORY = re.compile(
    r"(?:nudity|nude content|sexual(?: content|ity)?|violence|violent content|weapons?|drugs?|gore|hate(?:ful)? symbols?|symbols?|anatomy|limbs?"
    r"|marks?|clothing|others?|\u6b66\u5668|\u88f8\u9732)", re.IGNORECASE
)  # fmt: skip
_ASIDE = re.compile(rf"(?:(?:please|side|additional|important) )?{ASIDE}|caption of the (?:image|picture)", re.IGNORECASE)
_DEGREE = re.compile(
    rf"^\W*(?:low|minimal|slight|some doubt|partial\w*\b(?! visible)|moderate|medium|unknown|unsure|(?:.*\b(?:is|are|looks?) )?{FINE}$|\?)",
    re.IGNORECASE,
)
_COVERED = re.compile(r"(?:.*\b(?:is|are) )?(?:fully |completely )?(?:clothed|dressed|covered)", re.IGNORECASE)
# What it is said to be is what is written there.
_LETTERING = re.compile(r"(?:visible )?(?:texts?|words?|letter(?:ing|s)|captions?|subtitles?|titles?)", re.IGNORECASE)
_AFFIRMED = re.compile(r"^\W*(\w+)(?=\W*(?:$|[,.;:(\u2013-])|\s+and\b)")
_PREPOSITION = re.compile(r"\b(?:on|in|at|by|near|behind|from|over|under|of|worn|held)\b", re.IGNORECASE)
_SPECIFIC_WORDS = 3
# "Answer: visible: hat" is said; more than a few lists in each other are not.
_DEEPEST = 4
_CHECKED = re.compile("[\u2713\u2714\u2705\u2611\u2b55]")
_CROSSED = re.compile("[\u2717\u2718\u274c\u2716\u2715\u274e\u2612\u26d4\U0001f6ab]")


def marked(text: str) -> str:
    """Write check marks and crosses as words."""
    return _CROSSED.sub(" no ", _CHECKED.sub(" yes ", text))


def is_aside(name: str) -> bool:
    """Tell the name of a comment, which is no name of a thing."""
    return bool(_ASIDE.fullmatch(plain(name)))


def is_category(name: str) -> bool:
    """Tell the name of a kind of things."""
    return bool(_CATEGORY.fullmatch(plain(name)))


def is_label(name: str) -> bool:
    """Tell the name of a list."""
    name = plain(name)
    return bool(LABEL.fullmatch(name) or not opened(name)[0])


def denies(label: str) -> bool:
    """Tell the name of a list of what is not there; what must not be there is."""
    return denial_in(label) is not None and not _OUGHT.search(label)


class _Item(NamedTuple):
    """A name and what is said of it. aside: behind a dash or in brackets, where something else may stand as well."""

    name: str
    verdict: str
    said: Verdict
    aside: bool = False
    bracketed: bool = False


def _item_in(text: str) -> _Item | None:
    numbered, item = _NUMBERED.match(text), _ITEM.match(text)
    if numbered:
        return _Item(numbered["name"], numbered["number"], counted(float(numbered["number"]), bool(numbered["share"])))
    if item is None or not plain(item["name"]):
        return None
    bracketed = (item["aside"] or "") in ("(", "[")
    verdict = item["verdict"].rstrip(" )]") if bracketed else item["verdict"]
    if bracketed and re.search(r"[)\]]", verdict):
        return None
    return _Item(item["name"], verdict, judged(verdict), bool(item["aside"]), bracketed)


def hear_item(text: str, heard: Heard, depth: int = 0) -> None:
    """Hear a sentence, the clauses of which may be items or lists of them. depth: how many lists it stands in."""
    if depth > _DEEPEST:
        heard.unclear = True
    else:
        hear(text, heard, partial(_hear_part, depth=depth))


def _hear_part(text: str, heard: Heard, depth: int) -> None:
    text = text.strip(" *_\t.,;")
    item = _item_in(text)
    label = item is not None and (is_label(item.name) or is_aside(item.name))
    if item is None or (item.bracketed and len(pieces_of(text)) > 1) or (not label and _NEXT.search(item.verdict)):
        _each(text, heard, depth)
    elif label or len(pieces_of(item.name)) == 1:
        _claim(item, heard, depth)
    elif item.said == "absent":
        _deny_all(item.name, heard)
    elif item.said == "there" and not (item.aside and denies(item.name)):
        _each(text, heard, depth)
    else:
        heard.unclear = True


def _deny_all(name: str, heard: Heard) -> None:
    """Take all names of a list as denied. In "hat, glasses: none" it may be the last one only, unless this is the list that was asked for."""
    for one in pieces_of(name):
        settle(one, "absent", heard)
        heard.unclear |= not in_question(one, heard.asked)


def _each(text: str, heard: Heard, depth: int) -> None:
    """Hear a list whose pieces may be items, and the bare ones between them together.

    Where an item next to them is denied, nobody can tell what is said of them: "hats, glasses: none, weapons".
    """
    runs: list[tuple[bool, list[str]]] = []
    for piece in filter(str.strip, pieces_of(text)):
        item = _item_in(piece.strip()) is not None
        if runs and not item and not runs[-1][0]:
            runs[-1][1].append(piece)
        else:
            runs.append((item, [piece]))
    if len(runs) < 2:
        hear(text, heard)
        return
    said = [heard.apart() for _ in runs]
    for (item, run), inner in zip(runs, said, strict=True):
        if item:
            hear_item(run[0], inner, depth + 1)
        else:
            hear(", ".join(run), inner)
    for at, inner in enumerate(said):
        beside = [said[near] for near in (at - 1, at + 1) if 0 <= near < len(said)]
        if not runs[at][0] and any(near.denied and not near.named for near in beside):
            inner.named, inner.unclear = [], True
        heard.add(inner)


def _claim(item: _Item, heard: Heard, depth: int) -> None:
    name, verdict, said, inner = item.name, item.verdict, item.said, heard.apart()
    if is_aside(name):
        return
    if said == "absent" and _LETTERING.fullmatch(name.strip()) and not _denies_itself(name, verdict):
        said = "there"
    if is_label(name) and denies(name):
        for piece in pieces_of(verdict):
            if _item_in(piece) or opened(piece)[1]:
                heard.unclear = True
            else:
                heard.deny(piece)
    elif is_label(name):
        hear_item(verdict, heard, depth + 1)
    elif denies(name):
        hear(verdict, inner)
        hear(name, heard)
        heard.described += inner.described
        heard.doubted |= bool(inner.named)
    elif item.aside and said == "absent" and not _denies_itself(name, verdict):
        # "tree (no hat)" says that there is a tree.
        hear(verdict, heard)
        settle(name, "there", heard)
    elif said != "absent" and _lists(name, verdict, inner):
        heard.add(inner)
    else:
        settle(name, said, heard)


def _lists(name: str, verdict: str, inner: Heard) -> bool:
    """Tell whether what is said of a name are names themselves, as after "Weapons" and after labels that nobody foresaw; `inner` hears them.

    Behind a fault stands where it is: "floating objects: cup, chair".
    """
    if YES.fullmatch(plain(verdict)):
        return False
    hear(verdict, inner)
    specific = [one for one in inner.named if len(one.split()) <= _SPECIFIC_WORDS and not _PREPOSITION.search(one)]
    unforeseen = not FAULTS.search(name) and not asked_for(name, inner.asked) and len(specific) == len(pieces_of(verdict)) > 1
    return len(specific) == len(inner.named) > 0 and (is_category(name) or unforeseen)


def settle(name: str, said: Verdict, heard: Heard) -> None:
    """Take a name with a verdict."""
    if said == "there":
        heard.name(opened(name)[0])
    elif said == "absent":
        heard.deny(opened(name)[0], item=True)
    else:
        heard.unclear = True


def judged(verdict: str) -> Verdict:
    """Tell what is said of a thing: "none", "on the floor", "There is no nudity in the image"."""
    bare = plain(verdict)
    first = _AFFIRMED.match(verdict)
    if not bare or _DEGREE.match(verdict) or HEDGES.search(verdict):
        return "unclear"
    if YES.fullmatch(bare) or (first and YES.fullmatch(first[1])):
        return "there"
    if says_nothing(bare) or bare in ("N", "n") or _COVERED.fullmatch(bare):
        return "absent"
    inner = Heard()
    hear(verdict, inner)
    if inner.denied or inner.nothing or DENIES.match(bare):
        return "unclear" if inner.named or inner.described or inner.doubted or inner.unclear else "absent"
    return "there"


def _denies_itself(name: str, verdict: str) -> bool:
    """Tell "no text visible", said of a text, from "NO ENTRY", which is its lettering."""
    heard = Heard()
    hear(verdict, heard)
    denied = set(" ".join(heard.denied).casefold().split())
    return (heard.nothing and denied <= STATE) or bool(denied & set(name.casefold().split()))


def counted(number: float, share: bool = False) -> Verdict:
    """Tell what a number says of a thing: how many there are, or how likely it is (in percent: share)."""
    likely = number / 100 if share else number
    return "absent" if likely < (0.2 if share else 0.1) else "unclear" if likely < 0.5 else "there"
