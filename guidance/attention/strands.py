"""What acts on the image tokens of a layer, and what it did: the words that streams and steering share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .mechanism import Mechanism
from .partial import Partial


class Attend(Protocol):
    """Attend with a log-sum-exp: the tensors of `kernels.attend`."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, key_bias: Tensor | None = None, mask: Tensor | None = None) -> Partial: ...


@dataclass(frozen=True)
class Segment:
    """Say where one negative prompt's tokens are, and how much each of them counts (None: all 1; else float32 [length]).

    rows: which pictures it is for, bool [pictures] (None: all); a batch holds the pictures one or more times over.
    """

    start: int
    length: int
    weights: Tensor | None = None
    rows: Tensor | None = None

    @property
    def span(self) -> slice:
        return slice(self.start, self.start + self.length)

    def of(self, batch: int) -> Tensor | None:
        """Tell of each row of a batch whether this is for it, bool [batch, 1, 1]; None: for all."""
        return None if self.rows is None else self.rows.repeat(batch // self.rows.shape[0])[:, None, None]


@dataclass(frozen=True)
class Strand:
    """Join one node's mechanism with its negatives."""

    mechanism: Mechanism
    segments: tuple[Segment, ...]


@dataclass
class Effect:
    """Collect what a layer's guidance did, per sample. Nothing here waits for the device."""

    share: Tensor  # [B] mean share of attention on the negatives, (1 - W) of VSF's equation 8
    change: Tensor  # [B] size of Z - Z+ against Z+, over a sample of the image tokens
    map: Tensor | None = None  # [B, I] the share per image token, mean over heads
