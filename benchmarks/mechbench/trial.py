"""One model of one world: make the pictures of an entry, and keep of each what is needed for scores and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...demo.world.kinds import Kinds
from ...host.guide import guide
from ..negbench import scores
from ..negbench.methods import CFG, Method, Sampling, Texts
from ..negbench.pairs import Pair, related, strangers
from ..negbench.run import Row, Shown, draw_real, place, show
from ..negbench.world import World
from .entries import FEW_STEP, Entry
from .posterior import Gate, gated
from .results import Found

# Noise that no other benchmark has used: turns of the tuning half, of the rest, and of another world, which has twice as many pairs.
TUNING, HELD_OUT, OTHER_WORLD, BETWEEN = (40,), (50, 51), (52,), 1000
TEMPERATURE = 4.0


def half(kinds: Kinds, tuning: bool) -> tuple[Pair, ...]:
    """Give the pairs to tune on, or the others: every second one, so that both have all things."""
    return tuple(pair for pair in related(kinds) if (pair.number % 2 == 0) == tuning)


@dataclass
class Trial:
    """Hold a model, its prompts, and its pictures without any negative."""

    world: World
    variant: str
    rows: list[Row]
    strange: list[Row]

    def __post_init__(self) -> None:
        self.real = draw_real(self.world, list(dict.fromkeys(row.pair for row in self.rows)))
        self.plain = show(self.world, self.method(None, 0.0), 0.0, self.rows)

    @classmethod
    def of(cls, world: World, variant: str, pairs: Sequence[Pair], turns: Sequence[int]) -> Trial:
        rows = [Row(pair, BETWEEN * turn + pair.number) for turn in turns for pair in pairs]
        # An unrelated negative for every first picture of a pair, which keeps its prompt and noise.
        strange = [Row(pair, BETWEEN * turns[0] + pair.number) for pair in strangers(pairs)]
        return cls(world, variant, rows, strange)

    def method(self, entry: Entry | None, strength: float) -> Method:
        """Give what makes the pictures."""

        def build(model: Any, texts: Texts, scale: float) -> Sampling:
            cfg = 1.0 if self.variant == FEW_STEP else CFG
            if entry is None:
                return Sampling(model, texts.positive, texts.empty, cfg)
            mechanism = entry.make(scale)
            if not entry.gated:
                return Sampling(guide(model, mechanism, texts.negative, entry.window, entry.blocks), texts.positive, texts.empty, cfg)
            gate = Gate(TEMPERATURE)
            guided = guide(model, gated(mechanism, gate), texts.negative, entry.window, entry.blocks)
            guided.set_model_sampler_pre_cfg_function(gate.see, disable_cfg1_optimization=True)
            return Sampling(guided, texts.positive, texts.padded_negative, cfg)

        name = entry.name if entry else "none"
        return Method(name, name, build, (strength,), strength, self.variant)

    def run(self, entry: Entry | None, strength: float) -> Found:
        """Make an entry's pictures (None: without any negative), and look at them."""
        if entry is None:
            return self.found(self.plain, self._twins())
        everything = show(self.world, self.method(entry, strength), strength, [*self.rows, *self.strange])
        count = len(self.rows)
        return self.found(_part(everything, slice(count)), _part(everything, slice(count, None)))

    def found(self, shown: Shown, strange: Shown) -> Found:
        pairs, seen, calm = [row.pair for row in self.rows], shown.judged.seen, self._twins()
        return Found(
            scores.shows(seen, [place(pair, pair.thing) for pair in pairs]),
            scores.all_gone(seen, [[place(pair, target) for target in pair.targets] for pair in pairs]),
            shown.judged.features,
            self.real.like(self.rows, seen).unflatten(0, (len(pairs), -1)),
            torch.tensor([pair.number for pair in pairs]),
            scores.content_changed(strange.judged.seen, calm.judged.seen),
            scores.pixel_change(strange.pictures, calm.pictures),
            torch.tensor([row.pair.number for row in self.strange]),
        )

    def _twins(self) -> Shown:
        """Give the pictures without any negative of the same prompts and noise as those with unrelated ones: the first turn's."""
        return _part(self.plain, slice(len(self.strange)))


def _part(shown: Shown, places: slice) -> Shown:
    return Shown(shown.pictures[places], scores.Judged(shown.judged.seen[places], shown.judged.features[places]))
