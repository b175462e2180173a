"""HiDream-I1 and E1: joint attention over [image, T5's text, Llama's last layer, one more of its layers] (comfy/ldm/hidream/model.py).

Two encoders read the prompt. T5's rows and those of Llama's last layer go through all blocks; beside them each block is given another of Llama's layers,
which it drops again. So a prompt stands at three places of the sequence. No text has positions of its own, and nothing is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .base import Family, Grid, Inputs, Laid, input_width, patched, prompt_lengths

PARTS = ("double_stream_blocks", "single_stream_blocks", "caption_projection", "llama_layers", "p_embedder")
LAYERS = "encoder_hidden_states_llama3"


class HiDream(Family):
    name = "HiDream-I1"
    encoders = frozenset({"clip_l", "clip_g", "t5xxl", "llama"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> HiDream | None:
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in PARTS) else None

    def layers(self) -> int:
        return len(self._model.double_stream_blocks) + len(self._model.single_stream_blocks)

    def text_width(self) -> int | None:
        return input_width(self._model.caption_projection[-1].linear)

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        text = self.text_of(conditions)
        return None if text is None or conditions.get(LAYERS) is None else self.whole_text(text, conditions)

    def whole_text(self, text: Tensor, conditions: Mapping[str, Any]) -> Tensor:
        """Pack both encoders' rows as tokens, one for each place: T5's, and Llama's twice, each with half of its layers."""
        layers = conditions[LAYERS]
        halves = torch.nn.functional.pad(layers, (0, 0, 0, 0, 0, layers.shape[1] % 2)).unflatten(1, (2, -1))
        tokens = halves.transpose(2, 3).flatten(3).flatten(1, 2)
        width = max(text.shape[2], tokens.shape[2])
        return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[2])) for part in (text, tokens)], dim=1)

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        _, count, _, width = inputs.conditions[LAYERS].shape
        pieces = list(zip(inputs.text.split(prompt_lengths(plan)[1:], dim=1), plan.given, strict=True))
        # All files have texts of the same width.
        text = torch.cat([piece[:, :rows, : self.text_width() or width] for piece, rows in pieces], dim=1)
        packed = [piece[:, rows:, : (count + 1) // 2 * width] for piece, rows in pieces]
        halves = [tokens.unflatten(1, (2, -1)).unflatten(3, (-1, width)).transpose(2, 3) for tokens in packed]
        layers = torch.cat([half.flatten(1, 2)[:, :count] for half in halves], dim=2)
        return Inputs(text, {**inputs.conditions, LAYERS: layers}, inputs.options)

    def places(self, length: int, plan: Laid) -> list[tuple[int, int]]:
        start = length - plan.text
        counts = [(rows, *[(tokens - rows) // 2] * 2) for tokens, rows in zip(prompt_lengths(plan)[1:], plan.given, strict=True)]
        # Where T5's rows and Llama's begin, of the prompts that are still to come.
        t5, llama, _ = (sum(column) for column in zip(*counts, strict=True))
        at = [start, start + t5, start + t5 + llama]
        text = []
        for prompt in counts:
            text += [(begin, begin + count) for begin, count in zip(at, prompt, strict=True)]
            at = [begin + count for begin, count in zip(at, prompt, strict=True)]
        # E1's picture to edit is beside the image: each row of tokens goes on with one of that.
        row, own = start // plan.grid.height, plan.grid.width
        image = [(y, y + own) for y in range(0, start, row)]
        return [*text, *image, *((end, end + row - own) for _, end in image)]
