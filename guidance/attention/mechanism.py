"""The attention mechanisms as settings: what a node sets once, and what it adds to a layer's attention output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layout = Literal["paper", "released"]


@dataclass(frozen=True)
class ValueSignFlip:
    """VSF: alpha is `scale`, beta is `offset`. "released" adds the unflipped copy of the negative that the authors' SD3.5 code has.

    preset: where the numbers come from, for the report ("": the node).
    """

    scale: float
    offset: float
    layout: Layout = "paper"
    preset: str = ""

    name = "VSF"

    @property
    def neutral(self) -> bool:
        return self.scale == 0


@dataclass(frozen=True)
class NormalizedGuidance:
    """NAG: phi is `nag_scale` - 1, tau and alpha as in the paper."""

    nag_scale: float
    nag_tau: float
    nag_alpha: float
    preset: str = ""

    name = "NAG"

    @property
    def neutral(self) -> bool:
        # phi <= 0 would pull towards the negative; every implementation treats it as off.
        return self.nag_scale <= 1 or self.nag_alpha == 0


@dataclass(frozen=True)
class NegativeAway:
    """NASA: alpha is `scale`."""

    scale: float

    name = "NASA"

    @property
    def neutral(self) -> bool:
        return self.scale == 0


Mechanism = ValueSignFlip | NormalizedGuidance | NegativeAway
