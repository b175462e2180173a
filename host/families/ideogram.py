"""Ideogram 4: joint attention over [text, image] (comfy/ldm/ideogram4/model.py). Text counts its positions from 0, the image from a number far beyond
any text, and padding of the text is a segment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from ..operator import operators
from .base import Family, Grid, Inputs, Laid, input_width, restarted


class Ideogram4(Family):
    name = "Ideogram 4"
    encoders = frozenset({"qwen3vl_8b"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> Ideogram4 | None:
        parts = ("layers", "llm_cond_proj", "embed_image_indicator", "_backbone")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self._model.layers)

    def text_width(self) -> int | None:
        return input_width(self._model.llm_cond_proj)

    def grid(self, x: Tensor) -> Grid:
        # A pixel of the latent is a token.
        return Grid(1, x.shape[-2], x.shape[-1])

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        # The mask is 1 for a token and 0 for padding, whatever its type; there is none where nothing is padded.
        mask = inputs.conditions.get("attention_mask")
        if mask is None:
            return inputs
        wide = torch.nn.functional.pad(mask, (plan.added, 0), value=1)
        return Inputs(inputs.text, {**inputs.conditions, "attention_mask": wide}, inputs.options)

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return _positions_restarted(diffusion_model, plan)


@contextmanager
def _positions_restarted(model: Any, plan: Laid) -> Iterator[None]:
    """Let every prompt count its positions from 0: no module makes them, so they are changed on their way to all of the model's layers."""
    before, original = vars(model).get("_backbone"), model._backbone
    known, restart = operators(), torch.compiler.disable(restarted)

    def backbone(text: Tensor, x: Tensor, t: Tensor, positions: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        own = known.positions(positions, 0, 0) if known is not None and torch.compiler.is_compiling() else restart(positions, plan)
        return original(text, x, t, own, *args, **kwargs)

    model._backbone = backbone
    try:
        yield
    finally:
        if before is None:
            del model._backbone
        else:
            model._backbone = before
