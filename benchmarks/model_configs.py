"""The models that `model.py` builds: their configurations as ComfyUI's loader finds them in the published checkpoints (comfy/model_detection.py; for
LTX-2 also the checkpoint's own metadata), and what their text encoders and empty latents give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Shape = tuple[int, ...]


def no_entries(length: int) -> dict[str, Any]:
    return {}


def mask(length: int) -> dict[str, Any]:
    return {"attention_mask": torch.ones(1, length, dtype=torch.long)}


def tags(length: int) -> dict[str, Any]:
    """Say that all tokens are of text, as MiniMax H3's encoder does."""
    return {"minimax_token_tags": torch.ones(length, dtype=torch.long)}


def picture(channels: int = 16, factor: int = 8, *frames: int) -> Callable[[int, int], list[Shape]]:
    return lambda side, _: [(1, channels, *frames, side // factor, side // factor)]


def wan_video(side: int, frames: int) -> list[Shape]:
    return [(1, 16, (frames - 1) // 4 + 1, side // 8, side // 8)]


def ltx_video(side: int, frames: int) -> list[Shape]:
    """Shape video and sound; at 25 frames per second there is one token of sound per frame."""
    return [(1, 128, (frames - 1) // 8 + 1, side // 32, side // 32), (1, 8, frames, 16)]


def minimax_video(side: int, frames: int) -> list[Shape]:
    """Shape video and sound; 5 frames are two of the latent, every 17 more another five."""
    groups = max(0, -(-(frames - 5) // 17))
    return [(1, 24, 2 + 5 * groups, side // 16, side // 16), (1, 32, 2, round((5 + 17 * groups) / 24 * 40))]


@dataclass(frozen=True)
class Model:
    """Describe a model.

    kind: class of comfy.supported_models; layers: how many blocks of each kind there are, by their names in `config`; once: layers that only go over
    the text, once per run: with fewer blocks they are left out, for they would weigh as if they ran in every step; latent(side, frames): shapes of
    what is sampled, the guided stream first; patch: of the latent, per token; width, tokens: of the positive prompt; filled: whether the encoder fills the
    classic negative up to as many; negative: tokens of ours, which are not filled up; entries(length): what else a prompt has; frames: on a CPU and on a GPU.
    """

    title: str
    kind: str
    config: Mapping[str, Any]
    layers: Mapping[str, int]
    latent: Callable[[int, int], list[Shape]]
    width: int
    tokens: int
    patch: Shape = (2, 2)
    once: Mapping[str, int] = field(default_factory=dict)
    filled: bool = False
    negative: int = 12
    pooled: int | None = None
    entries: Callable[[int], dict[str, Any]] = no_entries
    frames: tuple[int, int] | None = None

    def configuration(self, blocks: int | None) -> dict[str, Any]:
        """Give the configuration with at most `blocks` blocks of each kind (None: all)."""
        layers = {name: min(count, blocks or count) for name, count in self.layers.items()}
        return {**self.config, **layers, **{name: 0 if blocks else count for name, count in self.once.items()}}

    def image_tokens(self, side: int, frames: int) -> int:
        """Count the tokens of picture or video."""
        places = self.latent(side, frames)[0][2:]
        count = 1
        for size, patch in zip(places, (*(1,) * (len(places) - len(self.patch)), *self.patch), strict=True):
            count *= -(-size // patch)
        return count


SD35 = Model(
    "SD3.5 Large",
    "SD3",
    {
        "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 38, "input_size": None, "adm_in_channels": 2048,
        "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 64 * 38}},
        "num_patches": 192 * 192, "pos_embed_max_size": 192, "pos_embed_scaling_factor": None, "qk_norm": "rms", "x_block_self_attn_layers": [],
    },
    {"num_blocks": 38}, picture(), 4096, 154, filled=True, negative=20, pooled=2048,
)  # fmt: skip
FLUX = Model(
    "Flux.1",
    "FluxSchnell",
    {
        "image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "vec_in_dim": 768, "context_in_dim": 4096,
        "hidden_size": 3072, "mlp_ratio": 4.0, "num_heads": 24, "axes_dim": [16, 56, 56], "theta": 10000, "qkv_bias": True,
        "guidance_embed": False, "txt_ids_dims": [],
    },
    {"depth": 19, "depth_single_blocks": 38}, picture(), 4096, 256, filled=True, pooled=768,
)  # fmt: skip
FLUX2 = {
    "image_model": "flux2", "in_channels": 128, "out_channels": 128, "patch_size": 1, "vec_in_dim": None, "mlp_ratio": 3.0,
    "axes_dim": [32, 32, 32, 32], "theta": 2000, "qkv_bias": False, "ops_bias": False, "global_modulation": True, "mlp_silu_act": True,
    "default_ref_method": "index", "ref_index_scale": 10.0, "txt_ids_dims": [3],
}  # fmt: skip
FLUX2_DEV = Model(
    "FLUX.2 dev",
    "Flux2",
    {**FLUX2, "hidden_size": 6144, "num_heads": 48, "context_in_dim": 15360, "guidance_embed": True},
    {"depth": 8, "depth_single_blocks": 48}, picture(128, 16), 15360, 512, (1, 1), filled=True,
)  # fmt: skip
KLEIN = Model(
    "FLUX.2 Klein 4B",
    "Flux2",
    {**FLUX2, "hidden_size": 3072, "num_heads": 24, "context_in_dim": 7680, "guidance_embed": False},
    {"depth": 5, "depth_single_blocks": 20}, picture(128, 16), 7680, 512, (1, 1), filled=True,
)  # fmt: skip
QWEN = Model(
    "Qwen-Image",
    "QwenImage",
    {"image_model": "qwen_image", "in_channels": 64},
    {"num_layers": 60}, picture(16, 8, 1), 3584, 30,
)  # fmt: skip
ZIMAGE = Model(
    "Z-Image (Turbo)",
    "ZImage",
    {
        "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 3840, "cap_feat_dim": 2560, "qk_norm": True, "n_heads": 30,
        "n_kv_heads": 30, "axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "rope_theta": 256.0, "ffn_dim_multiplier": 8.0 / 3.0,
        "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
    },
    {"n_layers": 30, "n_refiner_layers": 2}, picture(), 2560, 40, entries=mask,
)  # fmt: skip
KREA2 = Model(
    "Krea 2",
    "Krea2",
    {
        "image_model": "krea2", "features": 6144, "channels": 16, "patch": 2, "heads": 48, "kvheads": 12, "txtlayers": 12, "txtdim": 2560,
    },
    {"layers": 28}, picture(16, 8, 1), 12 * 2560, 30,
)  # fmt: skip
WAN = {
    "image_model": "wan2.1", "model_type": "t2v", "in_dim": 16, "out_dim": 16, "freq_dim": 256, "patch_size": (1, 2, 2),
    "window_size": (-1, -1), "qk_norm": True, "cross_attn_norm": True, "eps": 1e-6, "text_dim": 4096,
}  # fmt: skip
WAN_SMALL = Model(
    "Wan 2.1 1.3B",
    "WAN21_T2V",
    {**WAN, "dim": 1536, "num_heads": 12, "ffn_dim": 8960},
    {"num_layers": 30}, wan_video, 4096, 512, filled=True, frames=(5, 81),
)  # fmt: skip
WAN_LARGE = Model(
    "Wan 2.1 and 2.2 14B",
    "WAN21_T2V",
    {**WAN, "dim": 5120, "num_heads": 40, "ffn_dim": 13824},
    {"num_layers": 40}, wan_video, 4096, 512, filled=True, frames=(5, 81),
)  # fmt: skip
# Texts as they leave the connectors, which go over them once per run: 1024 tokens for video and sound. Of a negative, ours are its own tokens.
LTX2 = Model(
    "LTX-2.3",
    "LTXAV",
    {
        "image_model": "ltxav", "in_channels": 128, "audio_in_channels": 128, "attention_head_dim": 128, "num_attention_heads": 32,
        "cross_attention_dim": 4096, "audio_attention_head_dim": 64, "audio_num_attention_heads": 32, "audio_cross_attention_dim": 2048,
        "caption_channels": 3840, "positional_embedding_theta": 10000.0, "positional_embedding_max_pos": [20, 2048, 2048],
        "audio_positional_embedding_max_pos": [20], "causal_temporal_positioning": True, "timestep_scale_multiplier": 1000,
        "av_ca_timestep_scale_multiplier": 1000.0, "use_middle_indices_grid": True, "rope_type": "split", "frequencies_precision": "float64",
        "cross_attention_adaln": True, "apply_gated_attention": True, "caption_proj_before_connector": True, "caption_projection_first_linear": False,
        "connector_apply_gated_attention": True, "connector_attention_head_dim": 128, "connector_num_attention_heads": 32,
        "audio_connector_attention_head_dim": 64, "audio_connector_num_attention_heads": 32,
    },
    {"num_layers": 48}, ltx_video, 4096 + 2048, 1024, (1, 1, 1), {"connector_num_layers": 8}, filled=True, frames=(25, 97),
)  # fmt: skip
MINIMAX = Model(
    "MiniMax H3",
    "MiniMaxH3",
    {
        "image_model": "minimax_h3", "hidden_size": 5376, "latents_dim": 24, "audio_latents_dim": 32, "attention_head_dim": 128,
        "num_attention_heads": 56, "ffn_hidden_size": 14336, "text_dim": 5120, "timestep_input_dim": 256, "time_embed_hidden_size": 5376,
        "time_embed_dim": 2688, "rope_inv_freq_len": 16,
    },
    {"num_layers": 50}, minimax_video, 5120, 60, (1, 2, 2), {"token_refiner_num_layers": 2}, entries=tags, frames=(22, 124),
)  # fmt: skip

MODELS = {
    "sd35": SD35, "flux": FLUX, "flux2": FLUX2_DEV, "klein": KLEIN, "qwen": QWEN, "zimage": ZIMAGE, "krea2": KREA2, "wan": WAN_SMALL,
    "wan14b": WAN_LARGE, "ltx2": LTX2, "minimax_h3": MINIMAX,
}  # fmt: skip
MOST_USED = ("minimax_h3", "ltx2", "qwen", "wan14b", "zimage")
