"""Gate a form by DNG's posterior: the negative acts as far as the picture is becoming the negative, tracked from step to step.

    log p <- log p + evidence / T      evidence = log N(x_s; mu(D_N), v) - log N(x_s; mu(D_+), v)      (arXiv 2410.14398, equation 12)

The strength of a sample is its p over the prior, at most 2. The negative's prediction D_N costs an evaluation a step, as with guidance above cfg 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...guidance.attention.partial import Parts
from ...guidance.score.point import Point
from ...guidance.score.posterior import evidence
from .forms import Form

PRIOR, MOST = 0.5, 2.0


@dataclass
class Gate:
    """Follow the posterior of every picture of a batch; `temperature` divides the evidence."""

    temperature: float
    log_odds: Tensor | None = None
    before: tuple[Point, Tensor, Tensor] | None = None

    def strength(self) -> Tensor | float:
        """Give p / prior of every picture, [B]; 1 before anything is known."""
        return 1.0 if self.log_odds is None else (torch.sigmoid(self.log_odds) / PRIOR).clamp_max(MOST)

    def see(self, args: dict[str, Any]) -> list[Tensor]:
        """Take the step's predictions from the host, for positive and negative; leave them as they are."""
        positive, negative = args["conds_out"][:2]
        sigma = float(args["sigma"].max())
        now = Point(1 - sigma, sigma, args["input"])
        if self.before is not None:
            found = evidence(self.before[0], now, *self.before[1:]) / self.temperature
            odds = math.log(PRIOR / (1 - PRIOR)) if self.log_odds is None else self.log_odds
            self.log_odds = (odds + found).clamp(-8, 8)
        self.before = (now, positive, negative)
        return list(args["conds_out"])


def gated(form: Form, gate: Gate) -> Form:
    """Make a form's strength a gate's. A class of its own, since what a mechanism holds must be numbers."""

    class GatedForm(Form):
        def steer(self, parts: Parts, into: Tensor | None = None) -> Tensor:
            plain, strength = parts.positive.out, gate.strength()
            if isinstance(strength, Tensor):
                strength = strength.to(plain).repeat(plain.shape[0] // strength.shape[0])[:, None, None, None]
            guided = plain + strength * (Form.steer(self, parts) - plain)
            return guided if into is None else into.copy_(guided)

    return GatedForm(**vars(form))
