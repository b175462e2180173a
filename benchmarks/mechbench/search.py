"""Tune every entry on one half of the pairs, and compare the best of them on the other half and in a world that nothing was tuned on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ...demo.world.kinds import FIRST, WORLDS
from ..measure import compare
from ..negbench.pairs import related
from ..negbench.run import sample
from ..negbench.world import World
from .entries import Entry, beside
from .intervals import drawn, scored, with_intervals
from .results import Compared, Found
from .trial import HELD_OUT, OTHER_WORLD, TUNING, Trial, half

SECOND_WEIGHTS = Path(__file__).resolve().parent.parent / "second_world"
TIMED, ROUNDS = 16, 5
Tell = Callable[[str], None]


def world_named(name: str) -> World:
    return World() if name == FIRST.name else World(SECOND_WEIGHTS, WORLDS[name])


def tune(entries: Sequence[Entry], variants: Sequence[str], file: Path, every: int, tell: Tell) -> None:
    """Measure every entry at every strength on the tuning half of the first world, and add to the file what is not in it yet."""
    known: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for variant in variants:
        trial = Trial.of(world_named(FIRST.name), variant, half(FIRST, tuning=True)[::every], TUNING)
        for entry in [None, *entries]:
            if entry is not None and variant not in entry.variants:
                continue
            for strength in entry.strengths if entry else (0.0,):
                name = entry.name if entry else "none"
                if any((one["entry"], one["variant"], one["strength"]) == (name, variant, strength) for one in known):
                    continue
                found = {"entry": name, "variant": variant, "strength": strength, **scored(trial.run(entry, strength))}
                known.append(found)
                file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
                tell(line(found))


def line(run: dict[str, Any]) -> str:
    values = " ".join(f"{key} {run[key]:.3f}" for key in ("positive", "negative", "both", "distance", "changed"))
    return f"{run['variant']:9} {run['entry']:32} {run['strength']:5g} {values}"


def worth(run: dict[str, Any]) -> float:
    return float(run["both"] - run["changed"])


def tuned(file: Path, entry: Entry, variant: str) -> float:
    """Give the strength that is worth most on the tuning half."""
    runs = [run for run in json.loads(file.read_text(encoding="utf-8")) if (run["entry"], run["variant"]) == (entry.name, variant)]
    if not runs:
        raise SystemExit(f"{entry.name} has not been tuned on the {variant} model; run with --tune first.")
    return float(max(runs, key=worth)["strength"])


def held_out(
    entries: Sequence[Entry], against: Sequence[str], name: str, variant: str, strengths: dict[str, float], every: int, tell: Tell
) -> list[Compared]:
    """Compare entries at their tuned strengths on the pairs and seeds that nothing was tuned on; all pairs of another world."""
    kinds = WORLDS[name]
    pairs, turns = (half(kinds, tuning=False), HELD_OUT) if kinds is FIRST else (related(kinds), OTHER_WORLD)
    trial = Trial.of(world_named(name), variant, pairs[::every], turns)
    found: dict[tuple[str, float], Found] = {}
    for entry, strength in [(None, 0.0), *((each, one) for each in entries for one in beside(each, strengths[each.name]))]:
        label = entry.name if entry else "none"
        found[label, strength] = trial.run(entry, strength)
        tell(f"{name} " + line({"entry": label, "variant": variant, "strength": strength, **scored(found[label, strength])}))
    scores = {key: drawn(one) for key, one in found.items()}
    bases = {other: scores[other, strengths[other]] for other in against if other in strengths}
    costs = cost(trial, entries, strengths)
    return [
        Compared(
            entry,
            strength,
            strength == strengths.get(entry, 0.0),
            with_intervals(one),
            {other: with_intervals(one, base) for other, base in bases.items() if base is not one},
            costs[entry],
        )
        for (entry, strength), one in scores.items()
    ]


def cost(trial: Trial, entries: Sequence[Entry], strengths: dict[str, float]) -> dict[str, float]:
    """Time the sampling of one batch, in turns; as a multiple of the time without any negative."""
    length = trial.world.negative(trial.variant, trial.rows[0].pair.negative).prompts[0].length
    alike = [row for row in trial.rows if trial.world.negative(trial.variant, row.pair.negative).prompts[0].length == length][:TIMED]
    methods = [trial.method(None, 0.0), *(trial.method(entry, strengths[entry.name]) for entry in entries)]

    def way(place: int) -> Callable[[], object]:
        return lambda: sample(trial.world, methods[place], methods[place].usual, alike)

    results = compare({method.name: way(place) for place, method in enumerate(methods)}, torch.device("cpu"), ROUNDS, warmup=1)
    return {name: result.median / results["none"].median for name, result in results.items()}
