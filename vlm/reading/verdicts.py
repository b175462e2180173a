"""Read an item that says of itself whether it is there: "Nudity: none", "blood - on the floor", "weapons (no)"."""

from __future__ import annotations

import re
from typing import Literal

from .claims import STATE, hear
from .echoes import asked_for, in_question
from .heard import Heard
from .names import pieces_of, plain
from .openings import opened
from .words import LABEL, YES, denial_in, says_nothing

Verdict = Literal["there", "absent", "unclear"]

# An item with what it says of itself behind its name; not a prompt's weight, which is a number.
_ITEM = re.compile(
    r"^(?P<name>[^:(\[\u2013\u2014\u2192=]{1,100}?)[*_]*\s*(?::[*_]*(?!\s*-?\d)|\s[-\u2013\u2014]\s|[\u2013\u2014]\s|\s?[-=]>|=|\u2192"
    r"|(?P<bracket>[(\[]))\s*(?P<verdict>.*)$", re.DOTALL
)  # fmt: skip
_NUMBERED = re.compile(r"^(?P<name>[^:=(\[]{1,100}?)[*_]*\s*(?:[:=]|\s-\s)[*_]*\s*(?P<number>\d{1,6}(?:\.\d{1,6})?)\s*(?P<share>%?)\.?$")
_NEXT = re.compile(r"[,;]\s*[^\s,;:=][^,;:=]{0,40}?(?:[:=]|\s[-\u2013\u2014]\s)")
_ASIDE = re.compile(
    r"(?:(?:please|side|additional|important) )?(?:notes?|explanations?|reasons?|reasoning|rationale|comments?|remarks?|confidence|score|location"
    r"|position|colou?r|size|description"
    r"|caption of the (?:image|picture)|context|caveat|disclaimer|system|user|instructions?|summary|justification|scene|thoughts?|analysis|evidence"
    r"|details?|severity|conclusion"
    r"|bounding box|bbox|coordinates|p\.?s|overall|assessment|input|question|count)",
    re.IGNORECASE,
)  # fmt: skip
_OUGHT = re.compile(r"\b(?:should|must|ought|shall|may)(?:n't| not)\b|\bnot allowed\b", re.IGNORECASE)
_CATEGORY = re.compile(
    r"(?:nudity|nude content|sexual(?: content|ity)?|violence|violent content|weapons?|drugs?|gore|hate(?:ful)? symbols?|symbols?|anatomy|limbs?"
    r"|marks?|clothing|others?|\u6b66\u5668|\u88f8\u9732)", re.IGNORECASE
)  # fmt: skip
_UNCLEAR = re.compile(
    r"^\W*(?:low|minimal|slight|some doubt|unclear|unknown|uncertain|unsure|maybe|possibl[ey]|perhaps|partial\w*(?! visible)|moderate|medium|ambiguous"
    r"|questionable|\?+)\b", re.IGNORECASE
)  # fmt: skip
_COVERED = re.compile(r"\b(?:clothed|dressed|covered|safe|clean|fine|normal)\b", re.IGNORECASE)
_AFFIRMED = re.compile(r"^\W*(\w+)(?=\W*(?:$|[,.;:(\u2013-]))")
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
    name = plain(name)
    return bool(_ASIDE.fullmatch(name))


def is_category(name: str) -> bool:
    """Tell the name of a kind of things."""
    name = plain(name)
    return bool(_CATEGORY.fullmatch(name))


def is_label(name: str) -> bool:
    """Tell the name of a list."""
    name = plain(name)
    return bool(LABEL.fullmatch(name) or not opened(name)[0])


def denies(label: str) -> bool:
    """Tell the name of a list of what is not there; what must not be there is."""
    return denial_in(label) is not None and not _OUGHT.search(label)


def hear_item(text: str, heard: Heard, depth: int = 0) -> None:
    """Hear an item, or a sentence that is none. depth: how many lists it stands in."""
    text = text.strip(" *_\t")
    item, numbered = _ITEM.match(text), _NUMBERED.match(text)
    if depth > _DEEPEST:
        heard.unclear = True
    elif numbered:
        _settle_all(numbered["name"], counted(float(numbered["number"]), bool(numbered["share"])), heard)
    elif item is None or _is_list(item, text):
        _each(text, heard, depth)
    elif not item["bracket"] and len(pieces_of(item["name"])) > 1 and not is_label(item["name"]) and not is_aside(item["name"]):
        said = judged(item["verdict"])
        if said == "absent":
            _settle_all(item["name"], said, heard)
        else:
            _each(text, heard, depth)
    else:
        _claim(item, heard, depth)


