"""Collect what an answer names and what it denies, and tell where it contradicts itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..instructions import Instruction
from .names import PICTURE, bare_name, hidden, is_name, pieces_of, plain, shown, tidy, without_lettering
from .words import denial_in, says_nothing

_CLOTHES = re.compile(r"\b(?:clothes|clothing|shirt|underwear|bra|pants|trousers|skirt|dress|dressed|clothed)\b", re.IGNORECASE)
# Where faults are asked for, only a denial of faults is one: "no left arm" finds a limb missing.
FAULTS = re.compile(
    r"\b(?:extra|fused|merged|missing|deform\w+|distort\w+|malformed|doubled?|duplicate\w*|float\w+|broken|seams?|wrong|odd|strange|unusual"
    r"|errors?|defects?|flaws?|anomal\w+)\b",
    re.IGNORECASE,
)
_GENERAL = re.compile(
    r"\b(?:unwanted|undesir\w+|such|inappropriate|objectionable|harmful|offensive|explicit|unsafe|nsfw|any(?:thing|one)|things?|elements?|items?|content|kind"
    r"|sort|type|these|those|that|them|above|listed|mentioned|issues?|problems?|art[ei]facts?|concerns?|violations?|none|nothing|report|nobody|one is|one)\b",
    re.IGNORECASE,
)
_DETERMINED = re.compile(
    r"^(?:(?:any|a|an|the|single|visible|of|see|seen|seeing|find|detect|notice|spot|observe|identify|discern|make out|contain(?:s|ing)?|show(?:s|ing)?"
    r"|includ(?:e|ing)|depict|feature|have|has|wear(?:ing)?|hold(?:ing)?|appear|there|clearly|really|actually|be|able|to|sign of|trace of)\s+)+(?=\S)",
    re.IGNORECASE,
)
# It was not shown a picture, or says so.
_NO_PICTURE = re.compile(
    rf"{PICTURE}s?(?: (?:was|is|has been|were))?(?: (?:provided|attached|uploaded|given|available|shared|here|visible|displayed))?",
    re.IGNORECASE,
)


@dataclass
class Heard:
    """Collect what was heard in an answer to what was `asked`: names, names from mere descriptions of the picture, what was denied.

    nothing: that there was nothing was said; told: a sentence told what there is, and not in the words of the question; unclear: something was not understood;
    doubted: the answer contradicts itself.
    """

    asked: Instruction = field(default_factory=lambda: Instruction("", ""))
    named: list[str] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    nothing: bool = False
    told: bool = False
    unclear: bool = False
    doubted: bool = False

    def apart(self) -> Heard:
        """Begin to hear something that says nothing of the rest."""
        return Heard(self.asked)

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

    def deny(self, piece: str, item: bool = False) -> None:
        """Take a piece as denied. item: as the name of something, which "content" may be too."""
        for one in pieces_of(piece):
            phrase = tidy(_DETERMINED.sub("", plain(one)))
            self.doubted |= bool(_NO_PICTURE.fullmatch(phrase))
            # Who says that there are no clothes says that somebody is naked.
            self.unclear |= bool(_CLOTHES.search(phrase))
            if phrase and not item and (_GENERAL.search(phrase) or says_nothing(phrase)):
                self.nothing = True
            elif phrase and self.asked.sought == "faults" and not FAULTS.search(one):
                self.unclear = True
            elif phrase:
                self.denied.append(phrase)

    def add(self, other: Heard) -> None:
        """Take over what another has heard."""
        self.named += other.named
        self.described += other.described
        self.denied += other.denied
        self.nothing |= other.nothing
        self.told |= other.told
        self.unclear |= other.unclear
        self.doubted |= other.doubted

    def follow(self, other: Heard, opposed: bool) -> None:
        """Take over what was said next. opposed: it began with "but".

        Who says that there is nothing and names something contradicts himself, but for a "but"; and who tells what the picture shows, and then denies what was
        asked for, has named nothing.
        """
        none_and_some = (self.nothing and other.named) or (other.nothing and self.named and not other.named)
        described = self.told and self.asked.sought != "contents" and (other.denied or other.nothing)
        self.doubted |= bool((none_and_some and not opposed) or described)
        self.add(other)
