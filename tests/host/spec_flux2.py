"""Flux.2 dev and Klein, Ovis-Image and LongCat-Image: text with positions, which the reference writes out for [N, P] as each would have alone.

Flux.2's text is filled with zeros in front up to 512 tokens, so that a prompt of n begins at 512 - n; Klein's encoders fill it behind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import comfy.ldm.flux.model
import pytest
import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

FILLED = 512
FLUX = {
    "image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "vec_in_dim": None, "hidden_size": 64, "mlp_ratio": 2.0,
    "num_heads": 2, "depth": 2, "depth_single_blocks": 2, "axes_dim": [8, 12, 12], "theta": 10000, "qkv_bias": True, "guidance_embed": False,
    "txt_ids_dims": [1, 2],
}  # fmt: skip
FLUX2 = {
    **FLUX, "image_model": "flux2", "in_channels": 128, "out_channels": 128, "patch_size": 1, "axes_dim": [8, 8, 8, 8], "theta": 2000,
    "txt_ids_dims": [3], "global_modulation": True, "mlp_silu_act": True, "qkv_bias": False, "ops_bias": False,
    "default_ref_method": "index", "ref_index_scale": 10.0,
}  # fmt: skip
DEV, KLEIN, LONGCAT, OVIS = 15360, 7680, 3584, 2048


def build(name: str, config: dict[str, Any], width: int, **changes: Any) -> Any:
    """Build a model of a class of comfy.supported_models, where the host has that class and knows text with positions."""
    kind = needs(name)
    if "txt_ids_dims" not in {field.name for field in dataclasses.fields(comfy.ldm.flux.model.FluxParams)}:
        pytest.skip("this host's Flux has no text with positions")
    return _patcher(kind, {**config, "context_in_dim": width, **changes}, 0)


def prompt(width: int, length: int, seed: int, **extra: Any) -> Conditioning:
    return [[random_tokens(length, width, seed), {"pooled_output": None, **extra}]]


def reference_latents() -> list[Tensor]:
    """Make two reference pictures of different sizes: 3 x 4 and 2 x 5 tokens."""
    generator = torch.Generator().manual_seed(9)
    return [torch.randn(1, 128, *size, generator=generator) for size in ((3, 4), (2, 5))]


def with_references(width: int, length: int, seed: int, method: str) -> Conditioning:
    return prompt(width, length, seed, reference_latents=reference_latents(), reference_latents_method=method)


def positions(axes: list[int], start: Callable[[int], int], shifted: bool = False) -> Callable[[Any, Layout], Any]:
    """Write the positions of the text out; start(length): where a prompt of that length begins; shifted: the picture begins where the text ends."""

    @contextmanager
    def around(model: Any, layout: Layout) -> Iterator[None]:
        embed = model.pe_embedder.forward

        def forward(ids: Tensor) -> Tensor:
            ids = ids.clone()
            text = layout.total - layout.image - layout.reference
            for span in (*layout.spans()["N"], *layout.spans()["P"]):
                for axis in axes:
                    ids[:, list(span), axis] = float(start(len(span))) + torch.arange(len(span), dtype=ids.dtype)
            if shifted:
                assert (ids[:, text, 1:] == text).all()
                ids[:, text:, 1:] -= sum(layout.negatives)
            return embed(ids)

        model.pe_embedder.forward = forward
        try:
            yield
        finally:
            del model.pe_embedder.forward

    return around


def last(conditions: dict[str, Any], length: int) -> Tensor:
    """Take a prompt's tokens from behind what the model filled it up with."""
    return conditions["c_crossattn"].cond[:, -length:]


def of_references(conditions: dict[str, Any]) -> int:
    return sum(ref.shape[-1] * ref.shape[-2] for ref in conditions.get("ref_latents") or ())


FLUX2_SPEC = Spec(
    name="flux2",
    family="Flux.2",
    build=lambda: build("Flux2", FLUX2, DEV, guidance_embed=True),
    prompt=partial(prompt, DEV),
    latent=lambda batch: torch.zeros(batch, 128, 4, 6),
    image_tokens=lambda x: 4 * 6,
    calls=4,
    tokens=last,
    around=positions([3], lambda length: max(FILLED - length, 0)),
    reference_tokens=of_references,
)
OVIS_SPEC = Spec(
    name="ovis_image",
    family="Ovis-Image",
    build=lambda: build("FluxSchnell", FLUX, OVIS, yak_mlp=True, txt_norm=True),
    prompt=partial(prompt, OVIS),
    latent=lambda batch: torch.zeros(batch, 16, 8, 12),
    image_tokens=lambda x: 4 * 6,
    calls=4,
    around=positions([1, 2], lambda length: 0),
)
SPECS = [
    FLUX2_SPEC,
    dataclasses.replace(FLUX2_SPEC, name="flux2_references", prompt=partial(with_references, DEV, method="index")),
    dataclasses.replace(
        FLUX2_SPEC,
        name="klein",
        build=lambda: build("Flux2", FLUX2, KLEIN),
        prompt=partial(prompt, KLEIN),
        around=positions([3], lambda length: 0),
    ),
    OVIS_SPEC,
    dataclasses.replace(
        OVIS_SPEC,
        name="longcat_image",
        family="LongCat-Image",
        build=lambda: build("LongCatImage", FLUX, LONGCAT),
        prompt=partial(prompt, LONGCAT),
        around=positions([1, 2], lambda length: 0, shifted=True),
    ),
]
