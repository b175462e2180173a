"""Read a choice of blocks, as users write it."""

from __future__ import annotations

import re

ITEM = re.compile(r"^(\d+)(?:\s*-\s*(\d+))?$")


def parse_blocks(text: str, count: int) -> frozenset[int] | None:
    """Read "0-11, 20" as block numbers, ranges inclusive, counted from 0; empty text means all (None).

    Raises ValueError for anything else, and for blocks that the model (with `count` of them) does not have.
    """
    if not text.strip():
        return None
    chosen: set[int] = set()
    for item in text.split(","):
        match = ITEM.match(item.strip())
        if match is None:
            raise ValueError(
                f'`blocks` has "{item.strip()}" in it; write numbers and ranges separated by commas, as in "0-11, 20", or leave it empty for all.'
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"`blocks` has the range {first}-{last}, which runs backwards; write {last}-{first}.")
        if last >= count:
            raise ValueError(f"`blocks` asks for block {last}, but this model has {count} blocks, 0 to {count - 1}.")
        chosen.update(range(first, last + 1))
    return frozenset(chosen)
