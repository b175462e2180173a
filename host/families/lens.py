"""Lens: joint attention over [image, text] (comfy/ldm/lens/model.py). Text tokens count their positions from the picture's half width on,
so each prompt is given those that it would have alone. There is always a mask, made for the text that the model gets."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from .base import Family, Grid, Laid, input_width, positions_restarted


class Lens(Family):
    name = "Lens"
    encoders = frozenset({"gpt_oss"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> Lens | None:
        parts = ("transformer_blocks", "txt_norm", "txt_in", "img_in", "pos_embed", "time_text_embed", "selected_layer_index")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self._model.transformer_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(self.layers())]

    def text_width(self) -> int | None:
        return input_width(self._model.txt_in)

    def grid(self, x: Tensor) -> Grid:
        # Each place of the latent is a token; `patch_size` is only what the latent was packed by.
        return Grid(1, x.shape[-2], x.shape[-1])

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        return plan.grid.tokens, 0

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return positions_restarted(diffusion_model.pos_embed, plan, plan.grid.tokens)
