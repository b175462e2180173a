"""Scores with intervals: pairs are drawn again with replacement, with all their pictures, since pictures of one pair are not independent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..negbench import scores
from .results import Found

DRAWS, SEED, INSIDE = 400, 11, 0.95
Scores = dict[str, float]


def scored(found: Found, rows: Tensor | None = None, strange: Tensor | None = None) -> Scores:
    """Score pictures (rows, strange: which of them, with repetitions; None: all). worth: what a fitting negative does less what an unrelated one does."""
    rows = torch.arange(len(found.positive)) if rows is None else rows
    strange = torch.arange(len(found.changed)) if strange is None else strange
    positive, gone = found.positive[rows].double(), found.gone[rows].double()
    distance = scores.frechet(scores.spread(found.features[rows]), scores.spread(found.real[rows].flatten(0, 1)))
    both, changed = (positive * gone).mean().item(), found.changed[strange].double().mean().item()
    return {
        "worth": both - changed, "positive": positive.mean().item(), "negative": gone.mean().item(), "both": both, "distance": distance,
        "changed": changed, "pixels": found.pixels[strange].mean().item(),
    }  # fmt: skip


def draws(found: Found) -> list[tuple[Tensor, Tensor]]:
    """Draw the pairs again, always the same way for the same pairs: so entries can be compared draw by draw."""
    generator = torch.Generator().manual_seed(SEED)
    numbers = found.pairs.unique()
    rows = {int(number): (found.pairs == number).nonzero()[:, 0] for number in numbers}
    strange = {int(number): (found.strange == number).nonzero()[:, 0] for number in numbers}
    drawn = [numbers[torch.randint(len(numbers), (len(numbers),), generator=generator)].tolist() for _ in range(DRAWS)]
    return [(torch.cat([rows[n] for n in one]), torch.cat([strange[n] for n in one])) for one in drawn]


def interval(value: float, drawn: list[float]) -> tuple[float, float]:
    """Give the middle 95 % of draws around a value: a distance is larger where pictures repeat, so draws are moved to have their mean there."""
    mean = sum(drawn) / len(drawn)
    values = [value + one - mean for one in drawn]
    low, high = (
        torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([(1 - INSIDE) / 2, (1 + INSIDE) / 2], dtype=torch.float64)).tolist()
    )
    return low, high


class Drawn(NamedTuple):
    """Hold scores, and those of every draw of the pairs."""

    value: Scores
    draws: list[Scores]


def drawn(found: Found) -> Drawn:
    return Drawn(scored(found), [scored(found, *one) for one in draws(found)])


def with_intervals(own: Drawn, base: Drawn | None = None) -> dict[str, tuple[float, float, float]]:
    """Give each score with its interval; `base`: the difference from it instead, draw by draw."""
    if base is not None:
        own = Drawn(_less(own.value, base.value), [_less(one, other) for one, other in zip(own.draws, base.draws, strict=True)])
    return {name: (value, *interval(value, [one[name] for one in own.draws])) for name, value in own.value.items()}


def _less(own: Scores, base: Scores) -> Scores:
    return {name: own[name] - base[name] for name in own}
