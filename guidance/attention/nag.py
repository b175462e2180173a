"""NAG, Normalized Attention Guidance (arXiv 2505.21179): extrapolate away from the negative, then bound the result.

Zg = Z+ + phi (Z+ - Z-)                          phi = nag_scale - 1
Zh = Zg min(r, tau) / r     r = |Zg|_1 / |Z+|_1   per token, over all heads joined
Z  = a Zh + (1 - a) Z+
"""

from __future__ import annotations

import torch
from torch import Tensor

from .partial import weighted_sum

# Below this the positive output is zero for all purposes, and so is its direction.
SMALLEST_NORM = 1e-6


def token_norm(x: Tensor) -> Tensor:
    """Sum |x| over heads and channels: [B, H, L, D] -> float32 [B, 1, L] (float64 for float64)."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return torch.linalg.vector_norm(x, ord=1, dim=(1, 3), dtype=dtype).unsqueeze(1)


def normalized_attention_guidance(
    positive: Tensor, negative: Tensor, nag_scale: float, nag_tau: float, nag_alpha: float, into: Tensor | None = None
) -> Tensor:
    """Return Z from the attention outputs Z+ and Z-, both [B, H, L, D], before the output projection.

    The norm runs over the joined heads, as in the paper, so H and D together are one token's channels. With c = min(r, tau) / r
    the three equations are one weighted sum: Z = (1 - a + a c) Z+ + a c phi (Z+ - Z-). The difference is taken first: where the two
    hardly differ, phi would otherwise enlarge the rounding of half precision.
    """
    difference = positive - negative
    guided = torch.add(positive, difference, alpha=nag_scale - 1)
    norm = token_norm(guided).clamp_min(SMALLEST_NORM)
    kept = nag_alpha * (nag_tau * token_norm(positive) / norm).clamp_max(1.0)
    return weighted_sum([(positive, kept + (1 - nag_alpha)), (difference, kept * (nag_scale - 1))], into)
