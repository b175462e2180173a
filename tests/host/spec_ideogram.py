"""Ideogram 4: [text, image] in one sequence. Text positions count from 0, so the reference writes them out for [N, P] as each would have alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

CONFIG = {
    "image_model": "ideogram4", "in_channels": 128, "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 32, "intermediate_size": 96,
    "adaln_dim": 24, "llm_features_dim": 48, "rope_theta": 10000, "mrope_section": [6, 5, 5],
}  # fmt: skip


def prompt(length: int, seed: int) -> Conditioning:
    """Make a CONDITIONING as the text encoder gives it: with a mask, without padding."""
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "attention_mask": torch.ones(1, length, dtype=torch.long)}]]


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Write the text's positions out where they become factors."""
    import comfy.ldm.ideogram4.model as host

    factors = host.precompute_freqs_cis

    def precompute(width: int, positions: Tensor, *args: Any, **kwargs: Any) -> Any:
        positions = positions.clone()
        for span in (*layout.spans()["N"], *layout.spans()["P"]):
            positions[:, list(span)] = torch.arange(len(span))
        assert positions.shape[1] == layout.total and positions[:, -layout.image :].min() == 65536
        return factors(width, positions, *args, **kwargs)

    host.precompute_freqs_cis = precompute
    try:
        yield
    finally:
        host.precompute_freqs_cis = factors


def build() -> Any:
    """Build the model; the host would set the real widths, which are not in the checkpoint's shapes."""
    return _patcher(type("Tiny", (needs("Ideogram4"),), {"unet_extra_config": {}}), dict(CONFIG), 0)


SPECS = [
    Spec(
        name="ideogram4",
        family="Ideogram 4",
        build=build,
        prompt=prompt,
        latent=lambda batch: torch.zeros(batch, 128, 4, 6),
        image_tokens=lambda x: 4 * 6,
        calls=2,
        around=around,
    )
]
