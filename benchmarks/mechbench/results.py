"""What is found of pictures, and what becomes of it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Found(NamedTuple):
    """Hold what was found of every picture, [N]: is the thing there, is all that was to be avoided gone; features [N, F], and those of
    some drawn pictures that are as it should be, [N, D, F]; which pair it is of.

    changed, pixels: of the pictures with an unrelated negative, against those without any: whether the judge sees another thing, and how much changed.
    """

    positive: Tensor
    gone: Tensor
    features: Tensor
    real: Tensor
    pairs: Tensor
    changed: Tensor
    pixels: Tensor
    strange: Tensor


class Compared(NamedTuple):
    """Hold a finalist's scores with intervals on one model of one world; tuned: whether this strength is the search's;
    difference: from each entry that it is compared with, at that one's tuned strength.
    """

    entry: str
    strength: float
    tuned: bool
    scores: dict[str, tuple[float, float, float]]
    difference: dict[str, dict[str, tuple[float, float, float]]]
    cost: float
