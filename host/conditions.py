"""Bring the negatives to the model: checked against the positive prompt, and encoded by the host together with the other prompts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import comfy.sampler_helpers

from .negative import NO_PLACE, PLACES, Negative, Prompt, as_negative, check_finite, from_conditioning

# Lists of a guider whose prompts say what the picture should show. CFGGuider has positive and negative, BasicGuider positive,
# PerpNegGuider an empty_negative_prompt beside them, and DualCFGGuider a middle, which it compares the positive with
# (prompt_type "negative" in comfy_extras/nodes_custom_sampler.py): guided too, it would take back a part of the guidance.
POSITIVE_LISTS = ("positive",)

# What a conditioning may bring along that has no meaning for a negative inside the attention.
LEFT_OUT = ("hooks", "control", "control_apply_to_uncond", "gligen", "default", "uuid", "model_conds", "cross_attn", *PLACES)

# Of these Anima makes its text, and HiDream a part of it; without them other embeddings of that width would be taken for theirs.
BESIDE = {"list of T5 tokens": "t5xxl_ids", "second text, Llama's,": "conditioning_llama3"}


def positives(guider: Any) -> list[dict[str, Any]]:
    """List the guider's positive conditionings, as the run has them now."""
    return [cond for name in POSITIVE_LISTS for cond in guider.conds.get(name, [])]


def resolve(negative: Any, guider: Any) -> Negative:
    """Give the negative to use: the connected one, or the sampler's own."""
    return _own_negative(guider) if negative is None else as_negative(negative)


def _own_negative(guider: Any) -> Negative:
    """Read the guider's negative prompt, which at cfg 1 nobody else looks at."""
    conds = guider.conds.get("negative")
    if not conds:
        raise ValueError(
            f"Nothing is connected to `negative`, and this guider ({type(guider).__name__}) has no negative prompt of its own; "
            "connect an Avert Negative Prompt node to `negative`."
        )
    if any(place in cond for cond in conds for place in PLACES):
        raise ValueError(NO_PLACE)
    return Negative(tuple(from_conditioning(cond.get("cross_attn"), cond) for cond in conds))


def check_fits(prompt: Prompt, positive: list[dict[str, Any]]) -> None:
    """Refuse a negative that was made by other text encoders than the positive prompt."""
    check_finite(prompt)
    for cond in positive:
        text = cond.get("cross_attn")
        if text is not None and text.shape[-1] != prompt.embedding.shape[-1]:
            raise ValueError(other_encoder("text", prompt.embedding.shape[-1], text.shape[-1]))
        mine, theirs = (
            None if pooled is None else pooled.shape[-1] for pooled in (prompt.options.get("pooled_output"), cond.get("pooled_output"))
        )
        if mine != theirs:
            raise ValueError(other_encoder("pooled vector", mine, theirs))
        for what, name in BESIDE.items():
            mine, theirs = (None if entry.get(name) is None else 1 for entry in (prompt.options, cond))
            if mine != theirs:
                raise ValueError(other_encoder(what, mine, theirs))


def other_encoder(what: str, mine: int | None, theirs: int | None) -> str:
    """Say that a negative does not fit the model; None: it has no such thing."""
    if mine is None or theirs is None:
        had, lacks = ("the positive prompt", "the negative") if mine is None else ("the negative", "the positive prompt")
        return (
            f"The negative was encoded for another model: {had} has a {what} and {lacks} has none; "
            "encode the negative with the same CLIP as the positive prompt."
        )
    return (
        f"The negative was encoded for another model: its {what} is {mine} wide, this model takes {theirs}; "
        "encode the negative with the same CLIP as the positive prompt."
    )


def host_condition(prompt: Prompt) -> dict[str, Any]:
    """Make a prompt a conditioning of this run, to be encoded by the model with the others."""
    options = {key: value for key, value in prompt.options.items() if key not in LEFT_OUT}
    options["prompt_type"] = "negative"
    return comfy.sampler_helpers.convert_cond([[prompt.embedding, options]])[0]


def separate_ids(guider: Any) -> None:
    """Give a conditioning that has the id of one in another list an id of its own; positives come first and keep theirs.

    For area conditionings the host copies an entry, with its id, into the other lists and gives it their text
    (create_cond_with_same_area_if_none in comfy/samplers.py); ids are how rows are told apart, and how long the text of each is known.
    """
    taken: set[Any] = set()
    for name in sorted(guider.conds, key=lambda name: name not in POSITIVE_LISTS):
        guider.conds[name] = [{**cond, "uuid": uuid.uuid4()} if cond["uuid"] in taken else cond for cond in guider.conds[name]]
        taken |= {cond["uuid"] for cond in guider.conds[name]}


def tensors_of(condition: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the model made of a conditioning, without the host's wrappers for batching."""
    return {name: getattr(value, "cond", None) for name, value in condition["model_conds"].items()}
