"""What a score mechanism is to avoid, as the host samples it: padded, like the prompts that the model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.sampler_helpers
import torch

from ..conditions import other_encoder
from ..negative import PLACES, Negative, check_finite_tensor

# What of a positive conditioning says where and when it holds, or is made of its text; all else (ControlNet, LoRA hooks, reference pictures, sizes,
# guidance) belongs to the picture, and the negative has to see the same.
ITS_OWN = (
    "cross_attn", "pooled_output", "model_conds", "uuid", "area", "mask", "mask_strength", "set_area_to_bounds", "strength", "default", "gligen",
    "start_percent", "end_percent", "clip_start_percent", "clip_end_percent", "prompt_type", "attention_mask", "conditioning_byt5small",
    "conditioning_llama3", "t5xxl_ids", "t5xxl_weights",
)  # fmt: skip
NO_PLACE = (
    "The negative has an area or a mask, and outside of it there would be nothing to compare with; remove it from the negative, or put it on the "
    "positive prompt."
)


@dataclass(frozen=True)
class Avoided:
    """Hold one negative: its words, if known, and its CONDITIONING."""

    text: str
    conditioning: Sequence[Any]


def avoided(negative: Any) -> tuple[Avoided, ...]:
    """List the negatives of a `negative` input: the lines of an Avert Negative Prompt, or one CONDITIONING, whose entries act as one."""
    if not isinstance(negative, Negative):
        return (Avoided("", checked(negative)),) if len(negative) else ()
    found, seen = [], set()
    for prompt in negative.prompts:
        if prompt.written is None:
            found.append(Avoided(prompt.text, checked([[prompt.embedding, dict(prompt.options)]])))
        elif id(prompt.written) not in seen:
            # One line may have come as several prompts, for parts of the run.
            seen.add(id(prompt.written))
            found.append(Avoided(prompt.text, checked(prompt.written())))
    return tuple(found)


def checked(conditioning: Sequence[Any]) -> Sequence[Any]:
    """Refuse a CONDITIONING that cannot be a negative."""
    for embedding, options in conditioning:
        if embedding is None:
            raise ValueError("The negative has no text embeddings; connect the output of a CLIP Text Encode or Avert Negative Prompt node.")
        check_finite_tensor(embedding)
        check_no_place(options)
    return conditioning


def check_no_place(options: Mapping[str, Any]) -> None:
    """Refuse a negative that holds in a part of the picture: elsewhere the host predicts nothing at all."""
    if any(place in options for place in PLACES):
        raise ValueError(NO_PLACE)


def host_conditions(negative: Avoided, positive: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Make a negative conditionings of this run: its own text, and of the positive prompt what belongs to the picture.

    Hooks of its own are left out: the host has registered those of the run's prompts when a run starts (prepare_model_patcher).
    """
    shared = {key: value for key, value in positive[0].items() if key not in ITS_OWN}
    entries = []
    for embedding, options in negative.conditioning:
        _check_fits(embedding, options, positive[0])
        own = {key: value for key, value in options.items() if key != "hooks"}
        entries.append([embedding, {**shared, **own, "prompt_type": "negative"}])
    conditions: list[dict[str, Any]] = comfy.sampler_helpers.convert_cond(entries)
    return conditions


def _check_fits(embedding: torch.Tensor, options: Mapping[str, Any], positive: Mapping[str, Any]) -> None:
    """Refuse a negative that was made by other text encoders than the positive prompt."""
    text, pooled, own = positive.get("cross_attn"), positive.get("pooled_output"), options.get("pooled_output")
    if text is not None and text.shape[-1] != embedding.shape[-1]:
        raise ValueError(other_encoder("text", embedding.shape[-1], text.shape[-1]))
    mine, theirs = (None if value is None else value.shape[-1] for value in (own, pooled))
    if mine != theirs:
        raise ValueError(other_encoder("pooled vector", mine, theirs))


def holds(conditions: Sequence[Mapping[str, Any]], sigma: float) -> bool:
    """Tell whether any of them holds at this noise level; the host would answer nothing at all otherwise (get_area_and_mult in comfy/samplers.py)."""
    return any(c.get("timestep_start", float("inf")) >= sigma >= c.get("timestep_end", float("-inf")) for c in conditions)
