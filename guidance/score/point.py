"""Where a sampling run is, and what the model says there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Point:
    """Hold a noisy picture x = signal * x0 + noise * eps, [B, ...]; all pictures of a batch are equally noisy.

    EPS and v models: signal 1 and noise sigma; flow models at time t: 1 - t and c t. The formulas here are written in sigma = noise / signal, the noise
    level of x / signal; it is infinite for the pure noise that flow models start from.
    """

    signal: float
    noise: float
    x: Tensor

    @property
    def sigma(self) -> float:
        return self.noise / self.signal if self.signal > 0 else math.inf

    def below(self, other: Point) -> bool:
        """Tell whether there is less noise here, by more than rounding."""
        return self.noise * other.signal < other.noise * self.signal * (1 - 1e-6)

    def each(self, value: float) -> Tensor:
        """Give every picture the same number: [B]."""
        return torch.full((self.x.shape[0],), value, device=self.x.device, dtype=precise(self.x[:0]).dtype)

    def spread(self, value: Tensor) -> Tensor:
        """Shape one number per picture, [B], so that it multiplies x."""
        return value.view(-1, *[1] * (self.x.ndim - 1))


@dataclass(frozen=True)
class Moment:
    """Hold one evaluation: denoised predictions D, all [B, ...].

    guided: what the sampler would get (after cfg); positive, negative, empty: the plain predictions (empty None where none is needed);
    cfg: the sampler's; progress: the share of the run's steps that are done; weight: which elements count, in [0, 1] (None: all);
    fresh: pictures whose negative is another than that of the memory, bool [B] (None: none), for which nothing is known from before.
    """

    point: Point
    guided: Tensor
    positive: Tensor
    negative: Tensor
    empty: Tensor | None
    cfg: float
    progress: float = 0.0
    weight: Tensor | None = None
    fresh: Tensor | None = None

    def reference(self, name: str) -> Tensor:
        """Give the prediction that the negative's is compared with: "positive" or "empty"."""
        if name == "positive":
            return self.positive
        assert self.empty is not None
        return self.empty


@dataclass(frozen=True)
class Outcome:
    """Hold what a mechanism makes of a moment.

    change: what is added to the guided prediction; memory: what the next solver step starts from; numbers: [B] each, for the report.
    """

    change: Tensor
    memory: object
    numbers: dict[str, Tensor]


def precise(value: Tensor) -> Tensor:
    """Give a half-precision tensor as float32; sums over a whole picture need it."""
    return value.to(torch.promote_types(value.dtype, torch.float32))
