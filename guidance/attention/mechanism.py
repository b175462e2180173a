"""The attention mechanisms: what a node sets once, and what it makes of a layer's attention.

VSF shares the softmax with the model's own keys, so streams and steering know it; every other one is a form over the partial attentions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from .nag import normalized_attention_guidance
from .nasa import negative_away_steer
from .partial import Parts

Layout = Literal["paper", "released"]


class Mechanism(Protocol):
    """Everything that a node may ask for. `neutral`: nothing is done at all, not even another order of the same sums."""

    @property
    def name(self) -> str: ...
    @property
    def neutral(self) -> bool: ...
    @property
    def words_only(self) -> bool: ...


class Steering(Mechanism, Protocol):
    """A form over the partial attentions. `offset` is subtracted from the negative's logits where its share is measured."""

    @property
    def offset(self) -> float: ...
    def steer(self, parts: Parts, into: Tensor | None = None) -> Tensor:
        """Return Z [B, H, L, D], written to `into` if given."""
        ...


@dataclass(frozen=True)
class ValueSignFlip:
    """VSF: alpha is `scale`, beta is `offset`. "released" adds the unflipped copy of the negative that the authors' SD3.5 code has.

    preset: where the numbers come from, for the report ("": the node). words_only: leave out the tokens that text encoders put around the negative's
    words (CLIP's start and end, T5's end), which draw much of the attention whatever the words are.
    """

    scale: float
    offset: float
    layout: Layout = "paper"
    preset: str = ""
    words_only: bool = False

    name = "VSF"

    @property
    def neutral(self) -> bool:
        return self.scale == 0


@dataclass(frozen=True)
class NormalizedGuidance:
    """NAG: phi is `nag_scale` - 1, tau and alpha as in the paper; words_only: see ValueSignFlip."""

    nag_scale: float
    nag_tau: float
    nag_alpha: float
    preset: str = ""
    words_only: bool = False

    name = "NAG"
    offset = 0.0

    @property
    def neutral(self) -> bool:
        # phi <= 0 would pull towards the negative; every implementation treats it as off.
        return self.nag_scale <= 1 or self.nag_alpha == 0

    def steer(self, parts: Parts, into: Tensor | None = None) -> Tensor:
        return normalized_attention_guidance(parts.positive.out, parts.replaced(), self.nag_scale, self.nag_tau, self.nag_alpha, into)


@dataclass(frozen=True)
class NegativeAway:
    """NASA: alpha is `scale`; words_only: see ValueSignFlip."""

    scale: float
    words_only: bool = False

    name = "NASA"
    offset = 0.0

    @property
    def neutral(self) -> bool:
        return self.scale == 0

    def steer(self, parts: Parts, into: Tensor | None = None) -> Tensor:
        return negative_away_steer(parts.positive.out, parts.replaced(), self.scale, into)
