"""Build prompts in the API's form out of a few pieces."""

from __future__ import annotations

import copy
from typing import Any

from avert.tests.server.checkpoints import CLIP_L, SD3_MODEL, SD3_VAE, SD15_CHECKPOINT, UNSUPPORTED_MODEL

Prompt = dict[str, dict[str, Any]]
SIZE = 128


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Give one node."""
    return {"class_type": class_type, "inputs": inputs}


def _sd15_loaders() -> Prompt:
    return {"checkpoint": node("CheckpointLoaderSimple", ckpt_name=SD15_CHECKPOINT)}


def _unet_loaders(unet_name: str) -> Prompt:
    return {
        "unet": node("UNETLoader", unet_name=unet_name, weight_dtype="default"),
        "clip": node("CLIPLoader", clip_name=CLIP_L, type="sd3"),
        "vae": node("VAELoader", vae_name=SD3_VAE),
    }


_SOURCES: dict[str, tuple[list[Any], list[Any], list[Any], str]] = {
    "sd15": (["checkpoint", 0], ["checkpoint", 1], ["checkpoint", 2], "EmptyLatentImage"),
    "sd3": (["unet", 0], ["clip", 0], ["vae", 0], "EmptySD3LatentImage"),
    "unsupported": (["unet", 0], ["clip", 0], ["vae", 0], "EmptyLatentImage"),
}


def text_to_image(family: str, *, steps: int = 3, cfg: float = 1.0, rerun: int = 0) -> Prompt:
    """Build loaders, two prompts, KSampler, decode and save for a family.

    `rerun` counts runs of one and the same workflow: the host would answer from its cache otherwise. It changes denoise below the
    0.9999 from which the host treats it as 1, so the picture is the same.
    """
    model, clip, vae, empty = _SOURCES[family]
    loaders = _sd15_loaders() if family == "sd15" else _unet_loaders(SD3_MODEL if family == "sd3" else UNSUPPORTED_MODEL)
    return {
        **loaders,
        "positive": node("CLIPTextEncode", clip=clip, text="a portrait of a man in a garden, photograph"),
        "negative": node("CLIPTextEncode", clip=clip, text="glasses"),
        "latent": node(empty, width=SIZE, height=SIZE, batch_size=1),
        "sampler": node(
            "KSampler", model=model, positive=["positive", 0], negative=["negative", 0], latent_image=["latent", 0], seed=7, steps=steps,
            cfg=cfg, sampler_name="euler", scheduler="normal", denoise=1.0 - rerun * 1e-6,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=vae),
        "save": node("SaveImage", images=["decode", 0], filename_prefix=f"{family}"),
    }  # fmt: skip


def with_model_node(prompt: Prompt, name: str, class_type: str, **inputs: Any) -> Prompt:
    """Put a node (model in, model out) before the sampler, after those that are there."""
    changed = copy.deepcopy(prompt)
    changed[name] = node(class_type, model=changed["sampler"]["inputs"]["model"], **inputs)
    changed["sampler"]["inputs"]["model"] = [name, 0]
    return changed


def with_negative_prompt(prompt: Prompt, family: str, text: str = "glasses") -> Prompt:
    """Add AvertNegativePrompt under the name "avoid"."""
    return {**copy.deepcopy(prompt), "avoid": node("AvertNegativePrompt", clip=list(_SOURCES[family][1]), text=text)}


def with_report(prompt: Prompt) -> Prompt:
    """Put AvertReport between the sampler and the decoder."""
    changed = copy.deepcopy(prompt)
    changed["report"] = node("AvertReport", model=changed["sampler"]["inputs"]["model"], latent=["sampler", 0])
    changed["decode"]["inputs"]["samples"] = ["report", 0]
    return changed
