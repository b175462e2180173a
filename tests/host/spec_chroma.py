"""Chroma and Chroma Radiance: Flux's blocks without text positions, except for Radiance's later versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.ldm.chroma.model
import comfy.ldm.chroma_radiance.model
import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

CHROMA = {
    "in_channels": 64, "out_channels": 64, "vec_in_dim": None, "context_in_dim": 48, "hidden_size": 64, "mlp_ratio": 2.0, "num_heads": 2,
    "depth": 2, "depth_single_blocks": 2, "axes_dim": [8, 12, 12], "theta": 10000, "patch_size": 2, "qkv_bias": True, "txt_ids_dims": [],
    "in_dim": 64, "out_dim": 64, "hidden_dim": 32, "n_layers": 2,
}  # fmt: skip
RADIANCE = {
    **CHROMA, "in_channels": 3, "out_channels": 3, "patch_size": 16, "nerf_hidden_size": 16, "nerf_mlp_ratio": 2, "nerf_depth": 1,
    "nerf_max_freqs": 2, "nerf_tile_size": 512, "nerf_final_head_type": "conv", "nerf_embedder_dtype": torch.float32, "use_x0": False,
    "use_sequential_txt_ids": False,
}  # fmt: skip


def build(name: str, kind: type, config: dict[str, Any], **changes: Any) -> Any:
    """Build a model; hosts know different parameters."""
    names = {field.name for field in dataclasses.fields(kind)}
    known = {key: value for key, value in {**config, **changes}.items() if key in names}
    return _patcher(needs(name), {"image_model": "chroma", **known}, 0)


def chroma() -> Any:
    return build("Chroma", comfy.ldm.chroma.model.ChromaParams, CHROMA)


def radiance(**changes: Any) -> Any:
    return build("ChromaRadiance", comfy.ldm.chroma_radiance.model.ChromaRadianceParams, RADIANCE, **changes)


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None}]]


@contextmanager
def counted(model: Any, layout: Layout) -> Iterator[None]:
    """Write positions out where the model has them: each prompt from 0 on."""
    if not getattr(model.params, "use_sequential_txt_ids", False):
        yield
        return
    embed = model.pe_embedder.forward

    def forward(ids: Tensor) -> Tensor:
        ids = ids.clone()
        for span in (*layout.spans()["N"], *layout.spans()["P"]):
            ids[:, list(span), 0] = torch.arange(len(span), dtype=ids.dtype)
        return embed(ids)

    model.pe_embedder.forward = forward
    try:
        yield
    finally:
        del model.pe_embedder.forward


CHROMA_SPEC = Spec(
    name="chroma",
    family="Chroma",
    build=chroma,
    prompt=prompt,
    latent=lambda batch: torch.zeros(batch, 16, 8, 11),
    image_tokens=lambda x: 4 * 6,
    calls=4,
    around=counted,
)
SPECS = [
    CHROMA_SPEC,
    dataclasses.replace(
        CHROMA_SPEC,
        name="chroma_radiance",
        build=lambda: radiance(use_sequential_txt_ids=True),
        latent=lambda batch: torch.zeros(batch, 3, 64, 80),
        image_tokens=lambda x: 4 * 5,
    ),
]
