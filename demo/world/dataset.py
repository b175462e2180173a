"""Draw many scenes at once, always the same for a seed."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .kinds import FIRST, Kinds
from .scene import Scene, caption, draw, random_scene, truth


class Scenes(NamedTuple):
    """Pictures uint8 [N, 3, 64, 64], one caption each, and what is in them: 0/1 [N, labels]."""

    pictures: Tensor
    captions: list[str]
    truth: Tensor


def pictures_of(scenes: list[Scene]) -> Tensor:
    """Draw scenes, uint8 [N, 3, 64, 64]."""
    return torch.from_numpy(np.stack([draw(scene) for scene in scenes])).permute(0, 3, 1, 2).contiguous()


def make(count: int, seed: int, thing: str | None = None, usual: float | None = None, kinds: Kinds = FIRST) -> Scenes:
    """Draw `count` scenes (of `thing`, if given; `usual`: see random_scene) from `seed`."""
    rng = random.Random(seed)
    scenes = [random_scene(rng, thing, usual, kinds) for _ in range(count)]
    labels = torch.from_numpy(np.stack([truth(scene, kinds) for scene in scenes]))
    return Scenes(pictures_of(scenes), [caption(rng, scene) for scene in scenes], labels)


def to_float(pictures: Tensor) -> Tensor:
    """Bring bytes to the range [-1, 1] that the models work in."""
    return pictures.float() / 127.5 - 1.0
