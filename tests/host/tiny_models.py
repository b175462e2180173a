"""Build the host's real model classes, tiny, with random weights, as ModelPatchers on the CPU in float32.

Widths of text and pooled inputs are the real ones, so that real text encoders fit; everything else is small.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.ldm.flux.model
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import torch

from tiny_weights import randomise

CPU = torch.device("cpu")
# 0.33.0 may replace the class of patchers; 0.3.64 has one class only.
PATCHER = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)


def _patcher(config_class: type, unet_config: dict[str, Any], seed: int) -> comfy.model_patcher.ModelPatcher:
    """Build the model of a class of comfy.supported_models and wrap it as the host's loaders do."""
    config = config_class(unet_config)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=CPU)
    randomise(model.diffusion_model, seed)
    model.eval()
    return PATCHER(model, load_device=CPU, offload_device=CPU)


def _mmdit(layers: int, self_attention_layers: list[int], heads: int, text_dim: int) -> dict[str, Any]:
    """Describe an MMDiT as comfy.model_detection does for SD3.5: hidden width is 64 per head."""
    return {
        "in_channels": 16,
        "patch_size": 2,
        "out_channels": 16,
        "depth": heads,
        "num_blocks": layers,
        "input_size": None,
        "adm_in_channels": 2048,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": text_dim, "out_features": 64 * heads},
        },
        "num_patches": 24 * 24,
        "pos_embed_max_size": 24,
        "pos_embed_scaling_factor": None,
        "qk_norm": "rms",
        "x_block_self_attn_layers": self_attention_layers,
    }


def tiny_sd3(seed: int = 0, layers: int = 3, heads: int = 2, text_dim: int = 4096) -> comfy.model_patcher.ModelPatcher:
    """Build an SD3.5-large like MMDiT: `layers` joint blocks, RMS norm of queries and keys."""
    return _patcher(comfy.supported_models.SD3, _mmdit(layers, [], heads, text_dim), seed)


def tiny_sd35_medium(seed: int = 0, layers: int = 4, heads: int = 2, text_dim: int = 4096) -> comfy.model_patcher.ModelPatcher:
    """Build an SD3.5-medium like MMDiT: the first two blocks have a second self-attention over the image only."""
    return _patcher(comfy.supported_models.SD3, _mmdit(layers, [0, 1], heads, text_dim), seed)


def tiny_flux(
    seed: int = 0, double: int = 2, single: int = 2, heads: int = 2, text_dim: int = 4096, guidance_embed: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """Build a Flux.1: schnell by default, dev with `guidance_embed`. Kontext is the same model with `reference_latents`."""
    axes = [8, 12, 12]
    unet_config = {
        "image_model": "flux",
        "in_channels": 16,
        "out_channels": 16,
        "patch_size": 2,
        "vec_in_dim": 768,
        "context_in_dim": text_dim,
        "hidden_size": heads * sum(axes),
        "mlp_ratio": 4.0,
        "num_heads": heads,
        "depth": double,
        "depth_single_blocks": single,
        "axes_dim": axes,
        "theta": 10000,
        "qkv_bias": True,
        "guidance_embed": guidance_embed,
        "txt_ids_dims": [],
    }
    # 0.3.64 does not know txt_ids_dims, 0.33.0 requires it.
    known = {field.name for field in dataclasses.fields(comfy.ldm.flux.model.FluxParams)} | {"image_model"}
    unet_config = {key: value for key, value in unet_config.items() if key in known}
    config_class = comfy.supported_models.Flux if guidance_embed else comfy.supported_models.FluxSchnell
    return _patcher(config_class, unet_config, seed)


def _wan(model_type: str, in_dim: int, layers: int, heads: int, text_dim: int) -> dict[str, Any]:
    return {
        "image_model": "wan2.1",
        "model_type": model_type,
        "patch_size": (1, 2, 2),
        "in_dim": in_dim,
        "out_dim": 16,
        "dim": 48 * heads,
        "ffn_dim": 96 * heads,
        "freq_dim": 256,
        "text_dim": text_dim,
        "num_heads": heads,
        "num_layers": layers,
        "qk_norm": True,
        "cross_attn_norm": True,
        "eps": 1e-6,
    }


def tiny_wan(seed: int = 0, layers: int = 3, heads: int = 2, text_dim: int = 4096) -> comfy.model_patcher.ModelPatcher:
    """Build a Wan 2.1 text-to-video model."""
    return _patcher(comfy.supported_models.WAN21_T2V, _wan("t2v", 16, layers, heads, text_dim), seed)


def tiny_wan_i2v(seed: int = 0, layers: int = 3, heads: int = 2, text_dim: int = 4096) -> comfy.model_patcher.ModelPatcher:
    """Build a Wan 2.1 image-to-video model: 257 image tokens before the text, 20 channels of picture and mask."""
    return _patcher(comfy.supported_models.WAN21_I2V, _wan("i2v", 36, layers, heads, text_dim), seed)


def _unet(**changes: Any) -> dict[str, Any]:
    """Describe a UNet as comfy.model_detection does."""
    return {
        "use_checkpoint": False,
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "use_spatial_transformer": True,
        "legacy": False,
        "adm_in_channels": None,
        "dtype": torch.float32,
        "model_channels": 32,
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
        **changes,
    }


# Three levels with attention and one without, as SD1.5; one block per level, and eight heads by comfy.supported_models.SD15.
SD15_UNET = {
    "num_res_blocks": [1, 1, 1, 1],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 0, 0],
    "use_linear_in_transformer": False,
    "context_dim": 768,
}


def tiny_sd15(seed: int = 0) -> comfy.model_patcher.ModelPatcher:
    """Build an SD1.5 UNet with attention on three levels."""
    return _patcher(comfy.supported_models.SD15, _unet(**SD15_UNET), seed)


def tiny_sdxl(seed: int = 0) -> comfy.model_patcher.ModelPatcher:
    """Build an SDXL UNet: attention on two levels, two layers deep on the lowest, pooled text and sizes."""
    unet_config = _unet(
        num_res_blocks=[1, 1, 1],
        channel_mult=[1, 2, 4],
        transformer_depth=[0, 1, 2],
        transformer_depth_middle=2,
        transformer_depth_output=[0, 0, 1, 1, 2, 2],
        use_linear_in_transformer=True,
        context_dim=2048,
        num_classes="sequential",
        adm_in_channels=2816,
        model_channels=64,
    )
    return _patcher(comfy.supported_models.SDXL, unet_config, seed)


def tiny_controlnet(seed: int = 0) -> comfy.controlnet.ControlNet:
    """Build a ControlNet for `tiny_sd15`; its output layers are random too, so that it acts."""
    net = comfy.cldm.cldm.ControlNet(
        **{**_unet(**SD15_UNET), "num_heads": 8, "num_head_channels": -1, "hint_channels": 3},
        operations=comfy.ops.disable_weight_init,
        device=CPU,
    )
    return comfy.controlnet.ControlNet(randomise(net, seed), load_device=CPU)


FACTORIES = {
    "sd3": tiny_sd3,
    "sd35_medium": tiny_sd35_medium,
    "flux": tiny_flux,
    "wan": tiny_wan,
    "wan_i2v": tiny_wan_i2v,
    "sd15": tiny_sd15,
    "sdxl": tiny_sdxl,
}
