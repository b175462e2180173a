"""JoyImage and JoyImage-Edit: joint attention over [image, reference images, text] (comfy/ldm/joyimage/model.py). Text has no positions of its own."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .base import Family, Grid, Laid, input_width, patched


class JoyImage(Family):
    name = "JoyImage"
    encoders = frozenset({"qwen3vl_8b"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> JoyImage | None:
        parts = ("double_blocks", "condition_embedder", "img_in", "get_rotary_pos_embed_for_components")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self._model.double_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(self.layers())]

    def text_width(self) -> int | None:
        return input_width(self._model.condition_embedder.text_embedder.linear_1)

    def grid(self, x: Tensor) -> Grid:
        frames, height, width = self._model.patch_size
        return Grid(patched(x.shape[-3], frames), patched(x.shape[-2], height), patched(x.shape[-1], width))

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        return length - plan.text, 0
