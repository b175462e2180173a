"""Build tiny models that the pack does not support, or supports in another precision, of the host's real classes."""

from __future__ import annotations

from typing import Any

import comfy.supported_models
import pytest
import torch
from comfy.supported_models_base import BASE

from family_spec import needs
from tiny import FACTORIES
from tiny_models import _mmdit, _patcher, _unet


def hidream_o1() -> Any:
    text = {
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    sight = {"hidden_size": 32, "num_heads": 2, "depth": 1, "intermediate_size": 32}
    config = {"image_model": "hidream_o1", "text_config_overrides": text, "vision_config_overrides": sight}
    return _patcher(needs("HiDreamO1"), config, 0)


def sd3_with_registers() -> Any:
    return _patcher(comfy.supported_models.SD3, {**_mmdit(1, [], 2, 4096), "register_length": 4}, 0)


def video_unet() -> Any:
    config = _unet(
        in_channels=8, num_res_blocks=[1, 1], channel_mult=[1, 2], transformer_depth=[1, 1], transformer_depth_middle=1,
        transformer_depth_output=[1, 1, 1, 1], use_linear_in_transformer=True, context_dim=1024, num_classes="sequential",
        adm_in_channels=768, model_channels=64, use_temporal_attention=True, use_temporal_resblock=True,
        extra_ff_mix_layer=True, use_spatial_context=True, merge_strategy="learned_with_images", merge_factor=0.0, video_kernel_size=[3, 1, 1],
    )  # fmt: skip
    return _patcher(comfy.supported_models.SVD_img2vid, config, 0)


# The builder, and what the host calls the model's class.
OTHERS = {
    "HiDreamO1": hidream_o1,
    "SD3": sd3_with_registers,
    "SVD_img2vid": video_unet,
}


def in_precision(monkeypatch: pytest.MonkeyPatch, family: str, weights: torch.dtype, compute: torch.dtype | None) -> Any:
    """Build a family's model with weights of one precision, computing in another (None: the same), as the host's loaders do."""
    original = BASE.set_inference_dtype
    with monkeypatch.context() as patch:
        patch.setattr(BASE, "set_inference_dtype", lambda self, *_, **options: original(self, weights, compute, **options))
        return FACTORIES[family]()
