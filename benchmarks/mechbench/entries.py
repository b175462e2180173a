"""What is compared: forms, and the published mechanisms beside them, each with the strengths to try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from .forms import Form

Make = Callable[[float], Any]
FEW_STEP, GUIDED = "few_step", "guided"


@dataclass(frozen=True)
class Entry:
    """Name a mechanism, made from a strength; window: the part of the run; blocks: of the model (as users write them); gated: by DNG's posterior."""

    name: str
    make: Make
    strengths: tuple[float, ...]
    window: tuple[float, float] = (0.0, 1.0)
    blocks: str = ""
    gated: bool = False
    variants: tuple[str, ...] = (FEW_STEP, GUIDED)


def form(**choices: Any) -> Make:
    return partial(Form, **choices)


def vsf(offset: float, words_only: bool = False) -> Make:
    return lambda scale: ValueSignFlip(scale, offset, words_only=words_only)


def nag(tau: float, alpha: float, words_only: bool = False) -> Make:
    return lambda scale: NormalizedGuidance(scale, tau, alpha, words_only=words_only)


# As published, with all of the negative's tokens.
PUBLISHED = (
    Entry("VSF", vsf(0.0), (0.1, 0.25, 0.5, 0.75, 1.0, 1.5)),
    Entry("VSF, offset -0.6", vsf(-0.6), (0.05, 0.25, 0.5, 0.94)),
    Entry("NAG", nag(2.5, 0.25), (3.0, 5.0, 9.0, 15.0)),
    Entry("NAG, alpha 0.5", nag(2.5, 0.5), (2.0, 3.0, 5.0)),
    Entry("NASA", NegativeAway, (0.05, 0.1, 0.15, 0.3)),
)
# With the negative's words alone.
WORDS = (
    Entry("words: VSF", vsf(0.0, True), (1.0, 1.5, 2.0, 3.0)),
    Entry("words: NAG", nag(2.5, 0.25, True), (3.0, 5.0, 9.0, 15.0)),
    Entry("words: NAG, alpha 0.5", nag(2.5, 0.5, True), (2.0, 3.0, 5.0)),
    Entry("words: NASA", lambda scale: NegativeAway(scale, True), (0.05, 0.1, 0.15, 0.3)),
    Entry("words: contrast", form(), (2.0, 2.5, 3.0, 4.0, 6.0)),
)
FORMS = (
    Entry("all: contrast", form(words_only=False), (2.0, 3.0, 4.0)),
    Entry("all: whole", form(direction="whole", words_only=False), (1.0, 2.0, 3.0), variants=(FEW_STEP,)),
    Entry("all: orthogonal", form(direction="orthogonal", words_only=False), (2.0, 3.0, 4.0)),
    Entry("all: contrast, contested", form(shape="contested", words_only=False), (4.0, 8.0)),
    Entry("all: contrast, excess", form(shape="excess", words_only=False), (2.0, 4.0)),
    Entry("words: away", form(direction="away"), (1.0, 1.5, 2.0)),
    Entry("words: whole", form(direction="whole"), (1.5, 2.0, 3.0), variants=(FEW_STEP,)),
    Entry("words: merged", form(direction="merged"), (4.0, 8.0), variants=(FEW_STEP,)),
    Entry("words: orthogonal", form(direction="orthogonal"), (2.5, 3.5, 5.0)),
    Entry("words: contrast, offset -1", form(offset=-1.0), (1.0, 1.5, 2.5)),
    Entry("words: contrast, offset 1", form(offset=1.0), (5.0, 8.0)),
    Entry("words: contrast, share against the text", form(share="text share"), (0.3, 0.5, 1.0), variants=(FEW_STEP,)),
    Entry("words: contrast, joined", form(shape="joined"), (3.0, 4.0, 6.0)),
    Entry("words: contrast, sharp", form(shape="sharp"), (0.5, 1.0)),
    Entry("words: contrast, excess", form(shape="excess"), (1.5, 2.5, 4.0)),
    Entry("words: contrast, contested", form(shape="contested"), (5.0, 8.0, 12.0)),
    Entry("words: contrast, kept", form(bound="kept"), (2.5, 3.5, 5.0)),
    Entry("words: contrast, clamped", form(bound="clamped"), (4.0, 7.0)),
    Entry("words: contrast, from 1/8 on", form(), (2.5, 3.0, 4.0), window=(0.125, 1.0)),
    Entry("words: contrast, first half", form(), (4.0, 6.0), window=(0.0, 0.5)),
    Entry("words: contrast, first blocks", form(), (3.0, 5.0), blocks="0-1", variants=(FEW_STEP,)),
    Entry("words: contrast, last blocks", form(), (5.0, 8.0), blocks="2-3", variants=(FEW_STEP,)),
    Entry("words: contrast, gated by the posterior", form(), (3.0, 5.0, 8.0, 12.0), gated=True, variants=(FEW_STEP,)),
)
ALL = (*PUBLISHED, *WORDS, *FORMS)


def named(*names: str) -> tuple[Entry, ...]:
    return tuple(next(entry for entry in ALL if entry.name == name) for name in names)


# What is compared on pairs and a world that nothing was tuned on; what the others are compared with there.
FINALISTS = named(
    "VSF", "VSF, offset -0.6", "NAG", "NASA", "all: contrast", "words: VSF", "words: NAG", "words: contrast", "words: whole"
)  # fmt: skip
AGAINST = ("VSF", "NAG", "words: VSF")
# Of these the next gentler and the next stronger setting are measured there too: a trade-off is a curve.
CURVES = ("VSF", "NAG", "words: VSF", "words: contrast")


def beside(entry: Entry, strength: float) -> tuple[float, ...]:
    """Give the strengths to measure: the tuned one first, and of a curve its neighbours among those that were tried."""
    order = sorted(entry.strengths)
    place = order.index(strength)
    near = order[max(0, place - 1) : place + 2] if entry.name in CURVES else [strength]
    return (strength, *(one for one in near if one != strength))


def chosen(names: Sequence[str] | None, among: Sequence[Entry]) -> tuple[Entry, ...]:
    """Give the entries of these names (None: those of `among`). Raises SystemExit for unknown ones."""
    if names is None:
        return tuple(among)
    unknown = set(names) - {entry.name for entry in ALL}
    if unknown:
        raise SystemExit(f"There is no entry {', '.join(sorted(unknown))}; there are {', '.join(entry.name for entry in ALL)}.")
    return named(*names)
