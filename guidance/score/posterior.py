"""The posterior of the negative, tracked along the run (DNG: Dynamic Negative Guidance, arXiv 2410.14398).

A step from noise level sigma_t to sigma_s < sigma_t is a draw from a Gaussian around mu(D) = k D + (1 - k) x_t, k = 1 - sigma_s^2 / sigma_t^2, of
variance sigma_s^2 k (the DDPM posterior; here x is divided by its signal). How much better the negative's prediction explains where the
step went than the reference's does is evidence that the picture is becoming the negative.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from .point import Point, precise


@dataclass(frozen=True)
class Bounds:
    """Keep the posterior between `low` and `high`, 0 < low < high < 1: at 1 the guidance would be infinite."""

    low: float
    high: float

    def clamp(self, log_posterior: Tensor) -> Tensor:
        return log_posterior.clamp(math.log(self.low), math.log(self.high))


@dataclass(frozen=True)
class Step:
    """Hold the Gaussian of a step: mu(D) = kept D + pull x_t, for x_s / signal."""

    kept: float
    pull: float
    variance: float

    @classmethod
    def between(cls, before: Point, now: Point) -> Step:
        kept = 1 - (now.noise * before.signal / (now.signal * before.noise)) ** 2
        # (1 - k) / signal_t, in a form that holds for a signal of 0 too.
        pull = before.signal * (now.noise / (now.signal * before.noise)) ** 2
        return cls(kept, pull, kept * now.sigma**2)

    def miss(self, before: Point, now: Point, denoised: Tensor) -> Tensor:
        """Give x_s - mu(D)."""
        return precise(now.x) / now.signal - self.kept * precise(denoised) - self.pull * precise(before.x)


def evidence(before: Point, now: Point, reference: Tensor, negative: Tensor, weight: Tensor | None = None) -> Tensor:
    """Give log N(x_s; mu(D_-), v) - log N(x_s; mu(D_ref), v) = [<x_s - mu(D_ref), d> - k/2 |d|^2] / sigma_s^2, d = D_- - D_ref; [B], in nats.

    before, now: the points of the step; reference, negative: the unguided predictions at `before`; weight: elements that count.
    Source: equation 12; sums run over all elements of a sample. This closed form is the difference of squares without its cancellation.
    """
    step = Step.between(before, now)
    delta = precise(negative) - precise(reference)
    terms = (step.miss(before, now, reference) - step.kept / 2 * delta) * delta
    terms = terms if weight is None else terms * weight
    return terms.flatten(1).sum(1) / now.sigma**2


def odds(log_posterior: Tensor) -> Tensor:
    """Give p / (1 - p) of log p < 0."""
    return torch.exp(log_posterior - torch.log(-torch.expm1(log_posterior)))


def noisiness(before: Point, now: Point, guided: Tensor, weight: Tensor | None = None) -> Tensor:
    """Tell how much fresh noise a step took: 1 as an ancestral sampler takes, 0 as a deterministic one; [B].

    Energy of x_s - mu(D) at right angles to x_t - D, over the energy that noise of variance v would have there. A deterministic step of first
    order goes along x_t - D only.
    """
    step = Step.between(before, now)
    miss, along = step.miss(before, now, guided), precise(before.x) - before.signal * precise(guided)
    counted = torch.ones_like(miss) if weight is None else weight.expand_as(miss)
    miss, along, counted = ((value * counted).flatten(1) for value in (miss, along, counted))
    share = (miss * along).sum(1) / along.square().sum(1).clamp_min(torch.finfo(along.dtype).tiny)
    across = miss - share.unsqueeze(1) * along
    return across.square().sum(1) / (step.variance * (counted.sum(1) - 1).clamp_min(1))


def offset_course(sigma: float) -> float:
    """Give the part of the offset that has been added when the noise has fallen to `sigma`: 0 at pure noise, 1 at the finished picture.

    The paper adds delta / (2 v) to the log posterior in each step (algorithm 2), v in the scale of a picture of variance 1. That sum grows with the
    number of steps and hangs on where they lie, so that a delta holds for one scheduler only. Here it is the course that it takes in the paper's own
    setting, 50 steps of Stable Diffusion's noise schedule, for every scheduler; straight between its points, over the logarithm of sigma.
    """
    levels, shares = _paper_run()
    if sigma >= levels[0]:
        return 0.0
    if sigma <= levels[-1]:
        return 1.0
    place = bisect_left(levels, -sigma, key=lambda level: -level)
    upper, lower = levels[place - 1], levels[place]
    part = math.log(upper / sigma) / math.log(upper / lower)
    return shares[place - 1] + part * (shares[place] - shares[place - 1])


def paper_offset(delta: float) -> float:
    """Give what the paper's delta sums to over its run, in nats."""
    return delta * sum(_steps_of_paper_run(_paper_levels()))


@cache
def _paper_run() -> tuple[list[float], list[float]]:
    levels = _paper_levels()
    sums = list(accumulate(_steps_of_paper_run(levels), initial=0.0))
    return levels, [value / sums[-1] for value in sums]


def _paper_levels(steps: int = 50, noises: int = 1000) -> list[float]:
    """List the noise levels of `steps` steps through Stable Diffusion's schedule (linear in the root of beta), as its pipelines space them."""
    low, high = math.sqrt(0.00085), math.sqrt(0.012)
    kept = list(accumulate((1 - (low + (high - low) * i / (noises - 1)) ** 2 for i in range(noises)), lambda a, b: a * b))
    return [math.sqrt(1 / kept[noises // steps * i + 1] - 1) for i in reversed(range(steps))]


def _steps_of_paper_run(levels: list[float]) -> list[float]:
    """Give 1 / (2 v) of each step, v = k sigma_s^2 / (1 + sigma_s^2)."""
    return [(1 + low**2) / (2 * low**2 * (1 - low**2 / high**2)) for high, low in pairwise(levels)]
