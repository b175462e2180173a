"""Draw what a perfect method would give: real scenes of what a pair asks for, with and without its targets."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence

from torch import Tensor

from ...demo.world.dataset import pictures_of
from ...demo.world.kinds import EVERY_THING, kinds_of
from ...demo.world.scene import Scene, random_scene
from .pairs import Pair

Patterns = dict[tuple[bool, ...], list[Scene]]


def scenes_of(pair: Pair, count: int, seed: int) -> Patterns:
    """Draw `count` scenes for every way in which the targets can be there or not (one bool per target)."""
    rng = random.Random(f"{seed}/{pair.number}/{pair.negative}")
    patterns = itertools.product((False, True), repeat=len(pair.targets))
    return {there: [_with(_asked_for(pair, rng), dict(zip(pair.targets, there, strict=True))) for _ in range(count)] for there in patterns}


def _asked_for(pair: Pair, rng: random.Random) -> Scene:
    """Draw scenes until one has what the positive prompt says."""
    while True:
        scene = random_scene(rng, pair.thing, kinds=kinds_of(pair.thing))
        fits = pair.colour in ("", scene.colour) and pair.ground in ("", scene.ground)
        if fits and pair.big in (None, scene.big):
            return scene


def _with(scene: Scene, there: dict[str, bool]) -> Scene:
    """Put targets into a scene, or take them out; what hangs on a part comes and goes with it."""
    kind = EVERY_THING[scene.thing]
    needs = {part.part: part.needs for part in kind.parts}
    for target, wanted in there.items():
        if target in needs:
            parts = [name for name in scene.parts if name != target and (wanted or needs[name] != target)]
            if wanted:
                parts += [name for name in (needs[target], target) if name and name not in parts and there.get(name, True)]
            scene = dataclasses.replace(scene, parts=tuple(parts))
        elif target == kind.companion:
            scene = dataclasses.replace(scene, companions=(target,) if wanted else ())
        else:
            scene = dataclasses.replace(scene, style=target if wanted else "")
    return scene


def draw_all(patterns: Sequence[Patterns]) -> Tensor:
    """Draw all scenes in order, uint8 [N, 3, 64, 64]."""
    return pictures_of([scene for pair in patterns for scenes in pair.values() for scene in scenes])
