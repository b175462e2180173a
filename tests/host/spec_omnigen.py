"""OmniGen2 and Boogu: text counts its positions on three axes, reference images and image count on from it on the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

SHARED = {
    "patch_size": 2, "in_channels": 16, "hidden_size": 64, "num_layers": 2, "num_refiner_layers": 2, "num_attention_heads": 2, "num_kv_heads": 1,
    "axes_dim_rope": [8, 12, 12], "timestep_scale": 1000.0,
}  # fmt: skip
OMNIGEN = {**SHARED, "image_model": "omnigen2", "text_feat_dim": 48}
BOOGU = {**SHARED, "image_model": "boogu", "instruction_feat_dim": 48, "num_double_stream_layers": 2}
# Two reference images: 2 x 3 and 3 x 2 patches (a side of 5 is padded).
SIZES = ((4, 6), (5, 4))
REFERENCES = 12


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "attention_mask": torch.ones(1, length, dtype=torch.long)}]]


def with_references(length: int, seed: int) -> Conditioning:
    ((tokens, options),) = prompt(length, seed)
    latents = [torch.randn(1, 16, *size, generator=torch.Generator().manual_seed(i)) for i, size in enumerate(SIZES)]
    return [[tokens, {**options, "reference_latents": latents}]]


def order(layout: Layout) -> list[int] | None:
    """The model has [N, P, R, I]."""
    text = layout.total - layout.image - layout.reference
    image = text + layout.reference
    return [*range(text), *range(image, layout.total), *range(text, image)] if layout.reference else None


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Write the positions out, for a latent of 8 x 12 and the reference images above."""
    embedder, spans = model.rope_embedder.rope_embedder, layout.spans()
    (own,) = spans["P"]
    embed = embedder.forward

    def grid(height: int, width: int, first: int) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return torch.stack([torch.full_like(rows, first), rows, columns], -1).flatten(0, 1)

    def forward(ids: Tensor) -> Tensor:
        parts = [torch.arange(len(span))[:, None].expand(-1, 3) for span in (*spans["N"], own)]
        start = len(own)
        for height, width in SIZES if layout.reference else ():
            parts.append(grid(-(-height // 2), -(-width // 2), start))
            start += max(-(-height // 2), -(-width // 2))
        written = torch.cat([*parts, grid(4, 6, start)]).to(ids)
        assert written.shape == ids.shape[1:]
        return embed(written.expand_as(ids))

    embedder.forward = forward
    try:
        yield
    finally:
        del embedder.forward


def feed(conditions: dict[str, Any], layout: Layout) -> dict[str, Any]:
    return {**conditions, "num_tokens": conditions["num_tokens"] + sum(layout.negatives)}


COMMON: dict[str, Any] = {
    "latent": lambda batch: torch.zeros(batch, 16, 8, 12), "image_tokens": lambda x: 4 * 6, "around": around, "feed": feed, "order": order,
    "text_calls": True,
}  # fmt: skip
SPECS = [
    Spec(
        name=f"{name}{suffix}",
        family=family,
        build=lambda supported=supported, config=config: _patcher(needs(supported), dict(config), 0),
        prompt=prompting,
        calls=calls,
        reference_tokens=lambda conditions: REFERENCES if conditions.get("ref_latents") else 0,
        **COMMON,
    )
    for name, family, supported, config, calls in (
        ("omnigen2", "OmniGen2", "Omnigen2", OMNIGEN, 2),
        ("boogu", "Boogu", "Boogu", BOOGU, 4),
    )
    for suffix, prompting in (("", prompt), ("_references", with_references))
]
