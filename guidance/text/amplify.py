"""Amplify a prompt's embedding away from the empty prompt: VSF, equation 10, its variant for Flux.

    p <- p + lambda (p - p0)

p0 is "a mean padding embedding" in the paper (after the Compel package); which prompt's padding is averaged it does not say, and no
released code has it. Here p0 is the mean over the tokens of the empty prompt, which are nearly all padding.
"""

from __future__ import annotations

from torch import Tensor


def amplify(embedding: Tensor, empty: Tensor, amount: float) -> Tensor:
    """Return p + amount (p - p0): embedding [B, L, C], empty [1 or B, L0, C], computed in float32, dtype of `embedding`."""
    mean = empty.float().mean(dim=1, keepdim=True)
    p = embedding.float()
    return (p + amount * (p - mean.to(p.device))).to(embedding.dtype)
