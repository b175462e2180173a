"""Tell solver steps from extra evaluations.

Samplers call back once per solver step. Nearly all of them do so right after the step's first evaluation, which may follow extra ones of the
step before (Heun, DPM-2, DPM++ SDE, ...; k_diffusion/sampling.py). UniPC evaluates once a step, at a place that it corrects afterwards. dpm_adaptive
calls back at a step's end, with its new place. Only the evaluation that begins a step counts; what extra ones found is dropped.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

Found = TypeVar("Found")


class StepStart(Generic[Found]):
    """Keep what the evaluations since the last step found, until the sampler says which of them began the step."""

    def __init__(self) -> None:
        self._first: tuple[Tensor, Found] | None = None
        self._last: tuple[Tensor, Found] | None = None

    def note(self, x: Tensor, found: Found) -> None:
        """Keep what an evaluation at `x` found."""
        self._last = (x, found)
        self._first = self._first or self._last

    def forget(self) -> None:
        """Note an evaluation that found nothing: the step that calls back next did not begin with one of ours."""
        self._first = self._last = None

    def begun(self, x: Tensor, weight: Tensor | None) -> Found | None:
        """Give what the evaluation found that began the step which the sampler reports at `x`; weight: the mask of what is drawn anew."""
        first, last = self._first, self._last
        self.forget()
        if first is None or last is None:
            return None
        return (last if first is last or _same_place(last[0], x, weight) else first)[1]


def _same_place(evaluated: Tensor, said: Tensor, weight: Tensor | None) -> bool:
    """Compare places; where a mask keeps the picture, the host mixes the known latent in before it evaluates."""
    if evaluated.shape != said.shape:
        return True
    if weight is None:
        return torch.equal(evaluated, said)
    free = (weight == 1).expand_as(said)
    return bool((evaluated[free] == said[free]).all())
