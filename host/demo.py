"""Build the demo world as objects of the host: MODEL, CLIP and VAE, from the weights that come with the pack."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models_base
import folder_paths
import torch

from ..demo.model import weights
from ..demo.model.config import MMDIT, UNET
from ..demo.model.words import WORDS
from .demo_classes import FlowConfig, NoiseConfig, TextEncoders, tokenizer_of

VARIANTS = (weights.FEW_STEP, weights.GUIDED)


def load_demo(variant: str, folder: Path | None = None) -> tuple[Any, Any, Any]:
    """Give (MODEL, CLIP, VAE) of a variant; `folder`: where the weights are, if not where they come with the pack."""
    if variant not in VARIANTS:
        raise ValueError(f"`variant` is {variant!r}; choose one of {', '.join(VARIANTS)}.")
    return load_model(variant, folder), load_clip(variant, folder), load_vae(folder)


def load_model(variant: str, folder: Path | None = None) -> Any:
    """Build the diffusion model. Float32 wherever it runs: it is too small for half precision to gain anything."""
    config = FlowConfig(copy.deepcopy(MMDIT)) if variant == weights.FEW_STEP else NoiseConfig(copy.deepcopy(UNET))
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    weights.fill(model.diffusion_model, weights.read_weights(variant, folder, weights.MODEL), variant)
    offload = comfy.model_management.unet_offload_device()
    model.to(offload)
    return comfy.model_patcher.ModelPatcher(model, load_device=comfy.model_management.get_torch_device(), offload_device=offload)


def load_clip(variant: str, folder: Path | None = None, words: tuple[str, ...] = WORDS) -> Any:
    """Build the text encoder of a variant, with its tokenizer; words: those that it knows."""
    # Through our own class, which takes nothing but what belongs there; the host would only log what is missing.
    found = weights.load_text_encoder(variant, folder).state_dict()
    target = comfy.supported_models_base.ClipTarget(tokenizer_of(words), TextEncoders)
    options = {"embedding_directory": folder_paths.get_folder_paths("embeddings"), "model_options": {"dtype": torch.float32}}
    # Newer hosts want the weights at once, because they may put the model on its device; 0.3.64 takes them afterwards.
    if "state_dict" in inspect.signature(comfy.sd.CLIP).parameters:
        return comfy.sd.CLIP(target, state_dict=[found], **options)
    clip = comfy.sd.CLIP(target, **options)
    clip.load_sd(found)
    return clip


def load_vae(folder: Path | None = None) -> Any:
    """Build the autoencoder, which both variants share; the host tells its kind by the keys."""
    return comfy.sd.VAE(sd=weights.load_autoencoder(folder).state_dict(), dtype=torch.float32)
