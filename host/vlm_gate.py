"""Let the first token's probabilities decide whether there is anything to name, before an answer is generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# As the instructions ask for it (vlm/instructions.py), in the ways in which tokenizers see it at the beginning of an answer.
SPELLINGS = ("none", "None", "NONE", " none", " None")


class Gate:
    """Answer "none" at once where P(something) = 1 - P(none) < `least`, and where it is more never: a logits processor of transformers.

    P(none) is the first token's probability, softmax over the vocabulary at temperature 1, summed over the spellings that are a token of their own
    (`none`: which these are; a tokenizer that has none of them has no gate).
    """

    def __init__(self, none: list[int], ends: Any, least: float) -> None:
        self._none = none
        self._end = int(ends[0] if isinstance(ends, list | tuple) else ends)
        self._least = least
        self._closed: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not self._none:
            return scores
        if self._closed is None:
            self._closed = 1 - chance_of_none(scores, self._none) < self._least
            open_ = scores.clone()
            open_[:, self._none] = -torch.inf
            spelling = torch.tensor(self._none, device=scores.device)[scores[:, self._none].argmax(-1)]
            return torch.where(self._closed[:, None], _only(scores, spelling), open_)
        over = torch.full((scores.shape[0],), self._end, device=scores.device)
        return torch.where(self._closed[:, None], _only(scores, over), scores)


def chance_of_none(scores: Tensor, none: list[int]) -> Tensor:
    """Give P(none) of each row [B] from the first token's scores [B, words]."""
    return scores.float().softmax(-1)[:, none].sum(-1)


def none_tokens(read: Callable[[str], list[int]]) -> list[int]:
    """List the tokens that are a whole "none", by what reads a text into tokens; a piece of it could begin other words."""
    written = [read(text) for text in SPELLINGS]
    return sorted({ids[0] for ids in written if len(ids) == 1})


def _only(scores: Tensor, tokens: Tensor) -> Tensor:
    """Leave one token of each row possible."""
    return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)