def _is_list(item: re.Match[str], text: str) -> bool:
    """Tell a list that has items in it from one item."""
    several = _NEXT.search(item["verdict"]) and not is_label(item["name"]) and not is_aside(item["name"])
    return not plain(item["name"]) or bool(several) or bool(item["bracket"] and len(pieces_of(text)) > 1)


def _settle_all(name: str, said: Verdict, heard: Heard) -> None:
    """Take all names of a list with one verdict. In "hat, glasses: none" it may be the last one's, unless this is the list that was asked for."""
    names = pieces_of(name)
    for one in names:
        settle(one, said, heard)
    if said == "absent" and len(names) > 1 and not all(in_question(one, heard.asked) for one in names):
        heard.unclear = True


def _each(text: str, heard: Heard, depth: int) -> None:
    """Hear a list whose pieces may be items."""
    pieces = [piece.strip() for piece in pieces_of(text) if piece.strip()]
    items = [piece for piece in pieces if _ITEM.match(piece) or _NUMBERED.match(piece)]
    if len(pieces) < 2 or not items or denial_in(pieces[0].split(":")[0]):
        hear(text, heard)
        return
    absent = False
    for piece in pieces:
        inner = heard.apart()
        if absent and piece not in items and not says_nothing(plain(piece)):
            # "Nudity: none, weapons": cut off, or there? As in "no nudity, no blood, weapons", nobody can tell.
            inner.unclear = True
        else:
            hear_item(piece, inner, depth + 1)
            absent = piece in items and bool(inner.denied) and not inner.named
        heard.add(inner)


def _claim(item: re.Match[str], heard: Heard, depth: int) -> None:
    name, bracketed = item["name"], bool(item["bracket"])
    verdict = item["verdict"].rstrip(" )]") if bracketed else item["verdict"]
    if is_aside(name):
        return
    if is_label(name):
        if denies(name):
            heard.deny(verdict)
        else:
            hear_item(verdict, heard, depth + 1)
    elif denies(name):
        heard.deny(name)
    else:
        said = judged(verdict)
        inner = heard.apart()
        if bracketed and said == "absent":
            hear(verdict, inner)
            if inner.denied and not inner.nothing:
                # "tree (no hat)" says that there is a tree.
                settle(name, "there", heard)
                heard.add(inner)
                return
        if _lists(name, verdict, said, inner):
            heard.add(inner)
        else:
            settle(name, said, heard)


def _lists(name: str, verdict: str, said: Verdict, inner: Heard) -> bool:
    """Tell whether what is said of a name are names themselves, as after "Weapons" and after labels that nobody foresaw; `inner` hears them.

    Where faults are asked for, what follows is where they are: "floating objects: cup, chair".
    """
    if said == "absent" or YES.fullmatch(plain(verdict)):
        return False
    hear(verdict, inner)
    specific = [one for one in inner.named if len(one.split()) <= _SPECIFIC_WORDS and not _PREPOSITION.search(one)]
    unforeseen = inner.asked.sought != "faults" and not asked_for(name, inner.asked) and len(specific) == len(pieces_of(verdict)) > 1
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
    if not bare or _UNCLEAR.match(verdict):
        return "unclear"
    if YES.fullmatch(bare) or (first and YES.fullmatch(first[1])):
        return "there"
    if says_nothing(bare) or (first and says_nothing(first[1])) or bare in ("N", "n") or _COVERED.search(bare):
        return "absent"
    inner = Heard()
    hear(verdict, inner)
    if inner.denied or inner.nothing:
        return "unclear" if inner.named or inner.doubted else "absent"
    return "unclear" if inner.unclear and _hedged(verdict) else "there"


def denies_itself(name: str, verdict: str) -> bool:
    """Tell "no text visible", said of a text, from "NO ENTRY", which is its lettering."""
    heard = Heard()
    hear(verdict, heard)
    denied = set(" ".join(heard.denied).casefold().split())
    return (heard.nothing and denied <= STATE) or bool(denied & set(name.casefold().split()))


def _hedged(verdict: str) -> bool:
    return bool(re.search(r"\b(?:might|maybe|perhaps|possibly|could|cannot|can't|not)\b", verdict, re.IGNORECASE))


def counted(number: float, share: bool = False) -> Verdict:
    """Tell what a number says of a thing: how many there are, or how likely it is (in percent: share)."""
    likely = number / 100 if share else number
    return "absent" if likely < 0.2 and (share or number == 0 or number < 0.1) else "unclear" if likely < 0.5 else "there"
