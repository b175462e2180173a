"""Kandinsky 5 (Lite and Pro, video and image): cross-attention of video tokens over the text, which a few blocks of its own refine first, with
positions (comfy/ldm/kandinsky5/model.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .base import Family, Grid, Laid, input_width, patched


class Kandinsky5(Family):
    name = "Kandinsky 5"
    encoders = frozenset({"qwen25_7b", "clip_l"})
    joint = False

    @classmethod
    def match(cls, diffusion_model: Any) -> Kandinsky5 | None:
        parts = ("text_transformer_blocks", "visual_transformer_blocks", "text_embeddings", "rope_embedder_1d")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        # The hook for whole blocks calls them by wrong names in 0.33.0, so `blocks` names none and calls are counted.
        return len(self._model.visual_transformer_blocks)

    def text_width(self) -> int | None:
        return input_width(self._model.text_embeddings.in_layer)

    def grid(self, x: Tensor) -> Grid:
        frames, height, width = self._model.patch_size
        depth = patched(x.shape[-3], frames) if x.ndim == 5 else 1
        return Grid(depth, patched(x.shape[-2], height), patched(x.shape[-1], width))

    def other_lengths(self, x: Tensor) -> set[int]:
        return {self.grid(x).tokens}

    def mixes_text(self, queries: int, keys: int, plan: Laid) -> bool:
        return queries == keys == plan.text

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return _counted_alone(diffusion_model.rope_embedder_1d, plan)


@contextmanager
def _counted_alone(embedder: nn.Module, plan: Laid) -> Iterator[None]:
    """Give every prompt the positions that it would have alone, made as the host makes them.

    Only their differences matter among the tokens of one prompt, but in bfloat16 the numbers from 256 on are rounded, and with the last of them
    the step, so that even the first differences depend on the length of the whole.
    """
    lengths = [*(segment.length for segment in plan.segments), plan.text - plan.added]
    padding = plan.text - sum(lengths)

    def restart(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        ids, *rest = arguments
        alone = [torch.linspace(0, n - 1, steps=n, device=ids.device, dtype=ids.dtype) for n in lengths]
        return torch.cat([ids.new_zeros(padding), *alone])[None, :, None], *rest

    hook = embedder.register_forward_pre_hook(torch.compiler.disable(restart))
    try:
        yield
    finally:
        hook.remove()
