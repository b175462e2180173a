"""The forms that the search looks through: Z as a function of the partial attentions, put together from four choices.

    Z = B(Z+ + alpha s D)

    D, the direction   text: A_P - A_N    whole: Z+ - A_N    merged: Z+ - Z-    away: -A_N    orthogonal: A_P - A_N without its part along Z+
    s, how much        share: 1 - W = sigmoid(L_N - beta - L+)    text share: sigmoid(L_N - beta - L_P)    one: 1
    g, on s            plain    joined: mean over heads    sharp: s^2 / mean of s over image tokens    excess: what s has above that mean, twice
                       contested: s sigmoid(2 (L_N - L_P)), so that only what the negative says more strongly than the positive counts
    B, the bound       free    kept: as large as Z+    clamped: at most 1.5 times as large, then blended half and half, as NAG does

Per query and head; norms are a token's over all heads. A_P, A_N: attention over the positive and the negative text alone, Z+: over everything that
the model sees without us (in cross-attention the same as A_P), Z-: with the negative in place of the positive; L: their log-sum-exps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...guidance.attention.nag import SMALLEST_NORM, token_norm
from ...guidance.attention.partial import Parts


@dataclass(frozen=True)
class Form:
    """Hold one choice; `scale` is alpha, `offset` beta."""

    scale: float
    direction: str = "text"
    share: str = "share"
    shape: str = "plain"
    bound: str = "free"
    offset: float = 0.0
    words_only: bool = True

    name = "form"

    @property
    def neutral(self) -> bool:
        return self.scale == 0

    def steer(self, parts: Parts, into: Tensor | None = None) -> Tensor:
        weight = SHAPES[self.shape](SHARES[self.share](parts, self.offset), parts)
        guided = parts.positive.out + self.scale * weight.unsqueeze(-1).to(parts.positive.out) * DIRECTIONS[self.direction](parts)
        guided = BOUNDS[self.bound](guided, parts.positive.out)
        return guided if into is None else into.copy_(guided)


def _orthogonal(parts: Parts) -> Tensor:
    """Take the part along Z+ out, per token over all heads."""
    whole, direction = parts.positive.out, parts.text.out - parts.negative.out
    along = (direction * whole).sum((1, 3), keepdim=True) / whole.square().sum((1, 3), keepdim=True).clamp_min(SMALLEST_NORM)
    return direction - along * whole


def _sharp(share: Tensor, parts: Parts) -> Tensor:
    return share.square() / share.mean(-1, keepdim=True).clamp_min(SMALLEST_NORM)


def _excess(share: Tensor, parts: Parts) -> Tensor:
    return 2 * (share - share.mean(-1, keepdim=True)).clamp_min(0)


def _contested(share: Tensor, parts: Parts) -> Tensor:
    return share * torch.sigmoid(2 * (parts.negative.lse - parts.text.lse))


def _kept(guided: Tensor, plain: Tensor) -> Tensor:
    ratio = token_norm(plain) / token_norm(guided).clamp_min(SMALLEST_NORM)
    return guided * ratio.unsqueeze(-1).to(guided)


def _clamped(guided: Tensor, plain: Tensor) -> Tensor:
    ratio = (1.5 * token_norm(plain) / token_norm(guided).clamp_min(SMALLEST_NORM)).clamp_max(1)
    return torch.lerp(plain, guided * ratio.unsqueeze(-1).to(guided), 0.5)


DIRECTIONS = {
    "text": lambda parts: parts.text.out - parts.negative.out,
    "whole": lambda parts: parts.positive.out - parts.negative.out,
    "merged": lambda parts: parts.positive.out - parts.replaced(),
    "away": lambda parts: -parts.negative.out,
    "orthogonal": _orthogonal,
}
SHARES = {
    "share": lambda parts, offset: torch.sigmoid(parts.negative.lse - offset - parts.positive.lse),
    "text share": lambda parts, offset: torch.sigmoid(parts.negative.lse - offset - parts.text.lse),
    "one": lambda parts, offset: torch.ones_like(parts.positive.lse),
}
SHAPES = {
    "plain": lambda share, parts: share,
    "joined": lambda share, parts: share.mean(1, keepdim=True).expand_as(share),
    "sharp": _sharp,
    "excess": _excess,
    "contested": _contested,
}
BOUNDS = {"free": lambda guided, plain: guided, "kept": _kept, "clamped": _clamped}
