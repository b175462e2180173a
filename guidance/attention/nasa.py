"""NASA, Negative-Away Steer Attention (arXiv 2412.02687, equation 3 of the VSF paper): subtract the negative's attention.

    Z = Z+ - a Z-

The two weights do not add up to 1: where Z- equals Z+ the output shrinks to (1 - a) Z+. That is the published method.
"""

from __future__ import annotations

import torch
from torch import Tensor


def negative_away_steer(positive: Tensor, negative: Tensor, scale: float, into: Tensor | None = None) -> Tensor:
    """Return Z from the attention outputs Z+ and Z-, both [B, H, L, D], before the output projection."""
    return torch.sub(positive, negative, alpha=scale, out=into)
