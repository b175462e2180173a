"""OmniGen2 and Boogu: one sequence of [text, reference images, image], after refiners of each (comfy/ldm/omnigen/omnigen2.py, boogu/model.py).

Boogu's first blocks attend a second time among all images alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from .base import Grid, Laid, input_width
from .lumina import NextDiT, positions_counted_on

PARTS = ("time_caption_embed", "context_refiner", "noise_refiner", "ref_image_refiner", "rope_embedder")


class OmniGen2(NextDiT):
    name = "OmniGen2"
    encoders = frozenset({"qwen25_3b"})

    @classmethod
    def match(cls, diffusion_model: Any) -> OmniGen2 | None:
        if not all(hasattr(diffusion_model, part) for part in PARTS):
            return None
        if hasattr(diffusion_model, "double_stream_layers"):
            return Boogu(diffusion_model)
        return OmniGen2(diffusion_model) if hasattr(diffusion_model, "layers") else None

    def layers(self) -> int:
        return len(self._model.layers)

    def text_width(self) -> int | None:
        return input_width(self._model.time_caption_embed.caption_embedder[-1])

    def measure(self, x: Tensor, conditions: Mapping[str, Any]) -> tuple[Grid, set[int]]:
        grid = self.grid(x)
        image = grid.tokens
        others = sum(self.grid(latent).tokens for latent in conditions.get("ref_latents") or ())
        return grid, {image, others, others + image}

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        return 0, length - plan.grid.tokens

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        # Text tokens count on all three axes.
        return positions_counted_on(diffusion_model.rope_embedder.rope_embedder, plan, text_axes=3)


class Boogu(OmniGen2):
    name = "Boogu"
    encoders = frozenset({"qwen3vl_8b"})

    def layers(self) -> int:
        return len(self._model.double_stream_layers) + len(self._model.single_stream_layers)
