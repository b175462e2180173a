"""The inputs that all attention nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..guidance.attention.presets import AUTO, OWN, Preset, listed
from ..host.api import NegativeSocket, io, one_of, take

CATEGORY = "Avert/attention"
ALIASES = [
    "negative prompt",
    "negative prompt cfg 1",
    "negative prompt not working",
    "negative guidance",
    "cfg 1",
    "distilled",
    "turbo",
    "lightning",
    "few step",
    "remove from picture",
    "NAG",
    "VSF",
    "NASA",
    "negpip",
    "NAGuidance",
]


def model_and_negative() -> list[Any]:
    """Declare what is guided and what it is to avoid."""
    return [
        take(
            io.Model,
            "model",
            tooltip="Any of the models in the README's list (SD, Flux, Wan, Qwen-Image, Z-Image, LTX ...), with any LoRA. Goes to any sampler.",
        ),
        one_of(
            "negative",
            [io.Conditioning, NegativeSocket],
            optional=True,
            tooltip="What to avoid: Avert Negative Prompt (best: it has no padding) or a CONDITIONING. "
            "Not connected: the sampler's own negative prompt, at cfg 1 too.",
        ),
    ]


def number(name: str, default: float, maximum: float, step: float, tooltip: str, minimum: float = 0.0) -> Any:
    """Declare a strength; its tooltip shows its formula."""
    return take(io.Float, name, default=default, min=minimum, max=maximum, step=step, round=0.001, tooltip=tooltip)


def preset(presets: Mapping[str, Preset]) -> Any:
    """Declare the choice among published settings."""
    return take(
        io.Combo,
        "preset",
        options=[OWN, AUTO, *presets],
        default=OWN,
        optional=True,
        tooltip=f"custom: the numbers above. auto: what was published for this model, in their place; the report names them. {listed(presets)}.",
    )


def words_only(default: bool) -> Any:
    """Declare whether the negative's words alone act; last among the inputs, because saved workflows hold values by their place."""
    return take(
        io.Boolean,
        "words_only",
        default=default,
        optional=True,
        advanced=True,
        tooltip="Use the negative's words alone, without the tokens that text encoders put around them (CLIP's start and end, T5's end): "
        "these draw attention whatever the words are. Needs an Avert Negative Prompt; a CONDITIONING is taken whole.",
    )


def when_and_where() -> list[Any]:
    """Declare the part of the run and the blocks; optional, so that API users may leave them out."""
    window = {"min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001, "optional": True}
    return [
        take(
            io.Float,
            "start_percent",
            default=0.0,
            tooltip="Where in the sampling to start: 0 is pure noise, 1 the finished picture.",
            **window,
        ),
        take(
            io.Float,
            "end_percent",
            default=1.0,
            tooltip="Where to stop; this point itself is no longer guided. 1 guides to the end.",
            **window,
        ),
        take(
            io.String,
            "blocks",
            default="",
            optional=True,
            advanced=True,
            tooltip='Which of the model\'s blocks to guide, counted from 0 in the order in which they run, as in "0-11, 20". Empty: all.',
        ),
    ]
