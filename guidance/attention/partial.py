"""Partial attention: the output over a subset of keys together with its log-sum-exp, and the exact merge of two of them.

For queries Q and a set of keys X, with S = Q K_X^T / sqrt(d):

    out = softmax(S) V_X        lse = logsumexp(S)

Two disjoint sets merge exactly (Milakov & Gimelshein 2018, and the FlashAttention papers):

    w = sigmoid(lse_a - lse_b)   out = w out_a + (1 - w) out_b   lse = logaddexp(lse_a, lse_b)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Partial(NamedTuple):
    """Hold attention over a subset of the keys.

    out: [B, H, L, D], normalised over that subset alone.
    lse: [B, H, L], natural logarithm, scale included, float32 (float64 for float64 inputs); -inf over no keys.
    """

    out: Tensor
    lse: Tensor

    def rows(self, start: int, stop: int | None = None) -> Partial:
        """Take the queries from `start` to `stop`."""
        return Partial(self.out[:, :, start:stop], self.lse[:, :, start:stop])


@dataclass(frozen=True)
class Parts:
    """Hold what a mechanism makes an image token's attention of, over its queries: disjoint subsets of the keys, and the whole without us.

    positive: Z+, over everything that the model sees without us; text: A_P, over the positive prompt; negative: A_N, over the negative;
    image: A_I, over image and reference tokens (None in cross-attention, where text is all there is).
    """

    positive: Partial
    text: Partial
    negative: Partial
    image: Partial | None = None

    def replaced(self) -> Tensor:
        """Give Z-, the attention with the negative in place of the positive prompt."""
        return (self.negative if self.image is None else merge(self.image, self.negative)).out


def weighted_sum(terms: Sequence[tuple[Tensor, Tensor]], into: Tensor | None = None) -> Tensor:
    """Return sum_j w_j x_j for x_j [B, H, L, D] and one weight per query w_j [B, H, L] (or [B, 1, L]).

    Written to `into` if given, else to a new tensor with the dtype of the first x. One pass over memory per term, each computed in
    the precision of its weight and rounded once: half precision makes no float32 copies of whole activations here.
    """
    first, weight = terms[0]
    out = torch.empty_like(first) if into is None else into
    torch.mul(first, weight.unsqueeze(-1), out=out)
    for x, w in terms[1:]:
        out.addcmul_(x, w.unsqueeze(-1))
    return out


def merge(a: Partial, b: Partial) -> Partial:
    """Merge two partial attentions over disjoint keys: exact, weights in float32, returned in the dtype of `a.out`."""
    lse = torch.logaddexp(a.lse, b.lse)
    # Over no keys at all both are -inf and their difference is not a number; the outputs are zero then, so any weight will do.
    share = torch.sigmoid(a.lse - b.lse).masked_fill_(lse.isneginf(), 0.5)
    return Partial(weighted_sum([(a.out, share), (b.out, 1 - share)]), lse)
