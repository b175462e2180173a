"""HunyuanVideo 1.0 and 1.5, HunyuanImage 2.1: the text passes a refiner that mixes it, so the reference refines each prompt by a model call of its own.

Sequences: [text, byT5 or a first frame, picture], 1.5 [vision, byT5, text, picture]; on hosts that flip them, pictures come first.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import comfy.clip_vision
import comfy.ldm.flux.layers
import comfy.ldm.hunyuan_video.model
import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

FLIPPED = "flipped_img_txt" in inspect.signature(comfy.ldm.flux.layers.DoubleStreamBlock.__init__).parameters
BASE: dict[str, Any] = {
    "vec_in_dim": None, "context_in_dim": 48, "hidden_size": 64, "mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 2,
    "theta": 256, "qkv_bias": True, "guidance_embed": False, "byt5": False, "meanflow": False, "use_cond_type_embedding": False,
    "vision_in_dim": None, "meanflow_sum": False,
}  # fmt: skip
VIDEO = {
    "in_channels": 16, "out_channels": 16, "patch_size": [1, 2, 2], "axes_dim": [8, 12, 12], "vec_in_dim": 24, "guidance_embed": True,
}  # fmt: skip
IMAGE = {"in_channels": 64, "out_channels": 64, "patch_size": [1, 1], "axes_dim": [16, 16], "byt5": True}
VIDEO15 = {
    "in_channels": 65, "out_channels": 32, "patch_size": [1, 1, 1], "axes_dim": [8, 12, 12], "byt5": True, "use_cond_type_embedding": True,
    "vision_in_dim": 40,
}  # fmt: skip
# Tokens of quoted words, of the picture that CLIP vision saw, and of one frame of the video.
GLYPHS, VISION, FRAME = 7, 6, 24


def build(kind: str, **changes: Any) -> Any:
    """Build a model; 0.3.64 does not know all of its parameters."""
    names = {field.name for field in dataclasses.fields(comfy.ldm.hunyuan_video.model.HunyuanVideoParams)}
    config = {name: value for name, value in {**BASE, **changes}.items() if name in names}
    return _patcher(needs(kind), {"image_model": "hunyuan_video", **config}, 0)


def video_prompt(length: int, seed: int, **extra: Any) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": random_tokens(1, 24, seed + 50)[:, 0], **extra}]]


def image_prompt(length: int, seed: int, **extra: Any) -> Conditioning:
    glyphs = random_tokens(GLYPHS, 1472, seed + 60)
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "conditioning_byt5small": glyphs, **extra}]]


def video15_prompt(length: int, seed: int) -> Conditioning:
    vision = comfy.clip_vision.Output()
    vision["last_hidden_state"] = random_tokens(VISION, 40, 99)
    start = torch.randn(1, 32, 2, 4, 6, generator=torch.Generator().manual_seed(98))
    return image_prompt(length, seed, clip_vision_output=vision, concat_latent_image=start)


def reference_prompt(length: int, seed: int) -> Conditioning:
    first = torch.randn(1, 16, 1, 8, 12, generator=torch.Generator().manual_seed(97))
    return video_prompt(length, seed, ref_latent=first)


def spans(layout: Layout) -> list[list[int]]:
    """Give the tokens of each prompt, counted from the first of the text, which begins with the negatives."""
    return [list(span) for span in (*layout.spans()["N"], *layout.spans()["P"])]


def order(layout: Layout, vision: int = 0, glyphs: int = 0, first: int = 0) -> Sequence[int]:
    """Place [N.., P, I, R]: vision and byT5 tokens in front of the text, or byT5 alone behind it, and a first frame in front of the picture."""
    text = [("lead", vision and vision + glyphs), ("words", sum(layout.negatives) + layout.positive), ("glyphs", 0 if vision else glyphs)]
    pictures = [("first", first), ("picture", layout.image)]
    at, places = 0, {}
    for name, length in pictures + text if FLIPPED else text + pictures:
        places[name] = range(at, at + length)
        at += length
    return [place for name in ("words", "picture", "lead", "glyphs", "first") for place in places[name]]


@contextmanager
def around(model: Any, layout: Layout, moved: bool = False) -> Iterator[None]:
    """Replace the refiner by one that works on each prompt alone; moved: keep the first frame's modulation where it would be without N."""
    refiner = model.txt_in
    with ExitStack() as stack:
        hook = partial(_refine_apart, type(refiner).forward, spans(layout))
        stack.callback(refiner.register_forward_hook(hook, with_kwargs=True).remove)
        for block in model.single_blocks if moved else ():
            hook = partial(_move, sum(layout.negatives))
            stack.callback(block.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def _refine_apart(forward: Callable[..., Tensor], prompts: list[list[int]], refiner: Any, args: tuple, kwargs: dict, out: Tensor) -> Tensor:
    text, times, mask = args
    assert mask is None
    plain = {**kwargs, "transformer_options": {}}
    return torch.cat([forward(refiner, text[:, tokens], times, None, **plain) for tokens in prompts], 1)


def _move(negative: int, block: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    return args, {**kwargs, "modulation_dims": [(0, negative + FRAME, 0), (negative + FRAME, None, 1)]}


def video_spec(name: str, prompt: Callable[[int, int], Conditioning], **changes: Any) -> Spec:
    return Spec(
        **{
            "name": name,
            "family": "HunyuanVideo/Image",
            "build": lambda: build("HunyuanVideo", **VIDEO),
            "prompt": prompt,
            "latent": lambda batch: torch.zeros(batch, 16, 2, 8, 12),
            "image_tokens": lambda x: 2 * FRAME,
            "calls": 3,
            "order": order,
            "around": around,
            **changes,
        }
    )


SPECS = [
    video_spec("hunyuan_video", video_prompt),
    video_spec(
        "hunyuan_image",
        image_prompt,
        build=lambda: build("HunyuanImage21", **IMAGE),
        latent=lambda batch: torch.zeros(batch, 64, 5, 8),
        image_tokens=lambda x: 40,
        order=partial(order, glyphs=GLYPHS),
        reference_tokens=lambda conditions: GLYPHS,
    ),
    video_spec(
        "hunyuan_video15",
        video15_prompt,
        build=lambda: build("HunyuanVideo15", **VIDEO15),
        latent=lambda batch: torch.zeros(batch, 32, 2, 4, 6),
        order=partial(order, vision=VISION, glyphs=GLYPHS),
        reference_tokens=lambda conditions: VISION + GLYPHS,
    ),
]
# Image to video of 1.0, where the host takes one video at a time: "custom", a picture of its own in front, and "v2 (replace)", the first frame given.
WITH_PICTURE = {
    "reference": video_spec(
        "hunyuan_video_reference",
        reference_prompt,
        order=partial(order, first=FRAME),
        reference_tokens=lambda conditions: FRAME,
    ),
    "replace": video_spec("hunyuan_video_replace", partial(video_prompt, guiding_frame_index=0), around=partial(around, moved=not FLIPPED)),
}
