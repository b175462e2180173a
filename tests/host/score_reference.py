"""Guide away from a negative the slow way: a guider of its own that predicts with three prompts and combines them as the papers write it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

# (x, sigma, positive, empty, negative, cfg) -> D
Rule = Callable[[Tensor, float, Tensor, Tensor, Tensor, float], Tensor]


class ThreePrompts(comfy.samplers.CFGGuider):
    """Predict with the positive, the empty and the avoided prompt, in calls of their own."""

    def __init__(self, model: Any, positive: Any, empty: Any, avoided: Any, cfg: float, rule: Rule) -> None:
        super().__init__(model)
        self.inner_set_conds({"positive": positive, "negative": empty, "avoided": avoided})
        self.set_cfg(cfg)
        self.rule = rule

    def predict_noise(self, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: int | None = None) -> Tensor:
        found = [
            comfy.samplers.calc_cond_batch(self.inner_model, [self.conds[name]], x, timestep, model_options or {})[0]
            for name in ("positive", "negative", "avoided")
        ]
        return self.rule(x, float(timestep[0]), *found, self.cfg)


def static(scale: float, reference: str) -> Rule:
    def rule(x: Tensor, sigma: float, positive: Tensor, empty: Tensor, negative: Tensor, cfg: float) -> Tensor:
        return empty + cfg * (positive - empty) - scale * (negative - (positive if reference == "positive" else empty))

    return rule


class Posterior:
    """Follow algorithm 1 and 2 of the DNG paper in the terms of noise levels, by differences of squares.

    extra: every second evaluation, but for the last step's, is a solver's extra one (Heun, DPM-2): it is guided by where it is, and then forgotten.
    """

    def __init__(self, flow: bool, settings: Any, extra: bool = False, mask: Tensor | None = None) -> None:
        self.flow, self.settings, self.extra, self.mask = flow, settings, extra, mask
        self.log = math.log(settings.prior)
        self.before: Any = None
        self.calls = 0
        self.seen: list[list[float]] = []

    def __call__(self, x: Tensor, sigma: float, positive: Tensor, empty: Tensor, negative: Tensor, cfg: float) -> Tensor:
        level, clean = (sigma / (1 - sigma) if sigma < 1 else math.inf, x.double() / (1 - sigma)) if self.flow else (sigma, x.double())
        log = torch.as_tensor(self.log, dtype=torch.float64).expand(len(x))
        if self.before is not None:
            log = log + self.settings.temperature * self._evidence(level, clean)
        log = log.clamp(math.log(self.settings.min_posterior), math.log(self.settings.max_posterior))
        if not (self.extra and self.calls % 2):
            self.log, self.before = log, (level, clean, positive.double(), negative.double())
            self.seen.append(log.exp().tolist())
        self.calls += 1
        p = log.exp()
        strength = (self.settings.scale * p / (1 - p)).float().view(-1, *[1] * (x.ndim - 1))
        return empty + cfg * (positive - empty) - strength * (negative - positive)

    def _evidence(self, level: float, clean: Tensor) -> Tensor:
        level_t, x_t, reference, other = self.before
        rho = level**2 / level_t**2 if math.isfinite(level_t) else 0.0
        pull = rho * x_t if math.isfinite(level_t) else torch.zeros_like(clean)
        weight = 1.0 if self.mask is None else self.mask
        miss = [(weight * (clean - ((1 - rho) * value + pull)).square()).flatten(1).sum(1) for value in (other, reference)]
        return -(miss[0] - miss[1]) / (2 * level**2 * (1 - rho))
