"""SD3, SD3.5 Large, Large Turbo and Medium: joint attention over [text, image] (comfy/ldm/modules/diffusionmodules/mmdit.py)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .base import Family, Grid, input_width, patched


class SD3(Family):
    name = "SD3"
    encoders = frozenset({"clip_l", "clip_g", "t5xxl"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> SD3 | None:
        if not (hasattr(diffusion_model, "joint_blocks") and hasattr(diffusion_model, "context_embedder")):
            return None
        # Register tokens stand before the text, and a context processor mixes the text before the first block: no released
        # model of this family has either, and the negative could not be kept apart.
        if getattr(diffusion_model, "register_length", 0) > 0 or getattr(diffusion_model, "context_processor", None) is not None:
            return None
        return cls(diffusion_model)

    def layers(self) -> int:
        return len(self._model.joint_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(len(self._model.joint_blocks))]

    def text_width(self) -> int | None:
        return input_width(self._model.context_embedder)

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size or 2
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))

    def other_lengths(self, x: Tensor) -> set[int]:
        # SD3.5 Medium attends a second time among image tokens only; the joint call is always longer than that.
        return {self.grid(x).tokens}
