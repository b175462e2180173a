"""Tell what a sentence affirms from what it denies."""

from __future__ import annotations

import re

from .echoes import asked_for
from .heard import Heard
from .names import is_caption, is_name, is_sentence, pieces_of, plain, tidy
from .openings import opened
from .words import BUT, denial_in, says_nothing

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
    "overall",
})  # fmt: skip
_UNCERTAIN = re.compile(
    r"\b(?:not (?:entirely |completely |quite )?(?:sure|certain|clear)|hard to|difficult to|(?:can't|cannot|can not) (?:tell|be determined|determine"
    r"|judge|say)|impossible to"
    r"|maybe|perhaps|possibly|possible|might|may (?:be|contain|show)|could be|unclear|uncertain|(?:too|so) \w+ to)\b",
    re.IGNORECASE,
)
_CLEAN = re.compile(
    r"\b(?:is|are|be|looks?|appears?|seems?)(?: to be)?(?: \w+ly)? (?:safe|fine|clean|clear|sfw|normal|okay|ok|appropriate)(?: for work)?\b", re.IGNORECASE
)  # fmt: skip
_FREE = re.compile(r"(\w{3,}(?: \w+)?)-free", re.IGNORECASE)
_BESIDES = re.compile(r"\b(?:other than|apart from|aside from|besides|instead of)\b", re.IGNORECASE)
# "There is a knife on the table": where it is does not belong to its name.
_WHERE = re.compile(
    r"\s+(?:(?:on|in|at|near|behind|under|beside|above|around|next to|from) (?:the|his|her|its|their)\s.*|on top of .*|(?:that|which|who)(?:'s)?\s.*)$",
    re.IGNORECASE,
)
_PLURAL = re.compile(r"\b(?:are|aren't|were|weren't)\b", re.IGNORECASE)
_VERB_LAST = re.compile(r"\s+(?:is|are|was|were|does|do|can)$", re.IGNORECASE)
_PARTED = re.compile(r"\b(?:nor|or)\b", re.IGNORECASE)
_ANEW = re.compile(r"^(?:an?|one|some|[1-9]\d?)\s", re.IGNORECASE)
_NO = re.compile(r"(?:no|0|zero) (?!an? )", re.IGNORECASE)
_THERE = re.compile(r"\w\s+(?:is |are )?(?:present|visible|detected|shown|there|seen|found)$", re.IGNORECASE)
_ONLY = re.compile(r"(?:there (?:is|are) )?(?:only|just|simply|merely|instead)\b", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:an?|the) ", re.IGNORECASE)
_MOST_DESCRIBED = 4


def hear(sentence: str, heard: Heard) -> None:
    """Hear a sentence: its clauses, each of which affirms or denies."""
    said, denying, at, previous = heard.apart(), False, 0, ""
    cuts = [*BUT.finditer(sentence), *re.finditer(r"\bexcept(?: for)?\b", sentence), None]
    for cut in sorted((one for one in cuts if one), key=lambda one: one.start()) + [None]:
        end = cut.start() if cut else len(sentence)
        clause = sentence[at:end]
        if clause.strip(" ,;."):
            inner = heard.apart()
            if previous.startswith("except") and not denying:
                inner.deny(clause)
            else:
                denying = _Clause(clause, inner).denied
            said.follow(inner, bool(previous))
        at, previous = (cut.end(), cut[0].lower()) if cut else (end, "")
    heard.add(said)


class _Clause:
    """Hear one clause, piece by piece: a denial goes on over the bare pieces behind it."""

    def __init__(self, clause: str, heard: Heard) -> None:
        self._heard = heard
        self._pieces = [piece.strip(" \n.!?:;\u3001\u3002") for piece in pieces_of(clause)]
        self._parted = bool(_PARTED.search(clause))
        self._found: list[tuple[str, str]] = []
        self._how = ""
        self._denying = ""
        self._denials = 0
        self._prose = self._refused = False
        self.denied = False
        for piece in self._pieces:
            if plain(piece):
                self._hear(piece)
        self._close()

    def _hear(self, piece: str) -> None:
        free = _FREE.fullmatch(piece)
        besides = _BESIDES.search(piece)
        self._heard.doubted = self._heard.doubted or bool(besides and (besides.start() == 0 or denial_in(piece)))
        if free:
            self._heard.deny(free[1])
        elif _UNCERTAIN.search(piece):
            self._heard.unclear = True
        elif len(self._pieces) > 1 and plain(piece).lower() == "no":
            # "No, there is a knife" answers another question.
            self.denied = self._refused = True
        elif says_nothing(plain(piece)) or (_CLEAN.search(piece) and not denial_in(piece)):
            self._heard.nothing = self.denied = True
        elif (denial := denial_in(piece)) is not None:
            self._deny(piece, *denial)
        else:
            self._affirm(piece)

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
        elif self._denying:
            self._heard.deny(piece)
        elif plain(name):
            contradicted = (self._heard.nothing and how != "described") or (self._refused and not (self._how or how))
            self._heard.doubted = self._heard.doubted or (contradicted and is_name(tidy(name)))
            self._prose = self._prose or is_caption(tidy(name)) or (is_sentence(tidy(name)) and self._how != "named")
            self._found.append((name, how if how == "seen" else self._how))

    def _deny(self, piece: str, before: str, behind: str, word: str) -> None:
        self.denied = True
        self._denials += 1
        subject = _bare_subject(before)
        state = all(one.lower() in STATE for one in plain(behind).split())
        if state and subject:
            self._heard.deny(_VERB_LAST.sub("", before))
            self._left(bool(_PLURAL.search(piece)), not _VERB_LAST.search(before))
            return
        self._denying = piece[len(before) :].strip()
        self._heard.nothing = self._heard.nothing or (not subject and (state or word.lower() in ("nothing", "none")))
        self._heard.deny(behind)
        if subject:
            # "A hand without fingers", "which has no hat": something else was said besides.
            self._heard.unclear = True
            self._prose = self._prose or before.lower().startswith(("which", "that", "who"))

    def _left(self, all_denied: bool, open_to_doubt: bool) -> None:
        """Deny what stood before as well, where the verb says so: "hats and glasses are not visible"; leave it out where that cannot be told."""
        if all_denied or open_to_doubt:
            bare = [name for name, how in self._found if how != "seen"]
            for name in bare:
                self._heard.deny(name)
            self._heard.unclear = self._heard.unclear or (not all_denied and bool(bare))
            self._found = [one for one in self._found if one[1] == "seen"]

    def _close(self) -> None:
        short = all(len(tidy(name).split()) <= _MOST_DESCRIBED for name, how in self._found if how == "described")
        for name, how in self._found:
            if (self._prose and how not in ("named", "seen")) or (how == "described" and not short):
                self._heard.unclear = True
            elif how == "described":
                for one in re.split(r"\bwith\b", name):
                    self._heard.name(one, described=True)
            else:
                told = bool(how or _ARTICLE.match(name)) and not asked_for(name, self._heard.asked)
                self._heard.told = self._heard.told or told
                self._heard.name(_WHERE.sub("", tidy(name)) if how == "named" else name)


def _bare_subject(before: str) -> str:
    """Give what stands before a denial, unless it only leads to it: "I can", "The image does", "Auf dem Bild ist"."""
    listed = before.lower().replace(",", " ").split()
    return "" if all(word in _SUBJECT for word in listed) else before
