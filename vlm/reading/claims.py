"""Tell what a sentence affirms from what it denies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .names import PICTURE, bare_name, hidden, is_name, is_sentence, pieces_of, plain, shown, tidy, without_lettering
from .openings import opened
from .words import BUT, DENIES, says_nothing


@dataclass
class Heard:
    """Collect what was heard: names, names from mere descriptions of the picture, what was denied; whether everything was; whether anything was not
    understood; and whether the answer contradicts itself.
    """

    named: list[str] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    nothing: bool = False
    unclear: bool = False
    doubted: bool = False

    def name(self, piece: str, described: bool = False) -> None:
        """Take a piece as a name, if it is one."""
        phrase = tidy(piece)
        bare, full = without_lettering(phrase), shown(phrase)
        name = (bare_name(full) or bare_name(bare)) if bare or not denial_in(hidden(full)) else ""
        if says_nothing(phrase):
            self.nothing = True
        elif name and is_name(phrase):
            (self.described if described else self.named).append(name)
        elif phrase:
            self.unclear = True

    def deny(self, piece: str) -> None:
        """Take a piece as denied."""
        for one in pieces_of(piece):
            phrase = tidy(_DETERMINED.sub("", plain(one)))
            self.doubted = self.doubted or bool(_NO_PICTURE.fullmatch(phrase))
            # Who says that there are no clothes says that somebody is naked.
            self.unclear = self.unclear or bool(_CLOTHES.search(phrase))
            if phrase and (_GENERAL.search(phrase) or says_nothing(phrase)):
                self.nothing = True
            elif phrase:
                self.denied.append(phrase)

    def add(self, other: Heard) -> None:
        """Take over what another has heard."""
        self.named += other.named
        self.described += other.described
        self.denied += other.denied
        self.nothing, self.unclear = self.nothing or other.nothing, self.unclear or other.unclear
        self.doubted = self.doubted or other.doubted


_CLOTHES = re.compile(r"\b(?:clothes|clothing|shirt|underwear|bra|pants|trousers|skirt|dress)\b", re.IGNORECASE)
_GENERAL = re.compile(
    r"\b(?:unwanted|undesir\w+|such|inappropriate|objectionable|harmful|offensive|explicit|unsafe|nsfw|any(?:thing|one)|things?|elements?|items?"
    r"|content|kind|sort|type"
    r"|these|those|that|them|above|listed|mentioned|issues?|problems?|art[ei]facts?|concerns?|violations?|none|nothing|report|nobody|one is|one)\b"
    r"|\u5185\u5bb9|\u5143\u7d20|\u5167\u5bb9|\bind\u00e9sir|\belemento|\bunerw\u00fcnscht",
    re.IGNORECASE,
)
_DETERMINED = re.compile(
    r"^(?:(?:any|a|an|the|single|visible|of|see|seen|seeing|find|detect|notice|spot|observe|identify|discern|make out|contain(?:s|ing)?|show(?:s"
    r"|ing)?|includ(?:e|ing)|depict"
    r"|feature|have|has|wear(?:ing)?|hold(?:ing)?|appear|there|clearly|really|actually|be|able|to|sign of|trace of)\s+)+(?=\S)",
    re.IGNORECASE,
)
_STATE = frozenset({
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
_BESIDES = re.compile(r"(?:other than|apart from|aside from|besides)\b", re.IGNORECASE)
# "There is a knife on the table": where it is does not belong to its name.
_WHERE = re.compile(
    r"\s+(?:(?:on|in|at|near|behind|under|beside|above|around|next to|from) (?:the|his|her|its|their)\s.*|on top of .*|(?:that|which|who)(?:'s)?\s.*)$",
    re.IGNORECASE,
)
# It was not shown a picture, or says so.
_NO_PICTURE = re.compile(
    rf"{PICTURE}s?(?: (?:was|is|has been|were))?(?: (?:provided|attached|uploaded|given|available|shared|here|visible|displayed))?",
    re.IGNORECASE,
)
_PLURAL = re.compile(r"\b(?:are|aren't|were|weren't)\b", re.IGNORECASE)
_VERB_LAST = re.compile(r"\s+(?:is|are|was|were|does|do|can)$", re.IGNORECASE)
_PARTED = re.compile(r"\b(?:nor|or)\b", re.IGNORECASE)
_ANEW = re.compile(r"^(?:an?|one|some|[1-9]\d?)\s", re.IGNORECASE)
_NO = re.compile(r"(?:no|0|zero) (?!an? )", re.IGNORECASE)
_THERE = re.compile(r"\w\s+(?:is |are )?(?:present|visible|detected|shown|there|seen|found)$", re.IGNORECASE)
_MOST_DESCRIBED = 4


def denial_in(piece: str) -> tuple[str, str, str] | None:
    """Find what denies in a piece: what stands before it, what behind it, and the word itself. None: nothing does."""
    found = DENIES.search(piece)
    return (piece[: found.start()].strip(), piece[found.end() :].strip(), found[0]) if found else None


def hear(sentence: str, heard: Heard) -> None:
    """Hear a sentence: its clauses, each of which affirms or denies."""
    denying, at, previous = False, 0, ""
    cuts = [*BUT.finditer(sentence), *re.finditer(r"\bexcept(?: for)?\b", sentence), None]
    for cut in sorted((one for one in cuts if one), key=lambda one: one.start()) + [None]:
        end = cut.start() if cut else len(sentence)
        clause = sentence[at:end]
        if clause.strip(" ,;."):
            if previous.startswith("except") and not denying:
                heard.deny(clause)
            else:
                denying = _Clause(clause, heard, bool(previous)).denied
        at, previous = (cut.end(), cut[0].lower()) if cut else (end, "")


class _Clause:
    """Hear one clause, piece by piece: a denial goes on over the bare pieces behind it, and in some languages over those before it."""

    def __init__(self, clause: str, heard: Heard, opposed: bool) -> None:
        self._heard, self._opposed = heard, opposed
        self._pieces = [piece.strip(" \n.!?:;\u3001\u3002") for piece in pieces_of(clause)]
        self._parted = bool(_PARTED.search(clause))
        self._found: list[tuple[str, str]] = []
        self._how = ""
        self._denying = ""
        self._denials = 0
        self._prose = False
        self.denied = False
        for piece in self._pieces:
            if plain(piece):
                self._hear(piece)
        self._close()

    def _hear(self, piece: str) -> None:
        free = _FREE.fullmatch(piece)
        self._heard.doubted = self._heard.doubted or bool(_BESIDES.match(piece))
        if free:
            self._heard.deny(free[1])
        elif _UNCERTAIN.search(piece):
            self._heard.unclear = True
        elif says_nothing(plain(piece)) or _CLEAN.search(piece) and not denial_in(piece):
            self._heard.nothing = self.denied = True
        elif (denial := denial_in(piece)) is not None:
            self._deny(piece, *denial)
        else:
            self._affirm(piece)

    def _affirm(self, piece: str) -> None:
        name, how = opened(piece)
        anew = _NO.match(self._denying) and _ANEW.match(piece) and not self._parted
        if how in ("named", "described") or anew:
            self._denying, self._how = "", how
        if self._denying and not self._parted and (self._denials > 1 or _THERE.search(piece)):
            # "No hat, no glasses, smoke": who denied each thing by itself may mean that this one is there.
            self._heard.unclear = True
        elif self._denying:
            self._heard.deny(piece)
        elif plain(name):
            self._heard.doubted = self._heard.doubted or (
                self._heard.nothing and not (self._how or how or self._opposed) and is_name(tidy(name))
            )
            self._prose = self._prose or (is_sentence(tidy(name)) and self._how != "named")
            self._found.append((name, self._how))

    def _deny(self, piece: str, before: str, behind: str, word: str) -> None:
        self.denied = True
        self._denials += 1
        subject = _bare_subject(before)
        state = all(one.lower() in _STATE for one in plain(behind).split())
        if state and subject:
            self._heard.deny(_VERB_LAST.sub("", before))
            self._left(bool(_PLURAL.search(piece)), not _VERB_LAST.search(before))
            return
        self._denying = piece[len(before) :].strip()
        self._heard.nothing = self._heard.nothing or (state and not subject)
        self._heard.deny(behind)
        if subject:
            # "A hand without fingers", "which has no hat": something else was said besides.
            self._heard.unclear = True
            self._prose = self._prose or before.lower().startswith(("which", "that", "who"))

    def _left(self, all_denied: bool, open_to_doubt: bool) -> None:
        """Deny what stood before as well, where the verb says so: "hats and glasses are not visible"; leave it out where that cannot be told."""
        if all_denied or open_to_doubt:
            for name, _ in self._found:
                self._heard.deny(name)
            self._heard.unclear = self._heard.unclear or (not all_denied and bool(self._found))
            self._found = []

    def _close(self) -> None:
        short = all(len(tidy(name).split()) <= _MOST_DESCRIBED for name, how in self._found if how == "described")
        for name, how in self._found:
            if (self._prose and how != "named") or (how == "described" and not short):
                self._heard.unclear = True
            elif how == "described":
                for one in re.split(r"\bwith\b", name):
                    self._heard.name(one, described=True)
            else:
                self._heard.name(_WHERE.sub("", tidy(name)) if how == "named" else name)


def _bare_subject(before: str) -> str:
    """Give what stands before a denial, unless it only leads to it: "I can", "The image does", "Auf dem Bild ist"."""
    listed = before.lower().replace(",", " ").split()
    return "" if all(word in _SUBJECT for word in listed) else before
