"""VSF, Value Sign Flip (arXiv 2508.10931): attend to the negative prompt with the sign of its values flipped.

Equations 7 to 9 of the paper, with the attention bias beta of its section 3:

    Z = W Z+ - alpha (1 - W) A_N      W = sigmoid(L+ - (L_N - beta))

where Z+, L+ are the attention and log-sum-exp over everything the model sees without us (image and positive prompt), and
A_N, L_N those over the negative prompt. Several negatives share one softmax, each with its own alpha and beta. The paper
reaches the same values with a dense mask and a second copy of the negative's tokens; neither is needed here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .partial import Partial, weighted_sum


def negative_shares(positive: Tensor, negatives: Sequence[Tensor], offsets: Sequence[float]) -> tuple[Tensor, list[Tensor]]:
    """Split the attention of each query between the model's own keys and each negative.

    positive, negatives: log-sum-exps [B, H, L]; offsets: beta of each negative, subtracted from its logits.
    Returns W and the (1 - W) of each negative, float32 [B, H, L]; together they are 1.
    """
    biased = [lse - offset for lse, offset in zip(negatives, offsets, strict=True)]
    total = positive
    for lse in biased:
        total = torch.logaddexp(total, lse)
    return torch.exp(positive - total), [torch.exp(lse - total) for lse in biased]


def flip(
    positive: Tensor,
    own: Tensor,
    negatives: Sequence[Tensor],
    shares: Sequence[Tensor],
    scales: Sequence[float],
    into: Tensor | None = None,
) -> Tensor:
    """Combine the outputs: Z = W Z+ - sum_j alpha_j (1 - W)_j A_j, into a given tensor or a new one like Z+."""
    terms = [(positive, own), *((attended, -scale * share) for attended, share, scale in zip(negatives, shares, scales, strict=True))]
    return weighted_sum(terms, into)


def value_sign_flip(positive: Partial, negatives: Sequence[Partial], scales: Sequence[float], offsets: Sequence[float]) -> Tensor:
    """Return Z of equation 7 for each query: [B, H, L, D], dtype of `positive.out`."""
    own, shares = negative_shares(positive.lse, [n.lse for n in negatives], offsets)
    return flip(positive.out, own, [n.out for n in negatives], shares, scales)
