"""Offer everything that makes tests on the real host cheap: `from tiny import tiny_sd3, conditioning, sample`."""

from __future__ import annotations

from tiny_models import (
    FACTORIES,
    tiny_controlnet,
    tiny_flux,
    tiny_sd3,
    tiny_sd15,
    tiny_sd35_medium,
    tiny_sdxl,
    tiny_wan,
    tiny_wan_i2v,
)
from tiny_run import cfg_guider, conditioning, guider_sample, image_inputs, latent, latent_for, sample, with_control
from tiny_weights import randomise

__all__ = [
    "FACTORIES",
    "cfg_guider",
    "conditioning",
    "guider_sample",
    "image_inputs",
    "latent",
    "latent_for",
    "randomise",
    "sample",
    "tiny_controlnet",
    "tiny_flux",
    "tiny_sd3",
    "tiny_sd15",
    "tiny_sd35_medium",
    "tiny_sdxl",
    "tiny_wan",
    "tiny_wan_i2v",
    "with_control",
]
