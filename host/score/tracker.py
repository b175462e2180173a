"""Keep what a mechanism carries from one solver step to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...guidance.score.mechanism import ScoreMechanism
from ...guidance.score.point import Moment, Outcome, precise
from ..steps import StepStart


@dataclass(frozen=True)
class Evaluated:
    """Hold what came of one evaluation, and how large the change was, [B]; told: the negative of each picture then."""

    sigma: float
    outcome: Outcome
    change: Tensor
    told: tuple[object, ...]


class Tracker:
    """Guide one run away from one negative. Born with the run, and gone with it."""

    def __init__(self, mechanism: ScoreMechanism) -> None:
        self._mechanism = mechanism
        self._memory: object = None
        self._told: tuple[object, ...] = ()
        self._start: StepStart[Evaluated] = StepStart()
        self.evaluations = 0
        self.steps: list[tuple[int, float, dict[str, Tensor]]] = []

    def evaluate(self, moment: Moment, sigma: float, told: tuple[object, ...] = (), rows: Tensor | None = None) -> Tensor:
        """Return what to add to the guided prediction.

        told: what each picture's negative is, where it may change during the run; rows: the pictures that have one, bool [B] (None: all).
        """
        if told and self._told and told != self._told:
            new = [now != before for now, before in zip(told, self._told, strict=True)]
            moment = replace(moment, fresh=torch.tensor(new, device=moment.guided.device))
        outcome = self._mechanism.step(moment, self._memory)
        if rows is not None:
            numbers = {name: value.masked_fill(~rows, torch.nan) for name, value in outcome.numbers.items()}
            outcome = replace(outcome, change=torch.where(moment.point.spread(rows), outcome.change, 0), numbers=numbers)
        size = precise(moment.guided).flatten(1).norm(dim=1).clamp_min(1e-12)
        self._start.note(moment.point.x, Evaluated(sigma, outcome, precise(outcome.change).flatten(1).norm(dim=1) / size, told))
        self.evaluations += 1
        return outcome.change

    def skip(self) -> None:
        """Note an evaluation outside the window, or without anything to avoid: what was told before counts as new when it comes again."""
        self._start.forget()
        if self._told:
            self._memory, self._told = None, ()

    def commit(self, step: int, x: Tensor, weight: Tensor | None) -> None:
        """Remember the evaluation that this solver step began with; x: where the sampler says that it is."""
        begun = self._start.begun(x, weight)
        if begun is not None:
            self._memory, self._told = begun.outcome.memory, begun.told
            self.steps.append((step, begun.sigma, {**begun.outcome.numbers, "change": begun.change}))
