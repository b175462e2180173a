"""AuraFlow: eight registers before the text, one double block and two single ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

REGISTERS = 8
CONFIG = {"max_seq": 64, "cond_seq_dim": 48, "dim": 64, "n_heads": 2, "n_layers": 3, "n_double_layers": 1, "global_conddim": 64}


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None}]]


def order(layout: Layout) -> Sequence[int]:
    """Take the registers, which stand first, as what comes after the image."""
    return [*range(REGISTERS, layout.total), *range(REGISTERS)]


SPECS = [
    Spec(
        name="aura",
        family="AuraFlow",
        build=lambda: _patcher(needs("AuraFlow"), dict(CONFIG), 0),
        prompt=prompt,
        latent=lambda batch: torch.zeros(batch, 4, 7, 12),
        image_tokens=lambda x: 4 * 6,
        calls=3,
        order=order,
        reference_tokens=lambda conditions: REGISTERS,
    )
]
