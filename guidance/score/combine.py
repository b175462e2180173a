"""The guided prediction in the space of scores: D = D_cfg - strength * (D_- - D_ref).

Linear in the predictions, so that it is the same for noise, velocity, score and denoised picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .point import Moment, Outcome, Point
from .posterior import Bounds, evidence, noisiness, odds, offset_course

Reference = Literal["positive", "empty"]
# Numbers of a picture by which noise can be told from a direction.
ENOUGH = 64


def away(moment: Moment, reference: Reference, strength: Tensor) -> Tensor:
    """Give what static and dynamic guidance add: -strength * (D_- - D_ref), strength [B]."""
    return -moment.point.spread(strength) * (moment.negative - moment.reference(reference))


@dataclass(frozen=True)
class NegativeGuidance:
    """Static negative guidance: a constant strength."""

    negative_scale: float
    reference: Reference = "empty"

    name = "negative guidance"

    @property
    def neutral(self) -> bool:
        return self.negative_scale == 0

    @property
    def needs_empty(self) -> bool:
        return self.reference == "empty"

    def step(self, moment: Moment, memory: object) -> Outcome:
        """Guide one evaluation."""
        strength = moment.point.each(self.negative_scale)
        return Outcome(away(moment, self.reference, strength), None, {"strength": strength})


@dataclass(frozen=True)
class Tracked:
    """Hold what the posterior's next step needs: the point, the predictions there, and the posterior that held there."""

    point: Point
    reference: Tensor
    negative: Tensor
    guided: Tensor
    log_posterior: Tensor


@dataclass(frozen=True)
class DynamicNegativeGuidance:
    """DNG: strength = scale * p / (1 - p), with the posterior p of the negative tracked along the run (equations 10 and 12, algorithm 2).

    log p <- clamp(log p + temperature * evidence + offset * (share of its course)): the offset is what a whole run adds, in nats.
    """

    scale: float
    prior: float
    temperature: float
    offset: float
    min_posterior: float
    max_posterior: float
    reference: Reference = "positive"

    name = "DNG"

    @property
    def neutral(self) -> bool:
        return self.scale == 0

    @property
    def needs_empty(self) -> bool:
        return self.reference == "empty"

    def step(self, moment: Moment, memory: object) -> Outcome:
        """Guide one evaluation with the posterior that its own place gives."""
        before = memory if isinstance(memory, Tracked) and memory.point.x.shape == moment.point.x.shape else None
        log_posterior, numbers = self._posterior(moment, before)
        strength = self.scale * odds(log_posterior)
        numbers |= {"posterior": log_posterior.exp(), "strength": strength}
        change = away(moment, self.reference, strength)
        kept = Tracked(moment.point, moment.reference(self.reference), moment.negative, moment.guided + change, log_posterior)
        return Outcome(change, kept, numbers)

    def _posterior(self, moment: Moment, before: Tracked | None) -> tuple[Tensor, dict[str, Tensor]]:
        bounds, now = Bounds(self.min_posterior, self.max_posterior), moment.point
        if before is None or before.point.below(now):
            # Noise that was added again hides what was known.
            return bounds.clamp(now.each(math.log(self.prior))), {}
        if not now.below(before.point):
            return bounds.clamp(self._known(moment, before.log_posterior)), {}
        found = evidence(before.point, now, before.reference, before.negative, moment.weight)
        numbers = {"evidence": found}
        if now.x[0].numel() >= ENOUGH:
            numbers["noisiness"] = noisiness(before.point, now, before.guided, moment.weight)
        rise = self.offset * (offset_course(now.sigma) - offset_course(before.point.sigma))
        return bounds.clamp(self._known(moment, before.log_posterior + self.temperature * found + rise)), numbers

    def _known(self, moment: Moment, log_posterior: Tensor) -> Tensor:
        """Go back to the prior for a negative that is new."""
        return log_posterior if moment.fresh is None else torch.where(moment.fresh, math.log(self.prior), log_posterior)
