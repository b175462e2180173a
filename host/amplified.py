"""Amplify a conditioning or a negative of ours; the same kind comes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from ..guidance.text.amplify import amplify
from .negative import Negative, Prompt


def amplified(conditioning: Negative | Sequence[Any], empty: Sequence[Any], amount: float) -> Negative | list[list[Any]]:
    """Return p + amount (p - p0) for each prompt; nothing is changed in place, and amount 0 returns what was given."""
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(f"`amount` is {amount}; it must be 0 or more.")
    if not empty or empty[0][0] is None:
        raise ValueError("`empty` has no text embeddings; connect a CLIP Text Encode node with no text.")
    base: Tensor = empty[0][0]
    if isinstance(conditioning, Negative):
        if amount == 0:
            return conditioning
        # One line may have come as several prompts, which share what was written.
        written = {id(p.written): partial(_written, p, empty, amount) for p in conditioning.prompts if p.written is not None}
        return Negative(
            tuple(
                replace(
                    p,
                    embedding=_amplify(p.embedding, base, amount),
                    written=written.get(id(p.written)),
                    words=p.words and partial(_words, p, base, amount),
                )
                for p in conditioning.prompts
            )
        )
    if amount == 0:
        return list(conditioning)
    return [[_amplify(embedding, base, amount), dict(options)] for embedding, options in conditioning]


def _written(prompt: Prompt, empty: Sequence[Any], amount: float) -> Any:
    """Amplify what a prompt's whole line is with its padding."""
    assert prompt.written is not None
    return amplified(prompt.written(), empty, amount)


def _words(prompt: Prompt, empty: Tensor, amount: float) -> Prompt:
    """Amplify what a prompt is without the tokens around its words."""
    assert prompt.words is not None
    words = prompt.words()
    return replace(words, embedding=_amplify(words.embedding, empty, amount))


def _amplify(embedding: Tensor | None, empty: Tensor, amount: float) -> Tensor:
    if embedding is None:
        raise ValueError("`conditioning` has no text embeddings; connect the output of a CLIP Text Encode or Avert Negative Prompt node.")
    if embedding.shape[-1] != empty.shape[-1]:
        raise ValueError(
            f"`conditioning` and `empty` were encoded by different text encoders ({embedding.shape[-1]} and {empty.shape[-1]} wide); use one CLIP for both."
        )
    return amplify(embedding, empty, amount)
