"""The whole benchmark: every method at every strength, over all pairs; and how long a picture takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..measure import compare
from . import scores
from .methods import METHODS, Method, find
from .pairs import Pair, related, unrelated
from .results import Results
from .run import Real, Row, Shown, draw_real, q_metric, rows_of, sample, score, score_unrelated, show
from .world import World

QUICK_EVERY, QUICK_METHODS = 12, ("none", "VSF, offset -0.6")
TIMED, TIMED_ROUNDS = 16, 5


def pairs_for(quick: bool) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Give the related pairs, and the unrelated ones, which repeat some of their positives."""
    pairs = related()[::QUICK_EVERY] if quick else related()
    return pairs, tuple(pair for pair in unrelated() if pair.number in {pair.number for pair in pairs})


class Bench:
    """Run methods over one set of pairs, and keep what they are compared with."""

    def __init__(self, world: World, pairs: Sequence[Pair], strangers: Sequence[Pair], seeds: int) -> None:
        self.world = world
        self.rows, self.strange = rows_of(pairs, seeds), rows_of(strangers, seeds)
        self.real = draw_real(world, pairs)
        places = {(row.pair.positive, row.noise): place for place, row in enumerate(self.rows)}
        # The related row of every unrelated one: the same positive and noise.
        self.twins = [places[row.pair.positive, row.noise] for row in self.strange]
        self._plain: dict[tuple[str, float], Shown] = {}

    def plain(self, method: Method, strength: float) -> Shown:
        """Show what a method is compared with: the same without the negative."""
        like = find(method.like)
        key = like.name, strength if strength in like.strengths else like.usual
        if key not in self._plain:
            self._plain[key] = show(self.world, like, key[1], self.rows)
        return self._plain[key]

    def run(self, method: Method, strength: float) -> tuple[dict[str, float], Shown]:
        """Measure a method at a strength."""
        none = self.plain(method, strength)
        if method.build is find(method.like).build:
            own = find(method.name)
            shown = none if own.like == own.name else show(self.world, method, strength, self.rows)
            return score(shown, self.rows, self.real, none), shown
        everything = show(self.world, method, strength, [*self.rows, *self.strange])
        shown, strange = take(everything, slice(len(self.rows))), take(everything, slice(len(self.rows), None))
        found = score(shown, self.rows, self.real, none)
        if self.strange:
            calm = take(none, self.twins)
            found |= score_unrelated(strange, calm)
            found["Q"] = q_metric(self.real, (take(shown, self.twins), calm), (strange, calm))
        return found, shown

    def others(self) -> dict[str, float]:
        """Measure what the numbers are to be seen against: pictures drawn anew, and other noise."""
        again: Real = draw_real(self.world, list(dict.fromkeys(row.pair for row in self.rows)), seed=6)
        drawn = [scores.spread(torch.cat(list(real.features.values()))) for real in (self.real, again)]
        none = self.plain(METHODS[0], 0.0).pictures
        half = len(none) // 2
        return {
            "distance of pictures drawn twice": scores.frechet(*drawn),
            "pixel change between other pictures": float(scores.pixel_change(none[:half], none[-half:]).mean()),
        }


def take(shown: Shown, places: Any) -> Shown:
    """Take some of the pictures."""
    return Shown(shown.pictures[places], scores.Judged(shown.judged.seen[places], shown.judged.features[places]))


def measure(
    world: World, methods: Sequence[Method], seeds: int = 2, quick: bool = False, tell: Callable[[str], None] = lambda line: None
) -> Results:
    """Run everything; `tell` hears of each run."""
    pairs, strangers = pairs_for(quick)
    bench, results = Bench(world, pairs, strangers, seeds), Results(pairs, strangers, seeds)
    results.judge = bench.real.judge
    for method in methods:
        for strength in (method.usual,) if quick else method.strengths:
            found, shown = bench.run(method, strength)
            results.runs.append({"method": method.name, "group": method.group, "variant": method.variant, "strength": strength, **found})
            results.pictures[method.name, strength] = shown.pictures[: len(pairs)].clone()
            tell(f"{method.name} {strength:g}: positive {found['positive']:.3f}, negative {found['negative']:.3f}")
    results.other = bench.others()
    if not quick:
        ratios = time_ratios(world, methods, bench.rows[:TIMED])
        for run in results.runs:
            run["time ratio"] = ratios[run["method"]]
    return results


def time_ratios(world: World, methods: Sequence[Method], rows: Sequence[Row]) -> dict[str, float]:
    """Time the sampling of one batch with each method, in turns; as a multiple of the time without guidance, 8 steps at cfg 1."""
    first = world.negative(methods[0].variant, rows[0].pair.negative).prompts[0].length
    rows = [row for row in rows if world.negative(methods[0].variant, row.pair.negative).prompts[0].length == first]

    def way(method: Method) -> Callable[[], object]:
        return lambda: sample(world, method, method.usual, rows)

    results = compare({method.name: way(method) for method in methods}, torch.device("cpu"), TIMED_ROUNDS, warmup=1)
    base = results["none"].median if "none" in results else next(iter(results.values())).median
    return {name: result.median / base for name, result in results.items()}
