"""The paper's demonstrations D: pictures with the answers that are wanted for them."""

from __future__ import annotations

from torch import Tensor

from .backend import Example


def examples_of(pictures: Tensor | None, answers: str) -> tuple[Example, ...]:
    """Pair pictures [N, H, W, 3] with answers, a line for each. Raises ValueError when their numbers differ."""
    lines = [line.strip() for line in answers.splitlines() if line.strip()]
    count = 0 if pictures is None else pictures.shape[0]
    if count != len(lines):
        raise ValueError(
            f'`examples` has {count} pictures and `example_answers` {len(lines)} lines; write one line for each picture: what is to be named there, or "none".'
        )
    return () if pictures is None else tuple(Example(picture[..., :3], line) for picture, line in zip(pictures, lines, strict=True))
