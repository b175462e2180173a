"""Tell solver steps from extra evaluations, and keep what a mechanism carries from one step to the next.

Samplers call back once per solver step. Nearly all of them do so right after the step's first evaluation, which may follow extra ones of the
step before (Heun, DPM-2, DPM++ SDE, ...; k_diffusion/sampling.py). UniPC evaluates once a step, at a place that it corrects afterwards. dpm_adaptive
calls back at a step's end, with its new place. Only the evaluation that begins a step is remembered; what extra ones would be remembered for is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...guidance.score.mechanism import ScoreMechanism
from ...guidance.score.point import Moment, Outcome, precise


@dataclass(frozen=True)
class Evaluated:
    """Hold one evaluation: where it was, what came of it, and how large the change was, [B]."""

    x: Tensor
    sigma: float
    outcome: Outcome
    change: Tensor


class Tracker:
    """Guide one run away from one negative. Born with the run, and gone with it."""

    def __init__(self, mechanism: ScoreMechanism) -> None:
        self._mechanism = mechanism
        self._memory: object = None
        self._first: Evaluated | None = None
        self._last: Evaluated | None = None
        self.evaluations = 0
        self.steps: list[tuple[int, float, dict[str, Tensor]]] = []

    def evaluate(self, moment: Moment, sigma: float) -> Tensor:
        """Return what to add to the guided prediction."""
        outcome = self._mechanism.step(moment, self._memory)
        size = precise(moment.guided).flatten(1).norm(dim=1).clamp_min(1e-12)
        evaluated = Evaluated(moment.point.x, sigma, outcome, precise(outcome.change).flatten(1).norm(dim=1) / size)
        self._first, self._last = self._first or evaluated, evaluated
        self.evaluations += 1
        return outcome.change

    def skip(self) -> None:
        """Note an evaluation outside the window: the step that calls back next did not begin with one of ours."""
        self._first = self._last = None

    def commit(self, step: int, x: Tensor, weight: Tensor | None) -> None:
        """Remember the evaluation that this solver step began with; x: where the sampler says that it is."""
        if self._first is None or self._last is None:
            return
        alone = self._first is self._last
        begun = self._last if alone or _same_place(self._last.x, x, weight) else self._first
        self._memory = begun.outcome.memory
        self.steps.append((step, begun.sigma, {**begun.outcome.numbers, "change": begun.change}))
        self._first = self._last = None


def _same_place(evaluated: Tensor, said: Tensor, weight: Tensor | None) -> bool:
    """Compare places; where a mask keeps the picture, the host mixes the known latent in before it evaluates."""
    if evaluated.shape != said.shape:
        return True
    if weight is None:
        return torch.equal(evaluated, said)
    free = (weight == 1).expand_as(said)
    return bool((evaluated[free] == said[free]).all())
