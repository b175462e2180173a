"""Flux.1 (dev, Schnell, Fill, Kontext): joint attention over [text, image, reference images] in double and single blocks
(comfy/ldm/flux/model.py). Text has no positions of its own, so a negative may stand anywhere in it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .base import Family, Grid, input_width, patched


class Flux(Family):
    name = "Flux"
    encoders = frozenset({"clip_l", "t5xxl"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> Flux | None:
        if not (hasattr(diffusion_model, "double_blocks") and hasattr(diffusion_model, "single_blocks")):
            return None
        # Relatives built from the same blocks: HunyuanVideo mixes its text in a refiner (txt_in is no linear layer), Chroma has a
        # guidance approximator, Flux.2, LongCat and Ovis give their text positions (txt_ids_dims).
        if not isinstance(getattr(diffusion_model, "txt_in", None), nn.Linear) or hasattr(diffusion_model, "distilled_guidance_layer"):
            return None
        params = getattr(diffusion_model, "params", None)
        if getattr(params, "txt_ids_dims", None) or getattr(params, "global_modulation", False) or getattr(params, "txt_norm", False):
            return None
        return cls(diffusion_model)

    def layers(self) -> int:
        return len(self._model.double_blocks) + len(self._model.single_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        double = [("double_block", i) for i in range(len(self._model.double_blocks))]
        return double + [("single_block", i) for i in range(len(self._model.single_blocks))]

    def text_width(self) -> int | None:
        return input_width(self._model.txt_in)

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))
