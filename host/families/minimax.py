"""MiniMax H3: joint attention over [text, keyframes or references, sound, video] in one packed sequence (comfy/ldm/minimax/model.py). The host
refines each text alone, before sampling. Video and sound count their time on from the end of the positive text, whatever stands before it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import torch
from torch import Tensor

from .base import Family, Grid, Inputs, Laid, input_width, patched, unpacked

# What the model calls a token of text; others (video 0) are those of pictures that its text encoder saw.
TEXT_TAG = 1
PICTURES = (
    "The negative has pictures in it, and MiniMax H3 would be steered away from them too; write what you do not want in an Avert Negative Prompt "
    "or CLIP Text Encode node and connect it to `negative`."
)


class MiniMaxH3(Family):
    name = "MiniMax H3"
    encoders = frozenset({"qwen3vl_32b"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> MiniMaxH3 | None:
        parts = ("blocks", "token_refiner", "condition_proj", "video_patch_proj", "audio_patch_proj", "preprocess_text_embeds")
        return cls(diffusion_model) if all(hasattr(diffusion_model, part) for part in parts) else None

    def layers(self) -> int:
        return len(self._model.blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(self.layers())]

    def text_width(self) -> int | None:
        return input_width(self._model.condition_proj)

    def grid(self, x: Tensor) -> Grid:
        frames, height, width = self._model.patch_size
        return Grid(patched(x.shape[-3], frames), patched(x.shape[-2], height), patched(x.shape[-1], width))

    def measure(self, x: Tensor, conditions: Mapping[str, Any]) -> tuple[Grid, set[int]]:
        return self.grid(unpacked(x, conditions)[0]), set()

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        tags = (conditions.get("minimax_payload") or {}).get("text_token_tags")
        if tags is not None and bool((tags != TEXT_TAG).any()):
            raise ValueError(PICTURES)
        return self.text_of(conditions)

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        return 0, length - plan.grid.tokens

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        """Give the model the order of its sequence, and the kinds of its text tokens, which the host made for the positive alone."""
        payload = dict(inputs.conditions.get("minimax_payload") or {})
        payload["layout"] = _with_ours(self._layout(payload, inputs.conditions["latent_shapes"], plan), plan)
        tags = payload.get("text_token_tags")
        if tags is not None:
            payload["text_token_tags"] = torch.nn.functional.pad(tags.view(-1), (plan.added, 0), value=TEXT_TAG)
        return Inputs(inputs.text, {**inputs.conditions, "minimax_payload": payload}, inputs.options)

    def _layout(self, payload: Mapping[str, Any], shapes: Any, plan: Laid) -> Any:
        """Give the host's layout for the positive alone; the one that it made before the run does not fit windows of a longer video."""
        # Only hosts that have the model have this.
        from comfy.ldm.minimax.model import PackedLayout

        (video, sound), (_, height, width) = shapes[:2], self._model.patch_size
        sides = (patched(video[-2], height) * height, patched(video[-1], width) * width)
        fitting = (plan.text - plan.added, video[-3], *sides, sound[-1])
        layout = payload.get("layout")
        if layout is None or layout.signature != fitting:
            layout = PackedLayout(*fitting, keyframes=payload.get("keyframes"), refs=payload.get("refs"))
        return layout


def _with_ours(layout: Any, plan: Laid) -> Any:
    """Put our tokens in front, and leave everybody else's positions as they are. Each of our texts ends where the positive does: rotary
    positions tell distances only, so it stands to the video as if it were the prompt."""
    ours, positive = plan.added, plan.text - plan.added
    lengths = [*(segment.length for segment in plan.segments), plan.added - plan.negative]
    places = torch.zeros(ours, layout.position_ids.shape[1], dtype=layout.position_ids.dtype)
    places[:, 0] = torch.cat([positive + torch.arange(-length, 0, dtype=places.dtype) for length in lengths])
    wide = copy(layout)
    wide.position_ids = torch.cat([places.to(layout.position_ids), layout.position_ids])
    wide.img_pos, wide.audio_pos = layout.img_pos + ours, layout.audio_pos + ours
    wide.segments = [(start + ours if start else 0, end + ours, kind) for start, end, kind in layout.segments]
    wide.seq_len = layout.seq_len + ours
    wide.signature = (plan.text, *layout.signature[1:])
    return wide
