"""CogVideoX: [text, video] in one sequence, and no positions of the text. 1.0 has patches of one frame, 1.5 of two."""

from __future__ import annotations

from typing import Any

import torch

from family_spec import Conditioning, Spec, needs, random_tokens
from tiny_models import _patcher

CONFIG = {
    "image_model": "cogvideox", "num_attention_heads": 2, "attention_head_dim": 64, "time_embed_dim": 32, "num_layers": 2, "in_channels": 16,
    "patch_size": 2, "text_embed_dim": 4096, "use_learned_positional_embeddings": False, "use_rotary_positional_embeddings": True,
}  # fmt: skip
# The position table is learned: it has room for 3 frames of 4 x 6 tokens behind 226 of text.
LEARNED = {
    **CONFIG, "num_attention_heads": 3, "use_learned_positional_embeddings": True, "use_rotary_positional_embeddings": False,
    "sample_height": 8, "sample_width": 12, "sample_frames": 9,
}  # fmt: skip
NEWER = {**CONFIG, "patch_size_t": 2, "in_channels": 32, "ofs_embed_dim": 32}


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 4096, seed), {"pooled_output": None}]]


def build(kind: str, config: dict[str, Any]) -> Any:
    patcher = _patcher(needs(kind), dict(config), 0)
    for block in patcher.model.diffusion_model.blocks:
        block.norm_q.bias.copy_(block.norm_q.bias.float() * 10.0)
    return patcher


def spec(name: str, kind: str, config: dict[str, Any], frames: int) -> Spec:
    return Spec(
        name=name,
        family="CogVideoX",
        build=lambda: build(kind, config),
        prompt=prompt,
        latent=lambda batch: torch.zeros(batch, 16, 3, 7, 12),
        image_tokens=lambda x: frames * 4 * 6,
        calls=2,
    )


SPECS = [
    spec("cogvideox", "CogVideoX_T2V", CONFIG, 3),
    spec("cogvideox_learned", "CogVideoX_T2V", LEARNED, 3),
    spec("cogvideox_15", "CogVideoX_I2V", NEWER, 2),
]
