"""Krea 2: one stream of [text, image, reference images] (comfy/ldm/krea2/model.py). Text has no positions of its own. Before the first block
each text token is fused from several layers of its encoder, token by token, and then refined among the other text tokens."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .base import Family, Grid, patched


class Krea2(Family):
    name = "Krea 2"
    encoders = frozenset({"qwen3vl_4b"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> Krea2 | None:
        parts = ("blocks", "txtfusion", "txtmlp", "txtlayers", "txtdim", "pe_embedder", "patch")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self._model.blocks)

    def text_width(self) -> int | None:
        return self._model.txtlayers * self._model.txtdim

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))
