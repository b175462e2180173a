"""Mage-Flow, without and with reference images: each place of the latent is a token, and text has no positions."""

from __future__ import annotations

from typing import Any

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from tiny_models import _patcher

CONFIG = {
    "image_model": "mage_flow", "in_channels": 128, "out_channels": 128, "num_layers": 2, "attention_head_dim": 32, "num_attention_heads": 2,
    "joint_attention_dim": 48, "axes_dims_rope": (8, 12, 12),
}  # fmt: skip


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None}]]


def with_references(length: int, seed: int) -> Conditioning:
    pictures = [torch.randn(1, 128, *size, generator=torch.Generator().manual_seed(90)) for size in ((4, 4), (3, 2))]
    return [[tokens, {**options, "reference_latents": pictures}] for tokens, options in prompt(length, seed)]


COMMON: dict[str, Any] = {
    "family": "Mage-Flow",
    "build": lambda: _patcher(needs("MageFlow"), dict(CONFIG), 0),
    "latent": lambda batch: torch.zeros(batch, 128, 4, 6),
    "image_tokens": lambda x: 4 * 6,
    "calls": 2,
}

SPECS = [
    Spec(name="mage", prompt=prompt, **COMMON),
    Spec(name="mage_references", prompt=with_references, reference_tokens=lambda conditions: 4 * 4 + 3 * 2, **COMMON),
]
