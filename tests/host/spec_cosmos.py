"""Cosmos 1, Cosmos-Predict2 and Anima: texts of 512 tokens, filled up with zeros, which a negative has not.

Image to video gets a picture's latents and a mask, by which Cosmos-Predict2 gives each frame a time of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from tiny_models import _patcher

TEXT = 512
# Of Anima: the language model's states, and the adapter's text.
STATES, ADAPTED = 40, 48
# T5 splits a prompt otherwise than the language model does.
MORE_IDS = 2

COSMOS = {
    "image_model": "cosmos", "max_img_h": 64, "max_img_w": 64, "max_frames": 16, "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1,
    "concat_padding_mask": True, "block_config": "FA-CA-MLP", "model_channels": 64, "num_blocks": 2, "num_heads": 2, "mlp_ratio": 2.0,
    "block_x_format": "THWBD", "crossattn_emb_channels": 48, "pos_emb_cls": "rope3d", "pos_emb_interpolation": "crop", "affline_emb_norm": True,
    "use_adaln_lora": True, "adaln_lora_dim": 16, "extra_per_block_abs_pos_emb": True, "extra_per_block_abs_pos_emb_type": "learnable",
}  # fmt: skip
PREDICT2 = {
    "image_model": "cosmos_predict2", "max_img_h": 64, "max_img_w": 64, "max_frames": 16, "out_channels": 16, "patch_spatial": 2,
    "patch_temporal": 1, "concat_padding_mask": True, "model_channels": 64, "num_blocks": 2, "num_heads": 2, "mlp_ratio": 2.0,
    "crossattn_emb_channels": 48, "pos_emb_cls": "rope3d", "pos_emb_learnable": True, "pos_emb_interpolation": "crop", "use_adaln_lora": True,
    "adaln_lora_dim": 16, "min_fps": 1, "max_fps": 30, "rope_h_extrapolation_ratio": 4.0, "rope_w_extrapolation_ratio": 4.0,
}  # fmt: skip


def filled(length: int, seed: int) -> Conditioning:
    """Make what Cosmos' T5 gives: zeros after the text, and a mask."""
    tokens = torch.nn.functional.pad(random_tokens(length, 48, seed), (0, 0, 0, TEXT - length))
    mask = (torch.arange(TEXT) < length).long()[None]
    return [[tokens, {"pooled_output": None, "attention_mask": mask}]]


def with_picture(length: int, seed: int) -> Conditioning:
    """Add the first of two frames of 8 x 12, as it is known and not to be made."""
    mask = torch.ones(1, 1, 2, 8, 12)
    mask[:, :, :1] = 0.0
    picture = torch.randn(1, 16, 2, 8, 12, generator=torch.Generator().manual_seed(99))
    return [[tokens, {**entry, "concat_latent_image": picture, "concat_mask": mask}] for tokens, entry in filled(length, seed)]


def for_adapter(length: int, seed: int) -> Conditioning:
    """Make what Anima's text encoder gives: states of `length` tokens, and T5's tokens, their end token last, with their weights."""
    count = length + MORE_IDS
    ids = torch.randint(2, 100, (count,), generator=torch.Generator().manual_seed(seed), dtype=torch.int)
    ids[-1] = 1
    entry = {"pooled_output": None, "attention_mask": torch.ones(1, length), "t5xxl_ids": ids, "t5xxl_weights": torch.ones(count)}
    return [[random_tokens(length, STATES, seed), entry]]


def tokens_of_filled(conditions: dict[str, Any], length: int) -> Tensor:
    """Take rows up to the last that is not zero."""
    text = conditions["c_crossattn"].cond
    count = max(i for i in range(text.shape[1]) if bool((text[:, i] != 0).any())) + 1
    return text[:, :count]


def tokens_of_adapted(conditions: dict[str, Any], length: int) -> Tensor:
    return conditions["c_crossattn"].cond[:, : length + MORE_IDS]


def anima() -> Any:
    """Build an Anima whose adapter is tiny too: the model gives it no sizes."""
    kind = needs("Anima")
    module = pytest.importorskip("comfy.ldm.anima.model")
    config = {**PREDICT2, "image_model": "anima", "in_channels": 16, "crossattn_emb_channels": ADAPTED}
    sizes = {"source_dim": STATES, "target_dim": ADAPTED, "model_dim": 32, "num_layers": 1, "num_heads": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LLMAdapter", functools.partial(module.LLMAdapter, **sizes))
        return _patcher(kind, config, 0)


def _spec(name: str, family: str, build: Callable[[], Any], frames: int, **fields: Any) -> Spec:
    return Spec(
        name=name,
        family=family,
        build=build,
        latent=lambda batch: torch.zeros(batch, 16, frames, 8, 12),
        image_tokens=lambda x: x.shape[2] * 4 * 6,
        calls=2,
        joint=False,
        **{"prompt": filled, "tokens": tokens_of_filled, **fields},
    )


SPECS = [
    _spec("cosmos", "Cosmos", lambda: _patcher(needs("CosmosT2V"), {**COSMOS, "in_channels": 16}, 0), 2),
    _spec("cosmos_i2v", "Cosmos", lambda: _patcher(needs("CosmosI2V"), {**COSMOS, "in_channels": 17}, 0), 2, prompt=with_picture),
    _spec("cosmos_predict2", "Cosmos-Predict2", lambda: _patcher(needs("CosmosT2IPredict2"), {**PREDICT2, "in_channels": 16}, 0), 1),
    _spec(
        "cosmos_predict2_i2v",
        "Cosmos-Predict2",
        lambda: _patcher(needs("CosmosI2VPredict2"), {**PREDICT2, "in_channels": 17}, 0),
        2,
        prompt=with_picture,
    ),
    _spec("anima", "Anima", anima, 1, prompt=for_adapter, tokens=tokens_of_adapted),
]
