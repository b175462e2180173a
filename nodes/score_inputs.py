"""The inputs that all nodes that work on predictions share."""

from __future__ import annotations

from typing import Any

from ..guidance.score.presets import OWN, listed
from ..host.api import NegativeSocket, io, one_of, take

CATEGORY = "Avert/prediction"
ALIASES = [
    "negative prompt",
    "negative prompt strength",
    "negative guidance",
    "cfg",
    "safety",
    "DNG",
    "SLD",
    "perp neg",
    "perpneg",
    "three-term cfg",
]


def model_and_negative(own_too: bool = True) -> list[Any]:
    """Declare what is guided and what it is to avoid; `own_too`: whether the sampler's own negative may be it."""
    unconnected = (
        "Not connected: the sampler's own negative prompt."
        if own_too
        else "The sampler's own negative prompt is what it is compared with: leave that empty."
    )
    return [
        take(io.Model, "model", tooltip="Any model that ComfyUI samples. Goes to any sampler; its cfg keeps its meaning."),
        one_of(
            "negative",
            [io.Conditioning, NegativeSocket],
            optional=True,
            tooltip=f"What to avoid: Avert Negative Prompt, each line a negative of its own, or a CONDITIONING. {unconnected}",
        ),
    ]


def number(name: str, default: float, maximum: float, step: float, tooltip: str, minimum: float = 0.0, round_to: float = 0.001) -> Any:
    """Declare a number; its tooltip shows its formula."""
    return take(io.Float, name, default=default, min=minimum, max=maximum, step=step, round=round_to, tooltip=tooltip)


def reference(default: str) -> Any:
    """Declare what the negative's prediction is compared with."""
    options = [default, "empty" if default == "positive" else "positive"]
    return take(
        io.Combo,
        "reference",
        options=options,
        default=default,
        optional=True,
        tooltip="What the negative is compared with. positive: the positive prompt; the negative acts where the two differ. "
        "empty: the sampler's own negative prompt, to be left empty.",
    )


def preset(presets: dict[str, dict[str, float]]) -> Any:
    """Declare the choice among settings that a paper used."""
    return take(
        io.Combo,
        "preset",
        options=[OWN, *presets],
        default=OWN,
        optional=True,
        tooltip=f"Numbers of the paper, in place of those above. {listed(presets)}.",
    )


def window() -> list[Any]:
    """Declare the part of the run; optional, so that API users may leave it out."""
    bounds = {"min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001, "optional": True}
    return [
        take(
            io.Float,
            "start_percent",
            default=0.0,
            tooltip="Where in the sampling to start: 0 is pure noise, 1 the finished picture.",
            **bounds,
        ),
        take(
            io.Float,
            "end_percent",
            default=1.0,
            tooltip="Where to stop; this point itself is no longer guided. 1 guides to the end.",
            **bounds,
        ),
    ]
