"""Krea 2, without and with reference images: text tokens of three layers, which are fused and refined before the first block."""

from __future__ import annotations

from typing import Any

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from tiny_models import _patcher

LAYERS, WIDTH = 3, 16
CONFIG = {
    "image_model": "krea2", "features": 64, "tdim": 32, "txtdim": WIDTH, "heads": 2, "kvheads": 1, "multiplier": 1, "layers": 2, "patch": 2,
    "channels": 16, "txtlayers": LAYERS, "txtheads": 2, "txtkvheads": 2,
}  # fmt: skip


def build(layers: int = LAYERS) -> Any:
    return _patcher(needs("Krea2"), {**CONFIG, "txtlayers": layers}, 0)


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, LAYERS * WIDTH, seed), {"pooled_output": None}]]


def with_references(length: int, seed: int) -> Conditioning:
    """Add two pictures, the second with a side that is no whole number of patches."""
    generator = torch.Generator().manual_seed(90)
    pictures = [torch.randn(1, 16, 1, *size, generator=generator) for size in ((8, 8), (4, 5))]
    extra = {"reference_latents": pictures, "reference_latents_method": "index_timestep_zero"}
    return [[tokens, {**options, **extra}] for tokens, options in prompt(length, seed)]


COMMON: dict[str, Any] = {
    "family": "Krea 2",
    "build": build,
    "latent": lambda batch: torch.zeros(batch, 16, 1, 7, 12),
    "image_tokens": lambda x: 4 * 6,
    "calls": 2,
    "text_calls": True,
}

SPECS = [
    Spec(name="krea2", prompt=prompt, **COMMON),
    Spec(name="krea2_references", prompt=with_references, reference_tokens=lambda conditions: 4 * 4 + 2 * 3, **COMMON),
]
