"""Qwen-Image, Edit and Layered: joint attention over [text, image, reference images] (comfy/ldm/qwen_image/model.py). Text tokens
count their positions from the picture's half width on, so each prompt is given those that it would have alone."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from .base import Family, Grid, Laid, input_width, patched, positions_restarted


class QwenImage(Family):
    name = "Qwen-Image"
    encoders = frozenset({"qwen25_7b"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> QwenImage | None:
        parts = ("transformer_blocks", "txt_norm", "txt_in", "img_in", "pe_embedder", "time_text_embed")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self._model.transformer_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(self.layers())]

    def text_width(self) -> int | None:
        return input_width(self._model.txt_in)

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(x.shape[-3], patched(x.shape[-2], patch), patched(x.shape[-1], patch))

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return positions_restarted(diffusion_model.pe_embedder, plan)
