"""The ways to compare: the same mechanism with a static negative that names the whole list, and with what a vision-language model sees of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
from ...guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from ...host.guide import guide, guide_score
from ...host.watch.source import Watched
from ...vlm.instructions import instruction
from ...vlm.memory import Mode
from ...vlm.schedule import PAPER
from ..negbench.methods import ANCESTRAL, CFG, Sampling, Texts

WINDOW = (0.0, 1.0)


@dataclass(frozen=True)
class Way:
    """Name a way; make(strength) gives its mechanism (None: no guidance); watched: by a vision-language model; mode: what becomes of its answers; late: by how
    many steps they come late; rival: the way with the same mechanism and a static negative; like: what it is compared with.
    """

    name: str
    make: Callable[[float], Any] | None
    strengths: tuple[float, ...]
    variant: str = "guided"
    watched: bool = False
    mode: Mode = "replace"
    late: int = 0
    rival: str = ""

    @property
    def like(self) -> str:
        return PLAIN[self.variant]

    @property
    def sampler(self) -> str:
        return ANCESTRAL if self.variant == "guided" else "euler"

    @property
    def cfg(self) -> float:
        return CFG if self.variant == "guided" else 1.0

    def guided(self, model: Any, texts: Texts, strength: float, watched: Watched | None) -> Sampling:
        """Put the mechanism on a model; `watched`: who says what to avoid."""
        if self.make is not None:
            mechanism = self.make(strength)
            if self.variant == "guided":
                model = guide_score(model, mechanism, watched or texts.padded_negative, WINDOW)
            else:
                model = guide(model, mechanism, watched or texts.negative, WINDOW, "")
        return Sampling(model, texts.positive, texts.empty, self.cfg)


def static(scale: float) -> NegativeGuidance:
    return NegativeGuidance(scale, "empty")


def dng(scale: float) -> DynamicNegativeGuidance:
    """As in the negation benchmark: against the empty prompt, with a temperature for a small latent."""
    return DynamicNegativeGuidance(scale, 0.3, 1.0, 0.0, 1e-6, 0.9, "empty")


def vsf(scale: float) -> ValueSignFlip:
    return ValueSignFlip(scale, 0.0)


def nag(scale: float) -> NormalizedGuidance:
    return NormalizedGuidance(scale, 2.5, 0.5)


def source(clip: Any, vae: Any, backend: Any, words: tuple[str, ...], way: Way) -> Watched:
    """Ask for a list's words at the paper's steps."""
    asked = ", ".join(words)
    trial = clip.encode_from_tokens_scheduled(clip.tokenize("picture"))
    settings = (8, 48, 0.0, 0, 0.0, 0.0, way.late > 0)
    return Watched(clip, backend, vae, instruction("custom", asked), (), PAPER, way.mode, *settings, None, asked, trial)


PLAIN = {"guided": "guided, no negative", "few_step": "few steps, no negative"}
# A list needs less than one word to do as much.
SCALES, DNG_SCALES, VSF_SCALES, NAG_SCALES = (1.0, 2.0, 3.0, 5.0), (3.0, 10.0, 30.0), (0.5, 0.75, 1.0, 1.5), (3.0, 5.0, 9.0)
# An answer takes 7.4 of 50 steps in the paper: 3 of 20.
LATE = 3
STATIC, DYNAMIC, FLIPPED, NORMALIZED = "static", "DNG, static words", "VSF, static words", "NAG, static words"
WAYS = (
    Way(PLAIN["guided"], None, (0.0,)),
    Way(STATIC, static, SCALES),
    Way("VL-DNP, static strength", static, (*SCALES, 8.0, 20.0), watched=True, rival=STATIC),
    Way("VL-DNP, static strength, accumulated", static, SCALES, watched=True, mode="accumulate", rival=STATIC),
    Way("VL-DNP, static strength, late", static, (3.0, 5.0, 8.0), watched=True, late=LATE, rival=STATIC),
    Way(DYNAMIC, dng, DNG_SCALES),
    Way("VL-DNP, DNG", dng, (*DNG_SCALES, 100.0), watched=True, rival=DYNAMIC),
    Way(PLAIN["few_step"], None, (0.0,), "few_step"),
    Way(FLIPPED, vsf, (0.25, *VSF_SCALES), "few_step"),
    Way("VL-DNP, VSF", vsf, (*VSF_SCALES, 2.5), "few_step", watched=True, rival=FLIPPED),
    Way("VL-DNP, VSF, accumulated", vsf, (*VSF_SCALES[1:], 2.5), "few_step", watched=True, mode="accumulate", rival=FLIPPED),
    Way(NORMALIZED, nag, (2.0, *NAG_SCALES), "few_step"),
    Way("VL-DNP, NAG", nag, (*NAG_SCALES, 15.0), "few_step", watched=True, rival=NORMALIZED),
    Way("VL-DNP, NAG, accumulated", nag, NAG_SCALES, "few_step", watched=True, mode="accumulate", rival=NORMALIZED),
)
