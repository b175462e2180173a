"""Attention contrast: take away what the negative prompt says at a place, and put there what the positive prompt says.

    Z = Z+ + alpha (1 - W) (A_P - A_N)      W = sigmoid(L+ - (L_N - beta))

Z+, L+: attention and log-sum-exp over everything that the model sees without us (image and positive prompt); A_P: over the positive prompt
alone; A_N, L_N: over the negative prompt alone. W is VSF's (arXiv 2508.10931, equation 8). In cross-attention A_P is Z+.

Why: VSF's Z = W Z+ - alpha (1 - W) A_N differs from Z+ by -(1 - W) (Z+ + alpha A_N), which takes from the whole, the image's own part included, and
has a size of its own even where the negative says the same as the positive. Here the change is a difference of two texts' attentions: it sums to zero, it is
nothing where both say the same, and where the negative is nowhere to be seen (W near 1) nothing happens. Measured in benchmarks/mechanisms.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .partial import Parts


def attention_contrast(parts: Parts, scale: float, offset: float, into: Tensor | None = None) -> Tensor:
    """Return Z [B, H, L, D], in the dtype of Z+; the share is computed in float32."""
    share = torch.sigmoid(parts.negative.lse - offset - parts.positive.lse)
    difference = parts.text.out - parts.negative.out
    guided = torch.empty_like(difference) if into is None else into
    return torch.mul(difference, (scale * share).unsqueeze(-1), out=guided).add_(parts.positive.out)
