"""Make conditionings and latents for the tiny models and run the host's real samplers on them."""

from __future__ import annotations

from typing import Any

import comfy.clip_vision
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

# Width of the text, width of the pooled text (None: the family has none).
WIDTHS: dict[str, tuple[int, int | None]] = {
    "sd3": (4096, 2048),
    "sd35_medium": (4096, 2048),
    "flux": (4096, 768),
    "wan": (4096, None),
    "wan_i2v": (4096, None),
    "sd15": (768, 768),
    "sdxl": (2048, 1280),
}
# Channels of the latent, has frames.
LATENTS: dict[str, tuple[int, bool]] = {
    "sd3": (16, False),
    "sd35_medium": (16, False),
    "flux": (16, False),
    "wan": (16, True),
    "wan_i2v": (16, True),
    "sd15": (4, False),
    "sdxl": (4, False),
}
WAN_TEXT_LENGTH = 512

Conditioning = list[list]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def conditioning(
    family: str, length: int = 77, seed: int = 0, *, text_dim: int | None = None, pad_to: int | None = None, **extra: Any
) -> Conditioning:
    """Make a host CONDITIONING of `length` random token embeddings, as a text encoder of the family would give.

    `pad_to` adds zero rows up to that length; Wan's UMT5 always pads to 512, which is its default (0: no padding).
    `extra` goes into the dictionary (guidance=, control=, reference_latents=, start_percent= ...).
    Another seed is another prompt; the same seed gives the same first rows and the same pooled vector for every length.
    """
    width, pooled_width = WIDTHS[family]
    width = text_dim or width
    pooled = torch.randn(1, pooled_width or 1, generator=_generator(seed + 10_000))
    tokens = torch.randn(1, length, width, generator=_generator(seed))
    if pad_to is None:
        pad_to = WAN_TEXT_LENGTH if family.startswith("wan") else 0
    if pad_to > length:
        tokens = torch.nn.functional.pad(tokens, (0, 0, 0, pad_to - length))
    entry: dict[str, Any] = {"pooled_output": pooled if pooled_width is not None else None}
    if family == "wan_i2v":
        entry.update(image_inputs())
    return [[tokens, {**entry, **extra}]]


def image_inputs(seed: int = 99, height: int = 8, width: int = 8, frames: int = 2) -> dict[str, Any]:
    """Make what WanImageToVideo adds to a conditioning: picture latents, mask and 257 tokens of CLIP vision."""
    vision = comfy.clip_vision.Output()
    vision["penultimate_hidden_states"] = torch.randn(1, 257, 1280, generator=_generator(seed))
    mask = torch.ones(1, 1, frames, height, width)
    mask[:, :, :1] = 0.0
    return {
        "clip_vision_output": vision,
        "concat_latent_image": torch.randn(1, 16, frames, height, width, generator=_generator(seed + 1)),
        "concat_mask": mask,
    }


def with_control(positive: Conditioning, negative: Conditioning, net: Any, strength: float = 1.0, seed: int = 5) -> tuple:
    """Apply a ControlNet to both conditionings as ControlNetApplyAdvanced does, with a random hint picture."""
    hint = torch.rand(1, 3, 128, 128, generator=_generator(seed))
    applied = net.copy().set_cond_hint(hint, strength, (0.0, 1.0))
    extra = {"control": applied, "control_apply_to_uncond": False}
    return tuple([[tokens, {**entry, **extra}] for tokens, entry in side] for side in (positive, negative))


def latent(
    family: str, batch: int = 1, seed: int | None = None, height: int | None = None, width: int | None = None, frames: int = 2
) -> Tensor:
    """Make a latent [B, C, H, W], or [B, 16, T, H, W] for Wan: zeros, or random with a seed. 16 x 16, Wan 8 x 8."""
    channels, video = LATENTS[family]
    side = 8 if video else 16
    shape = [batch, channels, *([frames] if video else []), height or side, width or side]
    return torch.zeros(shape) if seed is None else torch.randn(shape, generator=_generator(seed))


def latent_for(model: Any, batch: int = 1) -> Tensor:
    """Make the empty latent that suits a model."""
    form = model.get_model_object("latent_format")
    if form.latent_dimensions == 3:
        return torch.zeros(batch, form.latent_channels, 2, 8, 8)
    return torch.zeros(batch, form.latent_channels, 16, 16)


@torch.inference_mode()
def sample(
    model: Any,
    positive: Conditioning,
    negative: Conditioning,
    cfg: float = 1.0,
    *,
    sampler_name: str = "euler",
    scheduler: str = "simple",
    steps: int = 3,
    seed: int = 0,
    batch: int = 1,
    latent: Tensor | None = None,
    denoise: float = 1.0,
    **options: Any,
) -> Tensor:
    """Run what the KSampler node runs: comfy.sample.sample with comfy.sample.prepare_noise.

    `options`: start_step, last_step, force_full_denoise, disable_noise, noise_mask, callback, noise (instead of the seeded one).
    """
    latent = latent_for(model, batch) if latent is None else latent
    noise = options.pop("noise", None)
    if noise is None:
        noise = comfy.sample.prepare_noise(latent, seed)
    return comfy.sample.sample(
        model, noise, steps, cfg, sampler_name, scheduler, positive, negative, latent,
        denoise=denoise, disable_pbar=True, seed=seed, **options,
    )  # fmt: skip


def cfg_guider(model: Any, positive: Conditioning, negative: Conditioning | None = None, cfg: float = 1.0) -> comfy.samplers.CFGGuider:
    """Make a CFGGuider, or what BasicGuider makes when there is no negative."""
    guider = comfy.samplers.CFGGuider(model)
    if negative is None:
        guider.inner_set_conds({"positive": positive})
    else:
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
    return guider


@torch.inference_mode()
def guider_sample(
    guider: Any,
    *,
    sampler_name: str = "euler",
    scheduler: str = "simple",
    steps: int = 3,
    seed: int = 0,
    batch: int = 1,
    latent: Tensor | None = None,
    sigmas: Tensor | None = None,
    denoise_mask: Tensor | None = None,
    callback: Any = None,
) -> Tensor:
    """Run what SamplerCustomAdvanced runs: guider.sample."""
    patcher = guider.model_patcher
    latent = latent_for(patcher, batch) if latent is None else latent
    if sigmas is None:
        sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), scheduler, steps).cpu()
    noise = comfy.sample.prepare_noise(latent, seed)
    return guider.sample(
        noise, latent, comfy.samplers.sampler_object(sampler_name), sigmas,
        denoise_mask=denoise_mask, callback=callback, disable_pbar=True, seed=seed,
    )  # fmt: skip
