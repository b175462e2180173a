"""When is guidance active: the one place that knows inclusive from exclusive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Bound the active part of the schedule, as fractions of the sampling range: 0 is pure noise, 1 the finished picture.

    The start belongs to the window, the end does not, so that [0, .5] and [.5, 1] share no step; end_percent 1 includes everything. until_sigma: a noise level at
    which it ends too, whichever comes first (presets; 0: none).
    """

    start_percent: float = 0.0
    end_percent: float = 1.0
    until_sigma: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.start_percent <= 1.0 and 0.0 <= self.end_percent <= 1.0):
            raise ValueError("start_percent and end_percent must be between 0 and 1.")
        if self.start_percent > self.end_percent:
            raise ValueError(
                f"start_percent ({self.start_percent:g}) is after end_percent ({self.end_percent:g}); swap them, or set start 0 and end 1."
            )

    def sigmas(self, percent_to_sigma: Callable[[float], float]) -> SigmaRange:
        """Translate to noise levels with the model's own `percent_to_sigma`."""
        if self.start_percent == self.end_percent:
            return SigmaRange(-1.0, -1.0)
        # At the very end some models answer a small positive sigma; the last step must still count.
        end = -1.0 if self.end_percent >= 1.0 else float(percent_to_sigma(self.end_percent))
        start = float("inf") if self.start_percent <= 0.0 else float(percent_to_sigma(self.start_percent))
        return SigmaRange(start, max(end, self.until_sigma) if self.until_sigma > 0 else end)


@dataclass(frozen=True)
class SigmaRange:
    """Bound noise levels: `start` (the higher) belongs to the range, `end` does not."""

    start: float
    end: float

    def contains(self, sigma: float) -> bool:
        # Schedules are float32: a step exactly at the start must not fall out for its rounding.
        return sigma <= self.start * (1 + 1e-6) and sigma > self.end * (1 + 1e-6)
