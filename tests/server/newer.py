"""Know which model of the host each example workflow needs, and which of them the older host does not have."""

from __future__ import annotations

from typing import Any

import pytest

# Workflows of models that the older host does not have: the host's class of the model, and a node that is missing there if there is one.
NEWER = {
    "vsf_z_image_turbo": ("ZImage", None),
    "nag_z_image_turbo": ("ZImage", None),
    "vlm_vsf_krea2": ("Krea2", None),
    "vsf_ltx2": ("LTXAV", "LTXVConcatAVLatent"),
    "vsf_minimax_h3": ("MiniMaxH3", "MiniMaxH3ImageToVideo"),
}
# The models of the others, which both hosts have.
MODELS = {
    "vsf_sd35_turbo": "SD3", "nag_flux_schnell": "FluxSchnell", "vsf_flux_schnell_amplify": "FluxSchnell", "nasa_sdxl_lightning": "SDXL",
    "vsf_wan_few_step": "WAN21_T2V", "vsf_wan22_few_step": "WAN21_T2V", "vsf_sampler_negative_sd15": "SD15", "vsf_qwen_image": "QwenImage",
    "dng_sdxl": "SDXL", "vlm_sd15": "SD15", "vlm_vsf_qwen_image": "QwenImage",
}  # fmt: skip


def has_all(info: dict[str, Any]) -> bool:
    """Tell the newer host: the older one lacks this node of its own."""
    return "ManualSigmas" in info


def skip_if_too_new(name: str, info: dict[str, Any]) -> None:
    """Skip what this host cannot load, if the list says so."""
    if name in NEWER and not has_all(info):
        pytest.skip(f"{name} needs a newer host than this: {NEWER[name]}")
