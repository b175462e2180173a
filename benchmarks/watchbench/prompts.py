"""What is asked for, and the lists of what must be kept out whatever is asked for. Fixed: no randomness here."""

from __future__ import annotations

from typing import NamedTuple

from ...demo.world.things import THINGS
from ..negbench.pairs import Pair, related, targets_of

# Parts and companions, eight to a list, so that about a third of the prompts bring something of each.
LISTS = (
    ("hat", "smoke", "wheels", "flag", "leaves", "candles", "steam", "buttons"),
    ("glasses", "chimney", "suitcase", "gate", "bee", "bubbles", "flame", "moon"),
    ("carrot", "scarf", "door", "apples", "birds", "bow", "antenna", "rain"),
)
EACH = 3


class Row(NamedTuple):
    """One picture to make: what is asked for (its targets are those of the list that mostly come with it), the list, and what the noise is drawn from."""

    pair: Pair
    words: tuple[str, ...]
    noise: int


def rows_of(seeds: int, each: int = EACH, lists: tuple[tuple[str, ...], ...] = LISTS) -> list[Row]:
    """List all pictures: every thing under every list, in `each` positive prompts."""
    known = related()
    rows = []
    for seed in range(seeds):
        for words in lists:
            for thing, kind in THINGS.items():
                own = tuple(label for label, _, _ in targets_of(kind) if label in words)
                for first in [pair for pair in known if pair.thing == thing][:each]:
                    pair = Pair(first.thing, first.colour, first.big, first.ground, ", ".join(words), own, "list", False, first.number)
                    rows.append(Row(pair, words, 1000 * seed + first.number))
    return rows
