"""Make the pictures of each way and score them against the same pictures without a negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...demo.world.kinds import FIRST
from ...demo.world.scene import LABELS
from ...host.install import last_report
from ..negbench import scores
from ..negbench.run import PLACES, Real, Shown, draw_real
from ..negbench.world import World, noise
from .late import Late
from .prompts import Row
from .ways import WAYS, Way, source

BATCH = 48
PLACE = PLACES[FIRST.name]


class Found(NamedTuple):
    """Hold a way's pictures, and per picture which listed things the vision-language model ever named, bool [N, labels]."""

    shown: Shown
    named: Tensor


@dataclass
class Results:
    """Hold what was measured: a dictionary for each way and strength."""

    rows: list[Row]
    runs: list[dict[str, Any]] = field(default_factory=list)


class Bench:
    """Run ways over one set of rows, and keep what they are compared with."""

    def __init__(self, world: World, backend: Any, rows: Sequence[Row]) -> None:
        self.world, self.backend, self.rows = world, backend, list(rows)
        self.listed = torch.zeros(len(self.rows), len(LABELS), dtype=torch.bool)
        for place, row in enumerate(self.rows):
            self.listed[place, [PLACE[word] for word in row.words]] = True
        self._plain: dict[str, Shown] = {}
        self._real: Real | None = None

    def plain(self, way: Way) -> Shown:
        """Show the same pictures without a negative."""
        if way.like not in self._plain:
            like = next(one for one in WAYS if one.name == way.like)
            self._plain[way.like] = self.show(like, 0.0).shown
        return self._plain[way.like]

    def real(self) -> Real:
        """Draw what is asked for, with and without what is listed."""
        if self._real is None:
            self._real = draw_real(self.world, list(dict.fromkeys(row.pair for row in self.rows)))
        return self._real

    def show(self, way: Way, strength: float) -> Found:
        """Make a way's pictures."""
        pictures = torch.empty(len(self.rows), 3, 64, 64, dtype=torch.uint8)
        named = torch.zeros_like(self.listed)
        for places in self._batches():
            rows = [self.rows[place] for place in places]
            texts = self.world.texts(way.variant, [row.pair.positive for row in rows], [row.pair.negative for row in rows])
            vae = self.world.vae()
            late = Late(self.backend, vae, way.late) if way.late else None
            watched = source(self.world.clip(way.variant), late or vae, late or self.backend, rows[0].words, way) if way.watched else None
            run = way.guided(self.world.model(way.variant), texts, strength, watched)
            heard = late.step if late else None
            latents = self.world.run(run, way.variant, way.sampler, torch.cat([noise(row.noise) for row in rows]), heard)
            pictures[places] = self.world.decode(latents)
            for transcript in last_report(run.model).watched if way.watched else ():
                for entry in transcript["entries"]:
                    named[places[entry["picture"]], [PLACE[word] for word in entry["negative"] if word in PLACE]] = True
        return Found(Shown(pictures, self.world.judge(pictures)), named & self.listed)

    def _batches(self) -> Iterator[list[int]]:
        """Yield rows that share a list, as one question is asked of a whole batch."""
        by_list: dict[tuple[str, ...], list[int]] = {}
        for place, row in enumerate(self.rows):
            by_list.setdefault(row.words, []).append(place)
        for places in by_list.values():
            yield from (places[start : start + BATCH] for start in range(0, len(places), BATCH))

    def run(self, way: Way, strength: float) -> dict[str, float]:
        """Measure a way at a strength."""
        plain = self.plain(way)
        found = Found(plain, torch.zeros_like(self.listed)) if way.make is None else self.show(way, strength)
        return score(found, plain, self.listed, self.rows, self.real())


def score(found: Found, plain: Shown, listed: Tensor, rows: Sequence[Row], real: Real) -> dict[str, float]:
    """Score pictures of one way. `plain`: the same without a negative; listed: what each list names, bool [N, labels]."""
    before, after = plain.judged.seen & listed, found.shown.judged.seen & listed
    had = before.any(1)
    never = (~had).tolist()
    positive = scores.shows(found.shown.judged.seen, [PLACE[row.pair.thing] for row in rows])
    named = (found.named & before).any(1)
    pixels = scores.pixel_change(found.shown.pictures, plain.pictures)
    changed = scores.content_changed(found.shown.judged.seen, plain.judged.seen)
    return {
        "had": float(had.double().mean()),
        "gone": scores.share(~after.any(1), had.tolist()),
        "things gone": float((before & ~after).sum() / max(1, int(before.sum()))),
        "never: still without": scores.share(~after.any(1), never),
        "positive": scores.share(positive),
        "positive, never": scores.share(positive, never),
        "never: pixels": float(pixels[~had].mean()),
        "never: content": scores.share(changed, never),
        "distance": scores.frechet(scores.spread(found.shown.judged.features), scores.spread(real.like(rows, found.shown.judged.seen))),
        "named": scores.share(named, had.tolist()),
        "named in vain": scores.share(found.named.any(1), never),
    }


def measure(
    world: World, backend: Any, rows: Sequence[Row], ways: Sequence[Way], tell: Callable[[str], None] = lambda line: None
) -> Results:
    """Run everything; `tell` hears of each run."""
    bench, results = Bench(world, backend, rows), Results(list(rows))
    for way in ways:
        for strength in way.strengths:
            found = bench.run(way, strength)
            about = {"method": way.name, "variant": way.variant, "watched": way.watched, "rival": way.rival, "strength": strength}
            results.runs.append({**about, **found})
            tell(f"{way.name} {strength:g}: gone {found['gone']:.3f}, content changed elsewhere {found['never: content']:.3f}")
    return results
