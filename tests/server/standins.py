"""Put tiny models in the place of those that the example workflows load."""

from __future__ import annotations

import copy

from avert.tests.server import checkpoints as tiny
from avert.tests.server.graphs import api, is_demo
from avert.tests.server.prompts import Prompt, node

_SD3_LOADERS = {
    "model": node("UNETLoader", unet_name=tiny.SD3_MODEL, weight_dtype="default"),
    "clip": node("CLIPLoader", clip_name=tiny.CLIP_L, type="sd3"),
    "vae": node("VAELoader", vae_name=tiny.SD3_VAE),
}
_WAN_LOADERS = {**_SD3_LOADERS, "model": node("UNETLoader", unet_name=tiny.WAN_MODEL, weight_dtype="default")}
_SD15_LOADERS = {"model": node("CheckpointLoaderSimple", ckpt_name=tiny.SD15_CHECKPOINT)}
_SD15_OUTPUTS = {"MODEL": ["model", 0], "CLIP": ["model", 1], "VAE": ["model", 2]}
_PARTS = {"MODEL": ["model", 0], "CLIP": ["clip", 0], "VAE": ["vae", 0]}
# What each loader node gives, by output slot.
_LOADER_OUTPUTS = {
    "CheckpointLoaderSimple": ("MODEL", "CLIP", "VAE"),
    "UNETLoader": ("MODEL",),
    "CLIPLoader": ("CLIP",),
    "TripleCLIPLoader": ("CLIP",),
    "LTXAVTextEncoderLoader": ("CLIP",),
    "LTXVAudioVAELoader": ("VAE",),
    "VAELoader": ("VAE",),
}
_SMALL = {"width": 128, "height": 128, "length": 5}
MOST_STEPS = 10
# Wan stands in for the other video models, SD3 for the other flow models, SD1.5 for the rest and for Flux: the wiring is what is tested.
_VIDEO = ("_wan", "_ltx", "_minimax")
_FLOW = ("_sd3", "_z_image", "_qwen_image", "_krea")
# Sound is left out: these give what comes in at a socket, by output slot.
_PASS = {"LTXVConcatAVLatent": ("video_latent",), "LTXVSeparateAVLatent": ("av_latent",)}
# The older host loads Wan's autoencoder in its full size only, so that the latent is saved instead of a video.
_LEFT_OUT = (
    "VAEDecode", "SaveAnimatedWEBP", "CreateVideo", "SaveVideo", "LTXVAudioVAEDecode", "VAEDecodeAudio", "LTXVEmptyLatentAudio",
)  # fmt: skip
_WATCHER = "watcher"


def shrink(name: str) -> Prompt:
    """Give the API form of a workflow with tiny models, a tiny picture and, where one watches, the watcher that comes with the pack."""
    if is_demo(name):
        return api(name)
    prompt = copy.deepcopy(api(name))
    video = any(kind in name for kind in _VIDEO)
    flow = video or any(kind in name for kind in _FLOW)
    loaders, outputs = (_WAN_LOADERS if video else _SD3_LOADERS, _PARTS) if flow else (_SD15_LOADERS, _SD15_OUTPUTS)
    gone = {key: _LOADER_OUTPUTS[body["class_type"]] for key, body in prompt.items() if body["class_type"] in _LOADER_OUTPUTS}
    prompt = {key: body for key, body in prompt.items() if key not in gone}
    for body in prompt.values():
        for key, value in body["inputs"].items():
            if isinstance(value, list) and value[0] in gone:
                body["inputs"][key] = outputs[gone[value[0]][value[1]]]
            elif key in _SMALL:
                body["inputs"][key] = _SMALL[key]
            elif key == "steps":
                body["inputs"][key] = min(value, MOST_STEPS)
            elif key == "lora_name":
                body["inputs"][key] = tiny.WAN_LORA if flow else tiny.SD15_LORA
    prompt = {**_watched(prompt), **copy.deepcopy(loaders)}
    return _without_sound_and_video(_split(prompt)) if video else prompt


def _watched(prompt: Prompt) -> Prompt:
    """Let the demo's vision-language model watch; it knows only the demo world, so that it may name nothing here."""
    watched = [body for body in prompt.values() if body["class_type"] == "AvertVLMNegative"]
    for body in watched:
        body["inputs"]["vlm"] = [_WATCHER, 0]
    own = {key: body for key, body in prompt.items() if body["class_type"] != "AvertLoadVLM"}
    return {**own, _WATCHER: node("AvertLoadVLM", model_name="Avert demo", device="default")} if watched else prompt


def _split(prompt: Prompt) -> Prompt:
    """Replace the node that makes MiniMax's prompt and its empty latent at once by two."""
    for key, body in list(prompt.items()):
        if body["class_type"] == "MiniMaxH3ImageToVideo":
            inputs = body["inputs"]
            prompt[key] = node("CLIPTextEncode", clip=inputs["clip"], text=inputs["prompt"])
            prompt[f"{key} empty"] = node("EmptyHunyuanLatentVideo", batch_size=1, **{name: inputs[name] for name in _SMALL})
            _relink(prompt, {(key, 1): [f"{key} empty", 0]})
    return prompt


def _relink(prompt: Prompt, links: dict[tuple[str, int], list]) -> None:
    """Let whatever takes the one take the other."""
    for body in prompt.values():
        for name, value in body["inputs"].items():
            if isinstance(value, list) and (value[0], value[1]) in links:
                body["inputs"][name] = links[value[0], value[1]]


def _without_sound_and_video(prompt: Prompt) -> Prompt:
    """Drop the sound, and save the latent of the video."""
    for key, body in prompt.items():
        sockets = _PASS.get(body["class_type"], ())
        _relink(prompt, {(key, slot): body["inputs"][socket] for slot, socket in enumerate(sockets)})
    decoder = next(body for body in prompt.values() if body["class_type"] == "VAEDecode")
    dropped = (*_LEFT_OUT, *_PASS)
    kept = {key: body for key, body in prompt.items() if body["class_type"] not in dropped}
    return {**kept, "save": node("SaveLatent", samples=decoder["inputs"]["samples"], filename_prefix="video")}
