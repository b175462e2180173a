"""Carry the texts of several pictures side by side in one evaluation, each picture of a batch with its own.

Joined is what the model made of each text alone: what it counts over a whole conditioning (the words of Lumina 2) or takes without a dimension for pictures
(Anima's tokens) it would make wrongly of several texts at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import torch
from comfy.conds import CONDCrossAttn, CONDNoiseShape, CONDRegular
from torch import Tensor

# What says where, when and with what else a conditioning is evaluated (get_area_and_mult in comfy/samplers.py).
EVALUATED = (
    "area", "control", "default", "gligen", "hooks", "mask", "mask_strength", "strength", "timestep_end", "timestep_start",
)  # fmt: skip
# What the host repeats for all pictures where there is only one row (comfy/conds.py); what else derives from CONDRegular has no rows.
IN_ROWS = (CONDCrossAttn, CONDNoiseShape, CONDRegular)


def side_by_side(each: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]] | None:
    """Join each picture's conditionings, as the model takes them; None where they cannot be evaluated at once, such as texts of several lengths."""
    if len({len(conditions) for conditions in each}) != 1:
        return None
    joined = [_one(entries) for entries in zip(*each, strict=True)]
    return [one for one in joined if one is not None] if None not in joined else None


def sharing(conditions: Sequence[dict[str, Any]], known: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hold once what another text's conditionings have too, such as latents of pictures; the model makes them anew for each text."""
    shared = [dict(one["model_conds"]) for one in conditions]
    for made, others in zip(shared, (one["model_conds"] for one in known), strict=False):
        made |= {name: other for name, other in others.items() if name in made and _equal(made[name], other)}
    return [{**one, "model_conds": made} for one, made in zip(conditions, shared, strict=True)]


def _one(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    first = entries[0]
    made = [entry["model_conds"] for entry in entries]
    if any(not _same(entry.get(key), first.get(key)) for entry in entries for key in EVALUATED):
        return None
    if any(conds.keys() != made[0].keys() for conds in made):
        return None
    joined = {name: _value([conds[name] for conds in made]) for name in made[0]}
    if any(value is None for value in joined.values()):
        return None
    # Other nodes may know a text by its id.
    return {**first, "model_conds": joined, "uuid": uuid.uuid4()}


def _value(values: Sequence[Any]) -> Any:
    """Keep what all have, and give each picture its row of what they have not; None where that is not possible."""
    first, conds = values[0], [value.cond for value in values]
    if all(_equal(value, first) for value in values):
        return first
    if len({type(value) for value in values}) != 1 or type(first) not in IN_ROWS:
        return None
    rows = all(isinstance(cond, Tensor) and cond.shape[:1] == (1,) for cond in conds)
    return type(first)(torch.cat(conds)) if rows and len({cond.shape for cond in conds}) == 1 else None


def _equal(value: Any, other: Any) -> bool:
    return value is other or (type(value) is type(other) and _same(value.cond, other.cond))


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.device == b.device and torch.equal(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(one, other) for one, other in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return bool(a == b)
