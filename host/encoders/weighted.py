"""Read weights like (word:1.4) out of a line as the host does, where its tokenizers do not: for language models it has them turned off."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import comfy.sd1_clip

# A backslash makes a bracket one of the text; while the host parses, it writes such brackets so.
ESCAPED = (("\0\1", "\\)"), ("\0\2", "\\("))


@dataclass(frozen=True)
class Piece:
    """Hold a part of a line without its brackets, and its weight."""

    text: str
    weight: float

    def replaced(self, word: str) -> str:
        """Give the piece with another word in its place, and its spaces as they are."""
        core = self.text.strip()
        return self.text if not core else self.text.replace(core, word, 1)


def pieces_of(line: str) -> tuple[Piece, ...]:
    """Split a line where the weight changes."""
    parsed = comfy.sd1_clip.token_weights(comfy.sd1_clip.escape_important(line), 1.0)
    pieces = []
    for text, weight in parsed:
        for mark, written in ESCAPED:
            text = text.replace(mark, written)
        pieces.append(Piece(text, float(weight)))
    check_weights(piece.weight for piece in pieces)
    return tuple(pieces)


def check_weights(weights: Iterable[Any]) -> None:
    """Refuse weights that have no meaning in a negative."""
    for weight in weights:
        if not math.isfinite(weight) or weight < 0:
            raise ValueError(
                f"A weight in the negative prompt is {float(weight):g}, below 0 or no number; write (word:1.4) for more and (word:0.5) for less, "
                "or move the word to the positive prompt."
            )
