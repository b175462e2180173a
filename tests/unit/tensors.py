"""Make small random tensors, and compare them, for the tests of the attention maths."""

from __future__ import annotations

import torch
from torch import Tensor

EXACT = {"rtol": 1e-12, "atol": 1e-12}
SINGLE = {"rtol": 1e-5, "atol": 1e-5}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> Tensor:
    """Draw normal numbers in float64, the same for every dtype, then round."""
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale).to(dtype)


def qkv(queries: int, keys: int, *, heads: int = 3, kv_heads: int | None = None, width: int = 8, rows: int = 2, seed: int = 0, **options):
    """Draw q [B,H,Lq,D], k and v [B,Hkv,Lk,D]."""
    kv_heads = heads if kv_heads is None else kv_heads
    shapes = [(heads, queries), (kv_heads, keys), (kv_heads, keys)]
    return tuple(normal(rows, count, length, width, seed=seed * 100 + i, **options) for i, (count, length) in enumerate(shapes))


def close(actual: Tensor, expected: Tensor, **tolerance: float) -> None:
    """Assert closeness in float64, whatever the dtypes are."""
    torch.testing.assert_close(actual.double(), expected.double(), **(tolerance or EXACT))


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return |actual - expected| / |expected| over the whole tensor."""
    return float((actual.double() - expected.double()).norm() / expected.double().norm())
