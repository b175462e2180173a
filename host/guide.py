"""What the nodes call: put a mechanism on a model after checking everything that can be known before the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..guidance.attention.mechanism import Mechanism
from ..guidance.attention.presets import OWN, Preset, find
from ..guidance.blocks import parse_blocks
from ..guidance.schedule import Window
from ..guidance.score.combine import DynamicNegativeGuidance
from ..guidance.score.mechanism import ScoreMechanism
from .conditions import other_encoder
from .families import find_family
from .install import add_task
from .negative import as_negative, check_finite
from .score.avoided import avoided
from .task import Task
from .watch.source import Watched

# Encoders whose embeddings are equally wide, so that only their names tell them apart.
WIDE_ALIKE = {"t5xxl", "umt5xxl"}


def guide(model: Any, mechanism: Mechanism, negative: Any, window: tuple[float, ...], blocks: str) -> Any:
    """Return a clone of the model that is guided away from `negative` (None: the sampler's own); window: what a `Window` holds."""
    check_settings(mechanism)
    family = find_family(model.model)
    layers = parse_blocks(blocks, family.layers())
    if negative is not None and not isinstance(negative, Watched):
        negative = as_negative(negative)
        width = family.text_width()
        for prompt in negative.prompts:
            check_finite(prompt)
            if width is not None and prompt.embedding.shape[-1] != width:
                raise ValueError(other_encoder("text", prompt.embedding.shape[-1], width))
            if set(prompt.tokens) & WIDE_ALIKE - family.encoders:
                raise ValueError(
                    f"The negative was encoded by {', '.join(prompt.tokens)}, but a {family.name} model reads {', '.join(sorted(family.encoders))}; "
                    "encode the negative with the same CLIP as the positive prompt."
                )
    return add_task(model, Task(mechanism, negative, Window(*window), layers))


def numbers_of(model: Any, presets: Mapping[str, Preset], preset: str, own: dict[str, float]) -> tuple[dict[str, Any], float]:
    """Give a node's numbers, with the name of the preset that they come from, and the noise level until which they act (0: to the end)."""
    if preset == OWN:
        return dict(own), 0.0
    name, found = find(presets, preset, find_family(model.model).model_name())
    return {**own, **found.numbers, "preset": name}, found.until_sigma


def guide_score(model: Any, mechanism: ScoreMechanism, negative: Any, window: tuple[float, float]) -> Any:
    """Return a clone of the model whose predictions are guided away from `negative` (None: the sampler's own)."""
    check_settings(mechanism)
    known = negative is None or isinstance(negative, Watched)
    return add_task(model, Task(mechanism, negative if known else avoided(negative), Window(*window)))


def check_settings(mechanism: Mechanism | ScoreMechanism) -> None:
    """Refuse numbers that have no meaning; the host checks ranges of typed-in values, but not of values that come over a link."""
    for name, value in vars(mechanism).items():
        if isinstance(value, str):
            continue
        if not math.isfinite(value):
            raise ValueError(f"`{name}` of {mechanism.name} is {value}; set a number.")
        if name == "nag_tau" and value < 1:
            raise ValueError(f"`nag_tau` of NAG is {value:g}; below 1 it would shrink all attention, so set 1 or more.")
        if value < 0 and name != "offset":
            raise ValueError(f"`{name}` of {mechanism.name} is {value:g}; it must be 0 or more. To turn it off set the scale to 0.")
    if isinstance(mechanism, DynamicNegativeGuidance):
        check_posterior(mechanism)


def check_posterior(mechanism: DynamicNegativeGuidance) -> None:
    """Refuse probabilities at which the guidance is nothing or infinite."""
    low, prior, high = mechanism.min_posterior, mechanism.prior, mechanism.max_posterior
    if not 0 < prior < 1:
        raise ValueError(
            f"`prior` of DNG is {prior:g}; it is a probability that must lie between 0 and 1, for example 0.01, because from 0 or 1 no evidence can move it."
        )
    if not 0 < low < high < 1:
        raise ValueError(
            f"`min_posterior` and `max_posterior` of DNG are {low:g} and {high:g}; set 0 < min_posterior < max_posterior < 1, for example 0.000001 and "
            "0.9: at 1 the guidance would be infinite."
        )
