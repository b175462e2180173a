"""Check that guidance scales to large pictures and long videos: no tensor grows with image tokens times image tokens, or times text tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.kernels import CHUNK_BYTES, attend
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.attention.strands import Segment, Strand
from avert.guidance.attention.streams import Lengths, cross_attention, joint_attention
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

HEADS, WIDTH = 2, 8
# (image, positive, negative) tokens: 1024 x 1024 pixels of Flux, and a long video.
SIZES = ((4096, 512, 1), (4096, 77, 200), (20_000, 1000, 200))
MECHANISMS = (ValueSignFlip(1.0, 0.2), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.2))


class Largest(TorchDispatchMode):
    """Remember the bytes of the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in tree_flatten(made)[0]:
            # Views and broadcast tensors take no memory of their own.
            if isinstance(value, Tensor):
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return made


def tokens(count: int, seed: int) -> Tensor:
    return torch.randn(1, HEADS, count, WIDTH, generator=torch.Generator().manual_seed(seed))


def most_bytes(image: int, negative: int) -> int:
    """Give the bytes below which every tensor must stay: a few times the tokens themselves, or the fixed chunk where it is smaller than all scores."""
    linear = 8 * (image + 2000) * HEADS * WIDTH * 4
    quadratic = image * negative * HEADS * 4
    return max(linear, min(CHUNK_BYTES, quadratic - 1) if negative > 1 else 0)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda one: one.name)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_joint(size: tuple[int, int, int], mechanism: Any) -> None:
    image, positive, negative = size
    q, k, v = (tokens(sum(size), seed) for seed in range(3))
    segment = Segment(0, negative)
    with Largest() as largest:
        out, effect = joint_attention(
            q, k, v, Lengths(negative, positive, image), [segment], [Strand(mechanism, (segment,))], attend, with_map=True
        )
    assert torch.isfinite(out).all() and effect is not None and effect.map is not None and effect.map.shape == (1, image)
    assert largest.bytes <= most_bytes(image, negative)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "with token weights"])
@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda one: one.name)
def test_cross_over_a_hundred_thousand_tokens(mechanism: Any, weighted: bool) -> None:
    image, positive, negative = 100_000, 1000, 200
    q, k, v = tokens(image, 0), tokens(positive + negative, 1), tokens(positive + negative, 2)
    segment = Segment(0, negative, torch.linspace(0.5, 1.5, negative) if weighted else None)
    with Largest() as largest:
        out, _ = cross_attention(q, k, v, Lengths(negative, positive), [Strand(mechanism, (segment,))], attend)
    assert torch.isfinite(out).all()
    assert largest.bytes <= (CHUNK_BYTES if weighted else most_bytes(image, negative))
    # What is compared with: all scores of the image with the text, or with the negative alone.
    assert most_bytes(image, negative) < image * negative * HEADS * 4 < image * (positive + negative) * HEADS * 4
