"""Perp-Neg: guide away only at right angles to the positive prompt (arXiv 2304.04968)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .point import Moment, Outcome, precise


def perpendicular(vector: Tensor, to: Tensor) -> Tensor:
    """Take from `vector` what lies along `to`, each sample for itself: v - <v, t> / |t|^2 t; float32 [B, ...]."""
    vector, to = precise(vector), precise(to)
    along, length = (a.flatten(1) for a in (vector * to, to * to))
    share = along.sum(1) / length.sum(1).clamp_min(torch.finfo(to.dtype).tiny)
    return vector - share.view(-1, *[1] * (vector.ndim - 1)) * to


@dataclass(frozen=True)
class PerpendicularGuidance:
    """D = D_cfg - cfg * negative_scale * perp(D_- - D_0, D_+ - D_0)."""

    negative_scale: float

    name = "Perp-Neg"
    needs_empty = True

    @property
    def neutral(self) -> bool:
        return self.negative_scale == 0

    def step(self, moment: Moment, memory: object) -> Outcome:
        """Guide one evaluation."""
        assert moment.empty is not None
        across = perpendicular(moment.negative - moment.empty, moment.positive - moment.empty)
        strength = moment.point.each(moment.cfg * self.negative_scale)
        return Outcome(-moment.point.spread(strength) * across, None, {"strength": strength})
