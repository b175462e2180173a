"""JoyImage: [image, text] in one sequence, and no positions of the text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

# The host sets the axes of the positions, for heads of 128.
CONFIG = {
    "image_model": "joyimage", "in_channels": 16, "hidden_size": 256, "patch_size": [1, 2, 2], "num_layers": 2, "num_attention_heads": 2,
    "text_dim": 48,
}  # fmt: skip


def prompt(length: int, seed: int) -> Conditioning:
    """Make a CONDITIONING as the text encoder gives it: with a mask, which the model does not read."""
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "attention_mask": torch.ones(1, length)}]]


def order(layout: Layout) -> Sequence[int]:
    """The model's sequence is [I, R, N, P]."""
    text, behind = layout.total - layout.image - layout.reference, layout.image + layout.reference
    return [*range(behind, behind + text), *range(behind)]


SPECS = [
    Spec(
        name="joyimage",
        family="JoyImage",
        build=lambda: _patcher(needs("JoyImage"), dict(CONFIG), 0),
        prompt=prompt,
        latent=lambda batch: torch.zeros(batch, 16, 1, 7, 12),
        image_tokens=lambda x: 4 * 6,
        calls=2,
        order=order,
        reference_tokens=lambda conditions: sum(-(-z.shape[-2] // 2) * -(-z.shape[-1] // 2) for z in conditions.get("ref_latents", [])),
    )
]
