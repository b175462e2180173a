"""Kandinsky 5, video and image: text blocks with positions come before the cross-attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

CONFIG = {
    "image_model": "kandinsky5", "in_text_dim": 48, "in_text_dim2": 24, "time_dim": 32, "model_dim": 64, "ff_dim": 64, "num_text_blocks": 2,
    "num_visual_blocks": 2, "axes_dims": (8, 12, 12),
}  # fmt: skip


def prompt(length: int, seed: int) -> Conditioning:
    pooled = torch.randn(1, 24, generator=torch.Generator().manual_seed(seed + 1000))
    return [[random_tokens(length, 48, seed), {"pooled_output": pooled}]]


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Let every prompt count from 0."""
    embed = model.rope_embedder_1d.forward

    def forward(ids: torch.Tensor) -> torch.Tensor:
        places = [float(i) for span in (*layout.spans()["N"], *layout.spans()["P"]) for i in range(len(span))]
        assert ids.shape == (1, len(places), 1)
        return embed(torch.tensor(places, dtype=ids.dtype)[None, :, None])

    model.rope_embedder_1d.forward = forward
    try:
        yield
    finally:
        del model.rope_embedder_1d.forward


COMMON: dict[str, Any] = {"family": "Kandinsky 5", "prompt": prompt, "calls": 2, "joint": False, "around": around, "text_calls": True}

SPECS = [
    Spec(
        name="kandinsky5",
        build=lambda: _patcher(needs("Kandinsky5"), {**CONFIG, "visual_embed_dim": 4 * 33}, 0),
        latent=lambda batch: torch.zeros(batch, 16, 2, 8, 12),
        image_tokens=lambda x: 2 * 4 * 6,
        **COMMON,
    ),
    Spec(
        name="kandinsky5_image",
        build=lambda: _patcher(needs("Kandinsky5Image"), {**CONFIG, "visual_embed_dim": 4 * 16}, 0),
        latent=lambda batch: torch.zeros(batch, 16, 8, 12),
        image_tokens=lambda x: 4 * 6,
        **COMMON,
    ),
]
