"""Tell what a sentence affirms from what it denies."""

from __future__ import annotations

import re
from collections.abc import Callable

from .echoes import asked_for
from .heard import Heard
from .names import is_sentence, pieces_of, plain, tidy
from .openings import opened
from .words import DENIES, FINE, HEDGES, WIDE, denial_in, says_nothing

STATE = frozenset({
    "visible", "present", "shown", "seen", "there", "here", "found", "detected", "in", "on", "at", "all", "the", "this", "image", "picture", "photo", "scene",
    "anywhere", "it", "any", "one", "so", "evident", "apparent", "noticeable", "applicable", "included", "depicted", "really", "exactly", "to", "be", "being",
    "longer", "yet", "currently",
})  # fmt: skip
_SUBJECT = frozenset({
    "i", "we", "you", "it", "there", "this", "that", "these", "those", "they", "he", "she", "the", "a", "is", "are", "was", "were", "do", "does", "did",
    "can", "could", "has", "have", "had", "be", "been", "seem", "seems", "appear", "appears", "to", "in", "of", "on", "from", "contains", "contain", "shows",
    "show", "depicts", "includes", "see", "sees", "find", "notice", "and", "or", "also", "so", "as", "based", "looking", "at", "clearly", "image", "picture",
    "photo", "photograph", "scene", "drawing", "painting", "completely", "entirely", "totally", "there's", "it's", "i've", "we've", "which's", "well",
    "overall", "everything", "all",
})  # fmt: skip
CUTS = re.compile(r"\b(but|however|although|though|while|whereas|yet|nevertheless|except)\b(?: for\b)?", re.IGNORECASE)
_FINE = re.compile(rf"\b(?:is|are|be|looks?|appears?|seems?)(?: to be)?(?: \w+ly)? {FINE}\b(?: for work)?", re.IGNORECASE)
_FREE = re.compile(r"(\w{3,}(?: \w+)?)-free", re.IGNORECASE)
_ZERO = re.compile(r"[:=]\s*0(?![.\d])")
_BESIDES = re.compile(r"\b(?:other than|apart from|aside from|besides|instead of)\b", re.IGNORECASE)
# "There is a knife on the table": where it is does not belong to its name.
_WHERE = re.compile(
    r"\s+(?:(?:on|in|at|near|behind|under|beside|above|around|next to|from) (?:the|his|her|its|their)\s.*|on top of .*|(?:that|which|who)(?:'s)?\s.*)$",
    re.IGNORECASE,
)
_PLURAL = re.compile(r"\b(?:are|aren't|were|weren't)\b", re.IGNORECASE)
_VERB_LAST = re.compile(r"\s+(?:is|are|was|were|does|do|can)$", re.IGNORECASE)
_DASH = re.compile(rf"\s[-\u2013\u2014]\s(?!{DENIES.pattern})", re.IGNORECASE)
# In Chinese, Japanese and Korean a comma joins as well.
_JOINED = re.compile(rf"\band\b|[{WIDE}\uac00-\ud7a3]", re.IGNORECASE)
# The last of a list comes behind an "or".
_PARTED = re.compile(r"\b(?:nor|or)\b[^,]*$", re.IGNORECASE)
_ANEW = re.compile(r"\b(?:an?|one|some|[1-9]\d?)\s", re.IGNORECASE)
_NO = re.compile(r"(?:no|0|zero) (?!an? )", re.IGNORECASE)
_THERE = re.compile(r"\w\s+(?:is |are )?(?:present|visible|detected|shown|there|seen|found)$", re.IGNORECASE)
_ONLY = re.compile(r"(?:there (?:is|are) )?(?:only|just|simply|merely|instead)\b", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:an?|the) ", re.IGNORECASE)
_MOST_DESCRIBED = 4


def hear(sentence: str, heard: Heard, hear_one: Callable[[str, Heard], None] | None = None) -> None:
    """Hear a sentence: its clauses, each of which affirms or denies. hear_one: hears a clause that may be an item."""
    said, at, previous = heard.apart(), 0, ""
    for cut in [*CUTS.finditer(sentence), None]:
        clause = sentence[at : cut.start() if cut else None]
        if clause.strip(" ,;."):
            inner = heard.apart()
            denied = said.denied or said.nothing
            if hear_one:
                hear_one(clause, inner)
            else:
                _Clause(clause, inner)
            if previous and not denied and (previous == "except" or said.named):
                # "Everything except hats", "a logo: visible, but faint".
                inner.named, inner.unclear = [], True
            said.follow(inner, bool(previous))
        at, previous = (cut.end(), cut[1].lower()) if cut else (0, "")
    heard.add(said)


