"""SD1.5, SD2 and SDXL: the UNet's cross-attention over the text (comfy/ldm/modules/attention.py, BasicTransformerBlock.attn2)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .base import Family, Grid, input_width, patched

# Halvings between the finest and the coarsest level; more than any of these UNets has.
LEVELS = 6


class UNet(Family):
    name = "UNet"
    encoders = frozenset({"clip_l", "clip_g", "clip_h"})
    joint = False
    text_patches = True

    @classmethod
    def match(cls, diffusion_model: Any) -> UNet | None:
        if not all(hasattr(diffusion_model, part) for part in ("input_blocks", "middle_block", "output_blocks")):
            return None
        modules = list(diffusion_model.modules())
        # Video UNets (SVD) take one image token as their context and have no text.
        if any(hasattr(module, "time_stack") for module in modules) or not any(hasattr(module, "attn2") for module in modules):
            return None
        return cls(diffusion_model)

    def model_name(self) -> str:
        return {768: "SD1.5", 1024: "SD2", 2048: "SDXL"}.get(self.text_width() or 0, self.name)

    def layers(self) -> int:
        return sum(getattr(module, "attn2", None) is not None for module in self._model.modules())

    def text_width(self) -> int | None:
        first = next(module.attn2 for module in self._model.modules() if getattr(module, "attn2", None) is not None)
        return input_width(first.to_k)

    def grid(self, x: Tensor) -> Grid:
        return Grid(1, x.shape[-2], x.shape[-1])

    def other_lengths(self, x: Tensor) -> set[int]:
        # Self-attention has one key per latent position of its level.
        return {patched(x.shape[-2], 2**level) * patched(x.shape[-1], 2**level) for level in range(LEVELS)}
