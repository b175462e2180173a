"""95 % intervals of shares, means and differences, over pairs of prompts: pictures of one pair are not independent of each other.

All take groups: for each pair the values of its pictures.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

Z = 1.959963984540054
DRAWS = 2000

Groups = Sequence[Sequence[float]]
Answers = Sequence[Sequence[float | None]]


class Estimate(NamedTuple):
    """Hold a value with its interval, and how many pictures it is of."""

    value: float
    low: float
    high: float
    count: int


NONE = Estimate(math.nan, math.nan, math.nan, 0)


def share(groups: Groups) -> Estimate:
    """Estimate a share of pictures (values 0 and 1): Wilson's interval.

    With several pictures of a pair, their number is divided by the design effect (Kish): how much wider the spread of pairs is than that of as many
    independent pictures. A bootstrap would give no width at all where all pictures agree.
    """
    groups = [group for group in groups if group]
    count = sum(map(len, groups))
    if not count:
        return NONE
    found = sum(map(sum, groups)) / count
    spread = sum((sum(group) - found * len(group)) ** 2 for group in groups)
    alone = found * (1 - found) * count
    # Where all agree nothing tells how alike the pictures of a pair are: each pair counts once.
    size = min(count, count * alone / spread) if alone and spread else len(groups) if not alone else count
    return Estimate(found, *wilson(found, max(1.0, size)), count)


def wilson(found: float, size: float) -> tuple[float, float]:
    """Give Wilson's score interval of a share among `size` independent ones."""
    centre = (found + Z * Z / (2 * size)) / (1 + Z * Z / size)
    half = Z * math.sqrt(found * (1 - found) / size + Z * Z / (4 * size * size)) / (1 + Z * Z / size)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean(groups: Groups) -> Estimate:
    """Estimate a mean of pictures: a bootstrap over pairs, always with the same draws."""
    groups = [group for group in groups if group]
    count = sum(map(len, groups))
    if not count:
        return NONE
    sums, sizes, rng = [sum(group) for group in groups], [len(group) for group in groups], random.Random(0)
    places, means = range(len(groups)), []
    for _ in range(DRAWS):
        drawn = rng.choices(places, k=len(groups))
        means.append(sum(sums[place] for place in drawn) / sum(sizes[place] for place in drawn))
    means.sort()
    return Estimate(sum(sums) / count, means[round(0.025 * (DRAWS - 1))], means[round(0.975 * (DRAWS - 1))], count)


def paired(first: Answers, other: Answers) -> list[list[float]]:
    """Subtract the first values from others, picture by picture; None: no answer, left out on both sides."""
    return [
        [a - b for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
        for ours, theirs in zip(other, first, strict=True)
    ]


def difference(groups: Groups) -> Estimate:
    """Estimate a mean difference of shares (values -1, 0 and 1).

    Bonett and Price's interval, with a pair of prompts as one observation: one with a difference of +1 and one with -1 are added, so that it has a width also
    where nothing differs.
    """
    groups = [group for group in groups if group]
    count = sum(map(len, groups))
    if not count:
        return NONE
    widened = [sum(group) / len(group) for group in groups] + [1.0, -1.0]
    centre = sum(widened) / len(widened)
    variance = sum((one - centre) ** 2 for one in widened) / len(widened)
    half = Z * math.sqrt(variance / len(widened))
    return Estimate(sum(map(sum, groups)) / count, max(-1.0, centre - half), min(1.0, centre + half), count)
