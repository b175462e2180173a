"""Qwen-Image: text positions count on from the picture's, so the reference sets them for [N, P] as each would have alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

CONFIG = {
    "image_model": "qwen_image", "in_channels": 64, "out_channels": 16, "num_layers": 2, "attention_head_dim": 32,
    "num_attention_heads": 2, "joint_attention_dim": 48, "axes_dims_rope": (8, 12, 12),
}  # fmt: skip


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None}]]


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Write the positions out: for a latent of 8 x 12, patches of 2, text begins at 3."""
    embed = model.pe_embedder.forward

    def forward(ids: torch.Tensor) -> torch.Tensor:
        ids = ids.clone()
        for span in (*layout.spans()["N"], *layout.spans()["P"]):
            ids[:, list(span)] = (3.0 + torch.arange(len(span), dtype=ids.dtype))[None, :, None]
        return embed(ids)

    model.pe_embedder.forward = forward
    try:
        yield
    finally:
        del model.pe_embedder.forward


SPECS = [
    Spec(
        name="qwen_image",
        family="Qwen-Image",
        build=lambda: _patcher(needs("QwenImage"), dict(CONFIG), 0),
        prompt=prompt,
        latent=lambda batch: torch.zeros(batch, 16, 1, 8, 12),
        image_tokens=lambda x: 4 * 6,
        calls=2,
        around=around,
    )
]
