"""Mage-Flow: Qwen-Image's blocks over [text, image, reference images], without positions for text (comfy/ldm/mage_flow/model.py)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from .base import Grid, Laid
from .qwen import QwenImage


class MageFlow(QwenImage):
    name = "Mage-Flow"
    encoders = frozenset({"qwen3vl_4b"})

    @classmethod
    def match(cls, diffusion_model: Any) -> MageFlow | None:
        # Built like Qwen-Image but for its patches, which are single places of the latent.
        alike = super().match(diffusion_model) is not None and getattr(diffusion_model, "patch_size", None) == 1
        return cls(diffusion_model) if alike else None

    def grid(self, x: Tensor) -> Grid:
        return Grid(1, x.shape[-2], x.shape[-1])

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return nullcontext()
