"""AuraFlow and Pony v7: joint attention over [registers, text, image] in double and single blocks (comfy/ldm/aura/mmdit.py).
Text has no positions. The registers are learned tokens: seen by all, and never guided."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .base import Family, Grid, Laid, input_width, patched


class AuraFlow(Family):
    name = "AuraFlow"
    encoders = frozenset({"pile_t5xl"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> AuraFlow | None:
        parts = ("double_layers", "single_layers", "register_tokens", "cond_seq_linear", "positional_encoding")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self.blocks())

    def blocks(self) -> list[tuple[str, int]]:
        double = [("double_block", i) for i in range(len(self._model.double_layers))]
        return double + [("single_block", i) for i in range(len(self._model.single_layers))]

    def text_width(self) -> int | None:
        return input_width(self._model.cond_seq_linear)

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        registers = self._model.register_tokens.shape[1]
        return registers, registers + plan.text
