"""Sizes of the demo world's models, as the host's classes take them; shared by training, the host's loader and our own sampler."""

from __future__ import annotations

from typing import Any

# Words, and width of what the text encoder gives.
VOCABULARY = 128
TEXT_WIDTH = 128
TEXT_LENGTH = 24

# 64 pixels to a side, eight pixels to a latent.
PICTURE = 64
DOWNSCALE = 8
CHANNELS = 16

# What the host's SD3 latent format does to latents of the autoencoder: (z - shift) * scale (comfy/latent_formats.py).
LATENT = {"scale": 1.5305, "shift": 0.0609}

# Of the flow's noise schedule (ModelSamplingDiscreteFlow in comfy/model_sampling.py); 1: none.
SHIFT = 1.0
MULTIPLIER = 1000

# Of the UNet's noise schedule, as SD1.5's (ModelSamplingDiscrete); "linear" is the host's word for linear in the square root.
BETAS: dict[str, Any] = {"beta_schedule": "linear", "linear_start": 0.00085, "linear_end": 0.012, "timesteps": 1000}

# comfy.ldm.modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper: `depth` heads of 64, `num_blocks` joint blocks.
MMDIT: dict[str, Any] = {
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "patch_size": 1,
    "depth": 3,
    "num_blocks": 4,
    "mlp_ratio": 4.0,
    "qk_norm": "rms",
    "input_size": None,
    "num_patches": None,
    "adm_in_channels": None,
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": TEXT_WIDTH, "out_features": 192}},
}

# comfy.clip_model.CLIPTextModel
TEXT: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": TEXT_WIDTH,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "hidden_act": "gelu",
    "max_position_embeddings": TEXT_LENGTH,
    "eos_token_id": 2,
}

# comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel
UNET: dict[str, Any] = {
    "image_size": 8,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "model_channels": 64,
    "channel_mult": [1, 1],
    "num_res_blocks": [1, 1],
    "transformer_depth": [1, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 0, 1, 0],
    "context_dim": TEXT_WIDTH,
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "use_checkpoint": False,
    "legacy": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}

# Red, green and blue in [-1, 1] of each channel of the latents, and of none: least squares over a thousand pictures. For live previews.
PREVIEW = (
    (0.1366, 0.0419, -0.0519), (0.2577, 0.2865, 0.1120), (-0.1627, -0.1452, -0.3235), (0.0284, -0.1550, -0.1382),
    (-0.1277, -0.1079, -0.0478), (0.1691, 0.2522, 0.1198), (-0.0252, -0.0396, -0.0326), (-0.1535, -0.1281, 0.0532),
    (0.1736, 0.0048, 0.0801), (-0.0074, 0.1518, 0.1625), (0.1580, 0.2160, 0.3569), (-0.2066, -0.1527, 0.0178),
    (-0.1554, -0.1078, 0.0034), (-0.0341, -0.1142, -0.0807), (-0.0694, -0.0574, -0.1203), (0.1045, 0.0169, -0.1088),
)  # fmt: skip
PREVIEW_BIAS = (0.4042, 0.4208, 0.4195)
