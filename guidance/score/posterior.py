"""The posterior of the negative, tracked along the run (DNG: Dynamic Negative Guidance, arXiv 2410.14398).

A step from noise level sigma_t to sigma_s < sigma_t is a draw from a Gaussian around mu(D) = k D + (1 - k) x_t, k = 1 - sigma_s^2 / sigma_t^2, of
variance sigma_s^2 k (the DDPM posterior; here x is divided by its signal). How much better the negative's prediction explains where the
step went than the reference's does is evidence that the picture is becoming the negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .point import Level, Point, precise


@dataclass(frozen=True)
class Bounds:
    """Keep the posterior between `low` and `high`, 0 < low < high < 1: at 1 the guidance would be infinite."""

    low: float
    high: float

    def clamp(self, log_posterior: Tensor) -> Tensor:
        return log_posterior.clamp(math.log(self.low), math.log(self.high))


@dataclass(frozen=True)
class Step:
    """Hold the Gaussian of a step, [B] each: mu(D) = kept D + pull x_t, for x_s / signal."""

    kept: Tensor
    pull: Tensor
    variance: Tensor

    @classmethod
    def between(cls, before: Level, now: Level) -> Step:
        sigma2 = (now.noise / now.signal).square()
        kept = 1 - (now.noise * before.signal / (now.signal * before.noise)).square()
        # (1 - k) / signal_t, in a form that holds for a signal of 0 too.
        pull = before.signal * (now.noise / (now.signal * before.noise)).square()
        return cls(kept, pull, kept * sigma2)

    def miss(self, before: Point, now: Point, denoised: Tensor) -> Tensor:
        """Give x_s - mu(D)."""
        mean = now.spread(self.kept) * precise(denoised) + now.spread(self.pull) * precise(before.x)
        return precise(now.x) / now.spread(now.signal) - mean


def evidence(before: Point, now: Point, reference: Tensor, negative: Tensor, weight: Tensor | None = None) -> Tensor:
    """Give log N(x_s; mu(D_-), v) - log N(x_s; mu(D_ref), v) = [<x_s - mu(D_ref), d> - k/2 |d|^2] / sigma_s^2, d = D_- - D_ref; [B], in nats.

    before, now: the points of the step; reference, negative: the unguided predictions at `before`; weight: elements that count.
    Source: equation 12; sums run over all elements of a sample. This closed form is the difference of squares without its cancellation.
    """
    step = Step.between(before, now)
    delta = precise(negative) - precise(reference)
    terms = (step.miss(before, now, reference) - now.spread(step.kept) / 2 * delta) * delta
    terms = terms if weight is None else terms * weight
    return terms.flatten(1).sum(1) * step.kept / step.variance


def offset_share(before: Level, now: Level) -> Tensor:
    """Give 1 / (2 v) of a step, [B], for a picture whose noisy form has variance 1 (VP): v / (1 + sigma_s^2) in place of v.

    The paper adds offset / (2 v) to the log posterior at each step (algorithm 2).
    """
    whole = 1 + (now.noise / now.signal).square()
    return whole / (2 * Step.between(before, now).variance)


def total_share(schedule: Sequence[Level]) -> float:
    """Sum offset_share over a run's noise levels; the last step, which ends without noise, has none.

    Divided by it, an offset is what the posterior gains over a whole run, in nats, however many steps the run has. (The paper's delta is not
    divided, so that its effect grows with the number of steps.)
    """
    steps = [(before, now) for before, now in pairwise(schedule) if now.below(before) and float(now.noise[0]) > 0]
    return sum(float(offset_share(before, now)[0]) for before, now in steps)


def odds(log_posterior: Tensor) -> Tensor:
    """Give p / (1 - p) of log p < 0."""
    return torch.exp(log_posterior - torch.log(-torch.expm1(log_posterior)))


def noisiness(before: Point, now: Point, guided: Tensor) -> Tensor:
    """Tell how much fresh noise a step took: 1 as an ancestral sampler takes, 0 as a deterministic one; [B].

    Energy of x_s - mu(D) at right angles to x_t - D, over the energy that noise of variance v would have there. A deterministic step of first
    order goes along x_t - D only.
    """
    step = Step.between(before, now)
    miss = step.miss(before, now, guided).flatten(1)
    along = (precise(before.x) - before.spread(before.signal) * precise(guided)).flatten(1)
    share = (miss * along).sum(1) / along.square().sum(1).clamp_min(torch.finfo(along.dtype).tiny)
    across = miss - share.unsqueeze(1) * along
    return across.square().sum(1) / (step.variance * max(across.shape[1] - 1, 1))
