"""CogVideoX 1.0 and 1.5, text or image to video: joint attention over [text, video] (comfy/ldm/cogvideo/model.py). Text has no positions of its
own, and those of the video do not depend on its length."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .base import Family, Grid, input_width, patched


class CogVideoX(Family):
    name = "CogVideoX"
    encoders = frozenset({"t5xxl"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> CogVideoX | None:
        parts = ("blocks", "patch_embed", "time_embedding_linear_1", "max_text_seq_length", "use_rotary_positional_embeddings")
        if not all(hasattr(diffusion_model, part) for part in parts) or not hasattr(diffusion_model.patch_embed, "text_proj"):
            return None
        return cls(diffusion_model)

    def layers(self) -> int:
        return len(self._model.blocks)

    def text_width(self) -> int | None:
        return input_width(self._model.patch_embed.text_proj)

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(patched(x.shape[-3], self._model.patch_size_t or 1), patched(x.shape[-2], patch), patched(x.shape[-1], patch))
