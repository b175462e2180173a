"""Read the example workflows: the frontend's graph form, the API's form, and tiny stand-ins for their models."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from avert.tests.server import checkpoints as tiny
from avert.tests.server.prompts import Prompt, node

from tiers import ROOT

WORKFLOWS = ROOT / "workflows"
# Notes and the like exist in the frontend only.
FRONTEND_ONLY = ("MarkdownNote", "Note", "Reroute", "PrimitiveNode")
# The frontend keeps a widget of its own behind these inputs; it is not sent to the host.
WITH_CONTROL = ("seed", "noise_seed")
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def names() -> list[str]:
    """List the example workflows."""
    return sorted(path.stem for path in WORKFLOWS.glob("*.json"))


def is_demo(name: str) -> bool:
    """Tell a workflow on the model that comes with the pack: it needs no stand-ins."""
    return name.endswith("_demo")


def load(path: Path) -> dict[str, Any]:
    """Read a workflow."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def graph(name: str) -> dict[str, Any]:
    """Read the graph form of a workflow."""
    return load(WORKFLOWS / f"{name}.json")


def api(name: str) -> Prompt:
    """Read the API form of a workflow, without titles."""
    path = WORKFLOWS / "api" / (f"{name}_api.json" if is_demo(name) else f"{name}.json")
    return {key: {k: v for k, v in body.items() if k != "_meta"} for key, body in load(path).items()}


def known_only(prompt: Prompt, info: dict[str, Any]) -> Prompt:
    """Drop what a frontend sends beyond the host's inputs (titles, and the text of a preview)."""
    return {
        key: node(body["class_type"], **{k: v for k, v in body["inputs"].items() if k in inputs_of(info[body["class_type"]])})
        for key, body in prompt.items()
    }


def inputs_of(description: dict[str, Any]) -> dict[str, Any]:
    """Give every input of a node, as /object_info describes it, in the frontend's order."""
    return {key: spec for kind in ("required", "optional") for key, spec in description["input"].get(kind, {}).items()}


def _is_widget(spec: list[Any]) -> bool:
    return isinstance(spec[0], list) or spec[0] in WIDGET_TYPES


def to_api(workflow: dict[str, Any], info: dict[str, Any]) -> Prompt:
    """Convert the graph form as the frontend does: values by position, links by id."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt: Prompt = {}
    for item in workflow["nodes"]:
        if item["type"] in FRONTEND_ONLY:
            continue
        values, inputs = list(item["widgets_values"]), {}
        for key, spec in inputs_of(info[item["type"]]).items():
            if _is_widget(spec):
                inputs[key] = values.pop(0)
                options = spec[1] if len(spec) > 1 else {}
                if options.get("control_after_generate", key in WITH_CONTROL):
                    values.pop(0)
        inputs |= {slot["name"]: links[slot["link"]] for slot in item["inputs"] if slot["link"] is not None}
        assert values == [], f"{item['type']} {item['id']}: values left over: {values}"
        prompt[str(item["id"])] = node(item["type"], **inputs)
    return prompt


# -- stand-ins --------------------------------------------------------------------------------------------------------
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
    "VAELoader": ("VAE",),
}
_SMALL = {"width": 128, "height": 128, "length": 5}


def shrink(name: str) -> Prompt:
    """Give the API form of a workflow with tiny models and a tiny picture. Flux runs on the tiny SD1.5: the wiring is what is tested."""
    if is_demo(name):
        return api(name)
    prompt = copy.deepcopy(api(name))
    wan = "_wan_" in name
    loaders, outputs = (_WAN_LOADERS if wan else _SD3_LOADERS, _PARTS) if wan or "_sd3" in name else (_SD15_LOADERS, _SD15_OUTPUTS)
    gone = {key: _LOADER_OUTPUTS[body["class_type"]] for key, body in prompt.items() if body["class_type"] in _LOADER_OUTPUTS}
    prompt = {key: body for key, body in prompt.items() if key not in gone}
    for body in prompt.values():
        for key, value in body["inputs"].items():
            if isinstance(value, list) and value[0] in gone:
                body["inputs"][key] = outputs[gone[value[0]][value[1]]]
            elif key in _SMALL:
                body["inputs"][key] = _SMALL[key]
            elif key == "lora_name":
                body["inputs"][key] = tiny.WAN_LORA if wan else tiny.SD15_LORA
    return _without_video_decoder({**prompt, **copy.deepcopy(loaders)}) if wan else {**prompt, **copy.deepcopy(loaders)}


def _without_video_decoder(prompt: Prompt) -> Prompt:
    """Save the latent of a video: the older host loads Wan's autoencoder in its full size only."""
    decoder = next(key for key, body in prompt.items() if body["class_type"] == "VAEDecode")
    latent = prompt[decoder]["inputs"]["samples"]
    kept = {key: body for key, body in prompt.items() if body["class_type"] not in ("VAEDecode", "SaveAnimatedWEBP")}
    return {**kept, "save": node("SaveLatent", samples=latent, filename_prefix="wan")}
