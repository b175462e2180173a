"""HunyuanVideo 1.0 and 1.5, HunyuanImage 2.1 and its refiner: Flux's joint blocks over a text that is refined first
(comfy/ldm/hunyuan_video/model.py). Text has no positions of its own; quoted words (byT5) and CLIP vision, which stand beside the prompt,
are not guided, and of a negative only the prompt itself is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from .base import Family, Grid, Inputs, Laid, input_width, patched, prompt_lengths


class Hunyuan(Family):
    name = "HunyuanVideo/Image"
    encoders = frozenset({"clip_l", "llama", "qwen25_7b", "byt5_small"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> Hunyuan | None:
        if not all(hasattr(diffusion_model, part) for part in ("double_blocks", "single_blocks", "byt5_in", "pe_embedder")):
            return None
        if not hasattr(getattr(diffusion_model, "txt_in", None), "individual_token_refiner"):
            return None
        # Without embeddings that say what each token is, byT5 stands behind the text, and vision in front would move the text: no
        # released model has that.
        types = getattr(diffusion_model, "cond_type_embedding", None)
        if types is None and getattr(diffusion_model, "vision_in", None) is not None:
            return None
        return cls(diffusion_model)

    def layers(self) -> int:
        return len(self.blocks())

    def blocks(self) -> list[tuple[str, int]]:
        double = [("double_block", i) for i in range(len(self._model.double_blocks))]
        return double + [("single_block", i) for i in range(len(self._model.single_blocks))]

    def text_width(self) -> int | None:
        return input_width(self._model.txt_in.input_embedder)

    def grid(self, x: Tensor) -> Grid:
        frames, height, width = (1, *self._model.patch_size)[-3:]
        return Grid(patched(x.shape[2], frames) if x.ndim == 5 else 1, patched(x.shape[-2], height), patched(x.shape[-1], width))

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        # Padding is what the prompt's own mask hides.
        text, mask = self.text_of(conditions), conditions.get("attention_mask")
        if text is None or mask is None or mask.shape[-1] != text.shape[1]:
            return text
        seen = mask >= 0 if mask.is_floating_point() else mask != 0
        return text[:, seen.reshape(-1, text.shape[1]).any(dim=0)]

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        # 1.5: [vision, byT5, text, picture]; others: [text, byT5 or a picture to begin with, picture], as only HunyuanImage has byT5.
        picture, leads = plan.grid.tokens, getattr(self._model, "cond_type_embedding", None) is not None
        if not self._picture_first:
            return (length - picture - plan.text if leads else 0), length - picture
        if self._model.byt5_in is not None and not leads:
            return picture, 0
        return length - plan.text, 0 if leads else length - plan.text - picture

    @property
    def _picture_first(self) -> bool:
        """Tell whether this host puts pictures in front of the text, as all did before February 2026."""
        return getattr(self._model.double_blocks[0], "flipped_img_txt", False)

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        inputs = super().feed(inputs, plan)
        if inputs.conditions.get("guiding_frame_index") is None or self._picture_first:
            return inputs
        replaced = inputs.options.get("patches_replace", {})
        dit = replaced.get("dit", {})
        moved = {block: _first_frame_moved(plan, dit.get(block)) for block in self.blocks() if block[0] == "single_block"}
        return Inputs(inputs.text, inputs.conditions, {**inputs.options, "patches_replace": {**replaced, "dit": {**dit, **moved}}})

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return refined_apart(diffusion_model.txt_in, plan)


@contextmanager
def refined_apart(refiner: Any, plan: Laid) -> Iterator[None]:
    """Let every prompt be refined by itself: the refiner mixes its tokens, also by their mean, which no attention call shows."""
    before = vars(refiner).get("forward")
    whole = refiner.forward

    def apart(text: Tensor, timesteps: Tensor, mask: Tensor | None, *args: Any, **kwargs: Any) -> Tensor:
        *added, positive = text.split([length for length in prompt_lengths(plan) if length], dim=1)
        refined = [whole(prompt, timesteps, None, *args, **kwargs) for prompt in added]
        own = None if mask is None else mask[:, plan.added :]
        return torch.cat([*refined, whole(positive, timesteps, own, *args, **kwargs)], dim=1)

    refiner.forward = torch.compiler.disable(apart)
    try:
        yield
    finally:
        if before is None:
            del refiner.forward
        else:
            refiner.forward = before


def _first_frame_moved(plan: Laid, replacement: Callable[..., Any] | None) -> Callable[..., Any]:
    """Let a single block modulate the tokens that it would without us.

    With a first frame given, the host modulates the first tokens of the sequence, as many as a frame has, as those of that frame; behind the
    text they are other tokens, but ours must not move them.
    """
    frame = plan.grid.height * plan.grid.width

    def block(arguments: dict[str, Any], extra: dict[str, Any]) -> Any:
        if arguments.get("modulation_dims") == [(0, frame, 0), (frame, None, 1)]:
            arguments = {**arguments, "modulation_dims": [(0, plan.added + frame, 0), (plan.added + frame, None, 1)]}
        return extra["original_block"](arguments) if replacement is None else replacement(arguments, extra)

    return block
