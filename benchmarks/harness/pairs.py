"""Read the pairs of prompts from a CSV file, and refuse one that is not right in one sentence that names its row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .trouble import UserError, short

COLUMNS = ("number", "category", "positive", "negative", "question_positive", "question_negative")
# What to name for `--ask naming`: the main thing of the positive prompt.
OPTIONAL = "thing"
# Numbers make seeds, which must fit into 32 bits for some nodes.
TURNS, LARGEST = 1000, 1_000_000


@dataclass(frozen=True)
class Pair:
    """Hold a positive prompt and a negative one, and what to ask about their pictures."""

    number: int
    category: str
    positive: str
    negative: str
    question_positive: str
    question_negative: str
    thing: str = ""

    def seed(self, turn: int) -> int:
        """Give the seed of a picture: the same for all workflows."""
        return self.number * TURNS + turn

    @property
    def avoided(self) -> tuple[str, ...]:
        """Split the negative prompt into the things that it names."""
        return tuple(part for part in (piece.strip() for piece in self.negative.split(",")) if part)


def read_pairs(path: Path) -> list[Pair]:
    """Read a file. Raises UserError."""
    try:
        # utf-8-sig: some programs write a mark in front.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"The pairs in {path} cannot be read: {short(error)}; give a CSV file in UTF-8.") from error
    if not rows:
        raise UserError(f"{path} is empty; its first row must be: {','.join(COLUMNS)}.")
    head = [name.strip() for name in rows[0]]
    missing = [name for name in COLUMNS if name not in head]
    if missing or len(set(head)) != len(head):
        what = f"lacks the column {', '.join(missing)}" if missing else "names a column twice"
        raise UserError(f"{path} {what}; its first row must be: {','.join(COLUMNS)}.")
    pairs: dict[int, Pair] = {}
    for row, cells in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        pair = _pair(path, row, head, cells)
        if pair.number in pairs:
            raise UserError(f"{path}, row {row}: the number {pair.number} is there twice; give every pair its own.")
        pairs[pair.number] = pair
    if not pairs:
        raise UserError(f"{path} has no pairs below its first row.")
    return list(pairs.values())


def _pair(path: Path, row: int, head: Sequence[str], cells: Sequence[str]) -> Pair:
    if len(cells) != len(head):
        raise UserError(
            f"{path}, row {row}: {len(cells)} cells for {len(head)} columns; put text that has a comma in it between double quotes."
        )
    found = {name: cell.strip() for name, cell in zip(head, cells, strict=True)}
    empty = [name for name in COLUMNS if not found[name]]
    if empty:
        raise UserError(f"{path}, row {row}: the column {empty[0]} is empty; fill it in, or leave the whole row out.")
    number = found["number"]
    if not (number.isascii() and number.isdecimal() and len(number) <= 7 and 0 <= int(number) <= LARGEST):
        raise UserError(f"{path}, row {row}: {short(number, 40)!r} is no number; give a whole number from 0 to {LARGEST}.")
    return Pair(int(number), *(found[name] for name in COLUMNS[1:]), found.get(OPTIONAL, ""))


def limited(pairs: Sequence[Pair], most: int | None) -> list[Pair]:
    """Choose `most` pairs evenly from the whole file, in its order; those of a smaller number are among those of a larger (van der Corput's sequence)."""
    if most is None or most >= len(pairs):
        return list(pairs)
    bits = len(pairs).bit_length()
    halved = (int(f"{step:0{bits}b}"[::-1], 2) * len(pairs) >> bits for step in range(1 << bits))
    drawn = set(list(dict.fromkeys(halved))[:most])
    return [pair for place, pair in enumerate(pairs) if place in drawn]
