"""Run a method over pairs and score it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...demo.world.kinds import WORLDS, kinds_of
from . import scores
from .methods import Method
from .pairs import Pair
from .real import draw_all, scenes_of
from .scores import Judged
from .world import BATCH, World, noise

# Far more than there are pairs, so that no two rows share their noise.
BETWEEN_SEEDS = 1000
DRAWN, DRAWN_SEED = 4, 5
PLACES = {name: {label: index for index, label in enumerate(kinds.labels)} for name, kinds in WORLDS.items()}


def place(pair: Pair, label: str) -> int:
    """Say at which place the judge of a pair's world speaks of a label."""
    return PLACES[kinds_of(pair.thing).name][label]


class Asked(Protocol):
    """One picture of some pair."""

    @property
    def pair(self) -> Pair: ...


class Row(NamedTuple):
    """One picture to make: a pair, and what its noise is drawn from."""

    pair: Pair
    noise: int


class Shown(NamedTuple):
    """Hold pictures, uint8 [N, 3, 64, 64], and what the judge says of them."""

    pictures: Tensor
    judged: Judged


def rows_of(pairs: Sequence[Pair], seeds: int) -> list[Row]:
    """List all pictures: every pair `seeds` times."""
    return [Row(pair, BETWEEN_SEEDS * turn + pair.number) for turn in range(seeds) for pair in pairs]


def show(world: World, method: Method, strength: float, rows: Sequence[Row]) -> Shown:
    """Make the pictures, in batches of rows whose negatives are equally long, and judge them."""
    pictures = torch.empty(len(rows), 3, 64, 64, dtype=torch.uint8)
    for places in _batches(world, method, rows):
        pictures[places] = world.decode(sample(world, method, strength, [rows[place] for place in places]))
    return Shown(pictures, world.judge(pictures))


def sample(world: World, method: Method, strength: float, rows: Sequence[Row]) -> Tensor:
    """Sample one batch's latents."""
    texts = world.texts(method.variant, [row.pair.positive for row in rows], [row.pair.negative for row in rows])
    return world.sample(method, strength, texts, torch.cat([noise(row.noise) for row in rows]))


def _batches(world: World, method: Method, rows: Sequence[Row]) -> Iterator[list[int]]:
    by_length: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        lengths = tuple(prompt.length for prompt in world.negative(method.variant, row.pair.negative).prompts)
        by_length.setdefault(lengths, []).append(place)
    for places in by_length.values():
        for start in range(0, len(places), BATCH):
            yield places[start : start + BATCH]


@dataclass(frozen=True)
class Real:
    """Hold features of drawn pictures for every pair: the targets there or not -> [DRAWN, F]; and how right the judge is about them."""

    features: dict[tuple[Pair, tuple[bool, ...]], Tensor]
    centre: Tensor
    judge: dict[str, float]

    def like(self, rows: Sequence[Asked], seen: Tensor) -> Tensor:
        """Give features of what was asked for, with the targets there where they are `seen`, so that what is gone counts neither for nor against."""
        there = [
            tuple(bool(picture[place(row.pair, target)]) for target in row.pair.targets) for row, picture in zip(rows, seen, strict=True)
        ]
        return torch.cat([self.features[row.pair, pattern] for row, pattern in zip(rows, there, strict=True)])


def draw_real(world: World, pairs: Sequence[Pair], seed: int = DRAWN_SEED) -> Real:
    """Draw what every pair asks for."""
    patterns = [scenes_of(pair, DRAWN, seed) for pair in pairs]
    judged = world.judge(draw_all(patterns))
    keys = [(pair, there) for pair, scenes in zip(pairs, patterns, strict=True) for there in scenes]
    each = [pair for pair, _ in keys for _ in range(DRAWN)]
    things = scores.shows(judged.seen, [place(pair, pair.thing) for pair in each])
    gone = scores.all_gone(judged.seen, [[place(pair, target) for target in pair.targets] for pair in each])
    absent = torch.tensor([not any(there) for _, there in keys for _ in range(DRAWN)])
    right = {"thing": scores.share(things), "gone, where it is": scores.share(gone, absent.tolist())}
    right["there, where it is"] = scores.share(~gone, (~absent).tolist())
    return Real(dict(zip(keys, judged.features.split(DRAWN), strict=True)), judged.features.mean(0), right)


def score(shown: Shown, rows: Sequence[Row], real: Real, none: Shown) -> dict[str, float]:
    """Score pictures of related pairs; `none`: the same without the negative."""
    pairs, seen = [row.pair for row in rows], shown.judged.seen
    positive = scores.shows(seen, [place(pair, pair.thing) for pair in pairs])
    gone = scores.all_gone(seen, [[place(pair, target) for target in pair.targets] for pair in pairs])
    # Without a style the picture is to have other colours.
    coloured = torch.tensor([pair.kind != "style" for pair in pairs])
    found = {"positive": scores.share(positive), "negative": scores.share(gone), "both": scores.share(positive & gone)}
    found["negative, hard"] = scores.share(gone, [pair.hard for pair in pairs])
    found["both, hard"] = scores.share(positive & gone, [pair.hard for pair in pairs])
    for kind in dict.fromkeys(pair.kind for pair in pairs):
        found[f"negative, {kind}"] = scores.share(gone, [pair.kind == kind for pair in pairs])
    found["distance"] = scores.frechet(scores.spread(shown.judged.features), scores.spread(real.like(rows, seen)))
    for name, measure in (("saturation", scores.saturation), ("clipped", scores.clipped)):
        found[name] = float(measure(shown.pictures[coloured]).mean())
    reference = float(scores.saturation(none.pictures[coloured]).mean())
    return found | {"saturation ratio": found["saturation"] / max(reference, 1e-9)}


def score_unrelated(shown: Shown, none: Shown) -> dict[str, float]:
    """Score pictures of unrelated pairs: what changed, where nothing should."""
    change = scores.pixel_change(shown.pictures, none.pictures)
    changed = scores.content_changed(shown.judged.seen, none.judged.seen)
    return {"unrelated pixel change": float(change.mean()), "unrelated content change": scores.share(changed)}


def q_metric(real: Real, related: tuple[Shown, Shown], unrelated: tuple[Shown, Shown]) -> float:
    """Give the DNG paper's Q of (guided, unguided) pictures of the same prompts and noises."""
    alike = [scores.likeness(guided.judged.features, plain.judged.features, real.centre) for guided, plain in (unrelated, related)]
    return scores.q_metric(*alike)
