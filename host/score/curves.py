"""What score mechanisms did in each solver step, for the report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..task import Task
from ..watch.source import Watched
from .avoided import Avoided
from .tracker import Tracker

# Below it a step is taken to add no noise: 1 is an ancestral sampler's, 0 a deterministic one's.
NOISY = 0.25
NO_NOISE = (
    "DNG: this sampler adds no noise, so the posterior is not a probability here, only a measure of how far the negative's prediction is from the "
    "reference. Use euler_ancestral, dpmpp_sde or another sampler with noise, or read the node's help on what to set."
)
NOT_ASKED = "{name} did nothing: no prediction of this run lies in its window or in the negative's, or the guider does not let nodes change its predictions."
NO_STEPS = "{name}: this sampler does not say when a step begins, so that nothing was remembered from one prediction to the next."


@dataclass(frozen=True)
class Curve:
    """Hold one negative of one node, and what remembers its steps while the run goes on."""

    task: Task
    negative: Avoided | None
    tracker: Tracker


def as_record(curve: Curve, since: int = 0) -> dict[str, Any]:
    """Read a curve back from the device, from a step on: a list per step, with a number for each picture of the batch."""
    steps = [
        {"step": step, "sigma": sigma} | {name: value.float().cpu().tolist() for name, value in numbers.items()}
        for step, sigma, numbers in curve.tracker.steps
        if step >= since
    ]
    return {
        "mechanism": curve.task.mechanism.name,
        "negative": curve.negative.text if curve.negative else "",
        "node": curve.task.node,
        "evaluations": curve.tracker.evaluations,
        "watched": isinstance(curve.task.negative, Watched),
        "steps": steps,
    }


def notes_of(records: list[dict[str, Any]]) -> list[str]:
    """Say in words what a user should know, each once."""
    notes = []
    for record in records:
        # A vision-language model that sees nothing is as it should be; what went wrong with it is said elsewhere.
        if not record["steps"] and not (record["watched"] and not record["evaluations"]):
            notes.append((NO_STEPS if record["evaluations"] else NOT_ASKED).format(name=record["mechanism"]))
        noise = [value for step in record["steps"] for value in step.get("noisiness", []) if not math.isnan(value)]
        if noise and sum(noise) / len(noise) < NOISY:
            notes.append(NO_NOISE)
    return list(dict.fromkeys(notes))
