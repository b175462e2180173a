"""HiDream-I1: two encoders' texts, three places in the sequence [image, T5, Llama's last layer, another of its layers].

T5's rows and Llama's differ in number, and the reference counts the places of each token out.
"""

from __future__ import annotations

from typing import Any

import comfy.supported_models
import torch
from torch import Tensor

from family_spec import Conditioning, Spec, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

WIDTH, POOLED, LAYERS = 48, 40, 3
# Of each text Llama's rows are more than T5's.
MORE = 2
CONFIG = {
    "image_model": "hidream", "patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 2, "num_single_layers": 2,
    "attention_head_dim": 32, "num_attention_heads": 2, "caption_channels": [WIDTH, WIDTH], "text_emb_dim": POOLED, "num_routed_experts": 4,
    "num_activated_experts": 2, "axes_dims_rope": [16, 8, 8], "max_resolution": [32, 32], "llama_layers": [0, 1, 2, 2],
}  # fmt: skip
LLAMA = "encoder_hidden_states_llama3"


def prompt(length: int, seed: int) -> Conditioning:
    layers = torch.stack([random_tokens(length + MORE, WIDTH, 100 * seed + layer)[0] for layer in range(LAYERS)])[None]
    return [[random_tokens(length, WIDTH, seed), {"pooled_output": random_tokens(1, POOLED, seed)[0], "conditioning_llama3": layers}]]


def tokens_of(length: int) -> int:
    return length + 2 * (length + MORE)


def order(layout: Layout) -> list[int]:
    """Count out [image, T5 of N, of P, last layer of N, of P, own layer of N, of P], with a picture to edit beside each row of the image."""
    negative, positive = ((tokens - 2 * MORE) // 3 for tokens in (*layout.negatives, layout.positive))
    t5 = layout.image + layout.reference
    last = t5 + negative + positive
    own = last + negative + positive + 2 * MORE
    ours = [*range(t5, t5 + negative), *range(last, last + negative + MORE), *range(own, own + negative + MORE)]
    theirs = [
        *range(t5 + negative, last), *range(last + negative + MORE, own), *range(own + negative + MORE, own + negative + positive + 2 * MORE)
    ]  # fmt: skip
    # 4 rows of 6 tokens.
    row = t5 // 4
    image = [y * row + x for y in range(4) for x in range(6)]
    reference = [y * row + x for y in range(4) for x in range(6, row)]
    return [*ours, *theirs, *image, *reference]


def beside(conditions: dict[str, Any], negative: dict[str, Any]) -> dict[str, Any]:
    layers = negative[LLAMA].cond.to(conditions[LLAMA])
    return {**conditions, LLAMA: torch.cat([layers.expand(conditions[LLAMA].shape[0], -1, -1, -1), conditions[LLAMA]], dim=2)}


def reference_tokens(conditions: dict[str, Any]) -> int:
    """Count E1's picture to edit, which is as high as the latent."""
    picture: Tensor | None = conditions.get("image_cond")
    return 0 if picture is None else 4 * -(-picture.shape[-1] // 2)


COMMON: dict[str, Any] = {
    "family": "HiDream-I1", "prompt": prompt, "latent": lambda batch: torch.zeros(batch, 16, 8, 12), "image_tokens": lambda x: 4 * 6, "calls": 4,
    "order": order, "positive_tokens": tokens_of, "negative_tokens": tokens_of, "beside": beside, "reference_tokens": reference_tokens,
}  # fmt: skip
SPECS = [
    Spec(name="hidream", build=lambda: _patcher(comfy.supported_models.HiDream, dict(CONFIG), 0), **COMMON),
    # Without a choice of experts, which rounding may change for a token.
    Spec(
        name="hidream_dense",
        build=lambda: _patcher(comfy.supported_models.HiDream, {**CONFIG, "num_routed_experts": 0}, 0),
        **COMMON,
    ),
]
