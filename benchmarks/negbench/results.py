"""What the benchmark measured, and the comparison of methods at equal positive score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .pairs import Pair
from .scores import best_negative

# At which positive scores methods are compared.
LEVELS = (0.95, 0.9)


@dataclass
class Results:
    """Hold what was measured: one dictionary per method and strength, the judge's own accuracy, and the first seed's pictures."""

    pairs: tuple[Pair, ...]
    unrelated: tuple[Pair, ...]
    seeds: int
    judge: dict[str, float] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[tuple[str, float], torch.Tensor] = field(default_factory=dict)
    other: dict[str, float] = field(default_factory=dict)


def at_level(runs: Sequence[dict[str, Any]], group: str, positive: float) -> float:
    """Give the best negative score that any method of a group reaches at a positive score, starting from no guidance."""
    origin = [(run["positive"], run["negative"]) for run in runs if run["group"] == "none"]
    found = []
    for name in dict.fromkeys(run["method"] for run in runs if run["group"] == group):
        own = [(run["positive"], run["negative"]) for run in runs if run["method"] == name]
        start = origin if all(run["variant"] == "few_step" for run in runs if run["method"] == name) else []
        found.append(best_negative([*start, *own], positive))
    known = [value for value in found if value == value]
    return max(known, default=float("nan"))
