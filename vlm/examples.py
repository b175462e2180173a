"""The paper's demonstrations D: pictures with the answers that are wanted for them."""

from __future__ import annotations

from torch import Tensor

from .backend import Example

# No vision-language model takes stripes.
MOST_OBLONG = 50


def examples_of(pictures: Tensor | None, answers: str) -> tuple[Example, ...]:
    """Pair pictures [N, H, W, 3] with answers, a line for each. Raises ValueError when their numbers differ, or pictures are stripes."""
    lines = [line.strip() for line in answers.splitlines() if line.strip()]
    count = 0 if pictures is None else pictures.shape[0]
    if count != len(lines):
        raise ValueError(
            f'`examples` has {count} pictures and `example_answers` {len(lines)} lines; write one line for each picture: what is to be named there, or "none".'
        )
    if pictures is not None and max(pictures.shape[1:3]) > MOST_OBLONG * min(pictures.shape[1:3]):
        raise ValueError(
            f"`examples` are {pictures.shape[2]} x {pictures.shape[1]} pixels; no side can be more than {MOST_OBLONG} times as long as the other."
        )
    return () if pictures is None else tuple(Example(picture[..., :3], line) for picture, line in zip(pictures, lines, strict=True))
