"""Wan 2.1 and 2.2: cross-attention of video tokens over the text after each self-attention (comfy/ldm/wan/model.py).
The image tokens of image-to-video models are attended in a call of their own, which is left alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .base import Family, Grid, input_width, patched

# CLIP vision tokens of one image, and of a first and a last frame (WanI2VCrossAttention).
IMAGE_TOKENS = {257, 514}


class Wan(Family):
    name = "Wan"
    encoders = frozenset({"umt5xxl"})
    joint = False

    @classmethod
    def match(cls, diffusion_model: Any) -> Wan | None:
        blocks = getattr(diffusion_model, "blocks", None)
        if not blocks or not (hasattr(diffusion_model, "text_embedding") and hasattr(diffusion_model, "patch_embedding")):
            return None
        if not (hasattr(blocks[0], "cross_attn") and hasattr(blocks[0], "self_attn")):
            return None
        # The autoregressive model keeps text keys and values between steps: a negative would stay in them after its window.
        if "crossattn_cache" in inspect.signature(blocks[0].forward).parameters:
            return None
        return cls(diffusion_model)

    def layers(self) -> int:
        # VACE's extra blocks attend to the same text; they belong to the blocks that they run after.
        return len(self._model.blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(len(self._model.blocks))]

    def attends_text_twice(self, conditions: Mapping[str, Any]) -> bool:
        # WanI2VCrossAttention cuts the CLIP vision tokens off the text; without any it gives the whole text to the image's projection.
        return hasattr(self._model.blocks[0].cross_attn, "k_img") and conditions.get("clip_fea") is None

    def text_width(self) -> int | None:
        return input_width(self._model.text_embedding[0])

    def grid(self, x: Tensor) -> Grid:
        frames, height, width = self._model.patch_size
        return Grid(patched(x.shape[-3], frames), patched(x.shape[-2], height), patched(x.shape[-1], width))

    def other_lengths(self, x: Tensor) -> set[int]:
        return {self.grid(x).tokens} | IMAGE_TOKENS