class _Clause:
    """Hear one clause, piece by piece: a denial goes on over the bare pieces behind it."""

    def __init__(self, clause: str, heard: Heard) -> None:
        self._heard = heard
        self._pieces = [one.strip(" \n.!?:;\u3001\u3002") for piece in pieces_of(clause) for one in _DASH.split(piece)]
        self._parted, self._joined = bool(_PARTED.search(clause)), bool(_JOINED.search(clause))
        # Names, how they name, and whether that is said of each by itself.
        self._found: list[tuple[str, str, bool]] = []
        self._how = ""
        self._denying = ""
        self._denials = 0
        self._prose = self._refused = False
        for piece in self._pieces:
            if plain(piece):
                self._hear(piece)
        self._close()

    def _hear(self, piece: str) -> None:
        free = _FREE.fullmatch(piece)
        self._heard.doubted |= bool(_BESIDES.search(piece))
        if free or _ZERO.search(piece):
            self._heard.deny(free[1] if free else _ZERO.sub("", piece))
        elif HEDGES.search(piece):
            self._heard.unclear = True
        elif len(self._pieces) > 1 and plain(piece).lower() == "no":
            # "No, there is a knife" answers another question.
            self._refused = True
        elif says_nothing(plain(piece)) or (self._is_fine(piece) and not denial_in(piece)):
            self._heard.nothing = True
        elif (denial := denial_in(piece)) is not None:
            self._deny(piece, *denial)
        else:
            self._affirm(piece)

    def _is_fine(self, piece: str) -> bool:
        """Tell "safe" and "the picture looks fine" from "the knife is clean"."""
        found = _FINE.search(piece) or (_FINE.fullmatch(f"is {plain(piece)}") if len(self._pieces) == 1 else None)
        return found is not None and _only_leads(piece[: found.start()])

    def _affirm(self, piece: str) -> None:
        if self._denials and _ONLY.match(piece):
            # "No guns, only a knife" finds one; "no nudity, just a person" does not.
            self._heard.doubted = True
            return
        name, how = opened(piece)
        how = how or ("seen" if _THERE.search(piece) else "")
        if how == "worn":
            how = "named" if self._heard.asked.sought == "contents" else "described"
        anew = _NO.match(self._denying) and _ANEW.match(piece) and not self._parted
        if how in ("named", "described") or anew:
            self._denying, self._how = "", how
        if self._denying and not self._parted and (self._denials > 1 or _THERE.search(piece)):
            # "No hat, no glasses, smoke": who denied each thing by itself may mean that this one is there.
            self._heard.unclear = True
        elif self._denying and _ANEW.match(piece) and not (self._parted and _ANEW.search(self._denying)):
            # "I don't see any hats, a knife": one that there is not, or one that there is.
            self._heard.unclear = True
        elif self._denying:
            self._heard.deny(piece)
        elif plain(name):
            contradicted = (self._heard.nothing and how != "described") or (self._refused and not (self._how or how))
            self._heard.doubted |= contradicted
            self._prose |= is_sentence(tidy(name)) and self._how != "named"
            self._found.append((name, how if how == "seen" else self._how, bool(how)))

    def _deny(self, piece: str, before: str, behind: str, word: str) -> None:
        self._denials += 1
        self._prose |= before.lower().startswith(("which", "that", "who"))
        subject = not _only_leads(before)
        state = all(one.lower() in STATE for one in plain(behind).split())
        if state and subject:
            self._heard.deny(_VERB_LAST.sub("", before))
            self._left(bool(_PLURAL.search(piece)) and self._joined, bool(_PLURAL.search(piece)) or not _VERB_LAST.search(before))
            return
        self._denying = "" if state else piece[len(before) :].strip()
        self._heard.nothing |= not subject and (state or (word.lower() in ("nothing", "none") and not behind.startswith("of ")))
        self._heard.deny(behind)
        if subject:
            # "A hand without fingers", "which has no hat": something else was said besides.
            self._heard.unclear = True

    def _left(self, all_denied: bool, open_to_doubt: bool) -> None:
        """Deny what stood before as well, where the verb says so: "hats and glasses are not visible"; leave it out where that cannot be told."""
        if all_denied or open_to_doubt:
            kept = [one for one in self._found if one[2]]
            self._heard.unclear |= not all_denied and len(kept) < len(self._found)
            self._found = kept

    def _close(self) -> None:
        short = all(len(tidy(name).split()) <= _MOST_DESCRIBED for name, how, _ in self._found if how == "described")
        for name, how, _ in self._found:
            if (self._prose and how not in ("named", "seen")) or (how == "described" and not short):
                self._heard.unclear = True
            elif how == "described":
                for one in re.split(r"\bwith\b", name):
                    self._heard.name(one, described=True)
            else:
                told = bool(how or _ARTICLE.match(name)) and not asked_for(name, self._heard.asked)
                self._heard.told |= told
                self._heard.name(_WHERE.sub("", tidy(name)) if how == "named" else name)


def _only_leads(words: str) -> bool:
    """Tell "I can", "The image does" from what names something."""
    return all(one in _SUBJECT for one in words.lower().replace(",", " ").split())
