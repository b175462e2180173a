"""Refuse what guidance in the space of scores cannot work with, before a run begins."""

from __future__ import annotations

from typing import Any

from ...guidance.score.mechanism import ScoreMechanism
from ..conditions import positives
from ..task import Task
from .avoided import check_no_place
from .predictions import EMPTY

# Nodes of the host that leave out evaluations, by the key of their wrappers.
CACHES = {"easycache": "EasyCache", "lazycache": "LazyCache"}
OWN_IS_NEGATIVE = (
    "{name} compares with the empty prompt, for which it uses the sampler's own negative prompt; connect what to avoid to `negative` of the Avert "
    "node, and leave the sampler's negative prompt empty{other}."
)
NO_NEGATIVE = "This guider ({guider}) has no negative prompt of its own, which {name} needs; use a CFG guider or a KSampler{other}."
CACHED = (
    "{cache} repeats old predictions where {name} needs new ones to compare; remove {cache} or the Avert node, or use a node that guides inside the "
    "attention (VSF, NAG, NASA)."
)
NESTED = "{name} does not know how a Dual CFG Guider in style nested mixes what it changes; use style regular, or a CFG guider."


def check_guider(guider: Any, task: Task) -> None:
    """Refuse a guider that lacks what the mechanism compares with, and what stands between it and the predictions."""
    mechanism: ScoreMechanism = task.mechanism
    name, guider_name = mechanism.name, type(guider).__name__
    other = ", or set `reference` to positive" if hasattr(mechanism, "reference") else ""
    if not positives(guider):
        raise ValueError(f"This guider ({guider_name}) has no positive prompt to guide; use another guider.")
    if getattr(guider, "nested", False):
        raise ValueError(NESTED.format(name=name))
    if task.negative is None and mechanism.needs_empty and not guider.conds.get(EMPTY):
        raise ValueError(OWN_IS_NEGATIVE.format(name=name, other=other))
    if not guider.conds.get("negative") and (task.negative is None or mechanism.needs_empty):
        other = ", or connect an Avert Negative Prompt node to `negative`" if task.negative is None else other
        raise ValueError(NO_NEGATIVE.format(guider=guider_name, name=name, other=other))
    for cond in guider.conds["negative"] if task.negative is None else ():
        check_no_place(cond)
    wrappers = guider.model_options.get("transformer_options", {}).get("wrappers", {})
    for cache in {key for kind in wrappers.values() for key in kind} & set(CACHES):
        raise ValueError(CACHED.format(cache=CACHES[cache], name=name))
