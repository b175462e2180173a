"""Let the judge count what pictures show, and say it in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .measure_training import load_judge
from .world.scene import LABELS

# (prompt, what it shows, what to avoid, the labels of that)
Example = tuple[str, str, str, tuple[str, ...]]
EXAMPLES: tuple[Example, ...] = (
    ("a tree", "tree", "apples", ("apples",)),
    ("a house", "house", "a chimney, smoke", ("chimney", "smoke")),
    ("a rocket", "rocket", "flame", ("flame",)),
    ("a cat", "cat", "a bow", ("bow",)),
)


@dataclass(frozen=True)
class Count:
    """Of `pictures`, how many show the main thing, and how many show none of what was to be avoided."""

    pictures: int
    shown: int
    gone: int

    def __add__(self, other: Count) -> Count:
        return Count(self.pictures + other.pictures, self.shown + other.shown, self.gone + other.gone)


def to_tensor(pictures: Sequence[Image.Image]) -> Tensor:
    """Bring pictures to what the judge takes: [B, 3, 64, 64] in [-1, 1]."""
    small = [np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BOX), dtype=np.float32) for picture in pictures]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) / 127.5 - 1


@torch.no_grad()
def count(example: Example, pictures: Tensor) -> Count:
    """Ask the judge about pictures of one example."""
    seen = load_judge()(pictures) > 0
    _, thing, _, avoided = example
    left = seen[:, [LABELS.index(name) for name in avoided]].any(1)
    return Count(len(pictures), int(seen[:, LABELS.index(thing)].sum()), int((~left).sum()))


def table(counts: dict[str, Count], seconds: dict[str, float]) -> str:
    """Say per way of guiding: main thing shown, avoided things gone, time per picture."""
    lines = [f"{'':12}{'main thing shown':>20}{'avoided things gone':>22}" + (f"{'s per picture':>16}" if seconds else "")]
    for name, found in counts.items():
        time = f"{seconds[name] / found.pictures:>16.2f}" if name in seconds else ""
        lines.append(f"{name:12}{f'{found.shown} of {found.pictures}':>20}{f'{found.gone} of {found.pictures}':>22}{time}")
    return "\n".join(lines)
