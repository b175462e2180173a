"""SLD: Safe Latent Diffusion (arXiv 2211.05105), after the released code, which all published numbers come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .point import Moment, Outcome, precise

# The paper's warm-up counts steps of a run of 50.
STEPS = 50


@dataclass(frozen=True)
class SafeLatentDiffusion:
    """Guide each element as strongly as the positive prompt comes near the negative there.

    m = min(1, guidance_scale |e_+ - e_-|), 0 where e_+ - e_- >= threshold;  g = m (e_- - e_0) + momentum_scale n;
    n <- momentum_beta n + (1 - momentum_beta) g;  e = e_cfg - cfg g, from `warmup_steps` of 50 on. e: noise predictions, (x / signal - D) / sigma.
    """

    guidance_scale: float
    warmup_steps: float
    threshold: float
    momentum_scale: float
    momentum_beta: float

    name = "SLD"
    needs_empty = True

    @property
    def neutral(self) -> bool:
        # The released code: below 1 it is off.
        return self.guidance_scale < 1

    def step(self, moment: Moment, memory: object) -> Outcome:
        """Guide one evaluation; the momentum grows during the warm-up too."""
        assert moment.empty is not None
        point = moment.point
        per_sigma = point.signal / point.noise
        negative = precise(moment.negative)
        difference = (negative - precise(moment.positive)) * per_sigma
        mask = (self.guidance_scale * difference.abs()).clamp_max(1).masked_fill(difference >= self.threshold, 0)
        direction = mask * (precise(moment.empty) - negative) * per_sigma
        before = memory if isinstance(memory, Tensor) and memory.shape == direction.shape else torch.zeros_like(direction)
        if moment.fresh is not None:
            before = torch.where(point.spread(moment.fresh), 0, before)
        direction = direction + self.momentum_scale * before
        momentum = self.momentum_beta * before + (1 - self.momentum_beta) * direction
        numbers = {"strength": moment.cfg * mask.flatten(1).mean(1)}
        if moment.progress < self.warmup_steps / STEPS:
            return Outcome(torch.zeros_like(direction), momentum, {"strength": torch.zeros_like(numbers["strength"])})
        # Pure noise of flow models has no sigma; there the direction is 0.
        return Outcome(moment.cfg * direction * min(point.sigma, 1e6), momentum, numbers)
