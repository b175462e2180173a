"""Lens: the picture before the text, a mask in every call, and text positions that count on from the picture's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

CONFIG = {
    "image_model": "lens", "in_channels": 128, "out_channels": 32, "num_layers": 2, "attention_head_dim": 32, "num_attention_heads": 2,
    "enc_hidden_dim": 24, "axes_dims_rope": (8, 12, 12), "multi_layer_encoder_feature": True, "selected_layer_index": (0, 1),
}  # fmt: skip
IMAGE = 4 * 6


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "attention_mask": torch.ones(1, length, dtype=torch.long)}]]


def order(layout: Layout) -> Sequence[int]:
    return [*range(layout.image, layout.total), *range(layout.image)]


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Write the positions out: for a latent of 4 x 6, text begins at 3."""
    embed = model.pos_embed.forward

    def forward(ids: torch.Tensor) -> torch.Tensor:
        ids = ids.clone()
        for span in (*layout.spans()["N"], *layout.spans()["P"]):
            ids[:, [place + layout.image for place in span]] = (3.0 + torch.arange(len(span), dtype=ids.dtype))[None, :, None]
        return embed(ids)

    model.pos_embed.forward = forward
    try:
        yield
    finally:
        del model.pos_embed.forward


def feed(conditions: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Show all of the longer text."""
    rows = conditions["attention_mask"].shape[0]
    return {**conditions, "attention_mask": torch.ones(rows, layout.total - layout.image, dtype=torch.long)}


SPECS = [
    Spec(
        name="lens",
        family="Lens",
        build=lambda: _patcher(needs("Lens"), dict(CONFIG), 0),
        prompt=prompt,
        latent=lambda batch: torch.zeros(batch, 128, 4, 6),
        image_tokens=lambda x: IMAGE,
        calls=2,
        order=order,
        around=around,
        feed=feed,
    )
]
