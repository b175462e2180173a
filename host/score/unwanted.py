"""Where the prediction of a negative comes from: a prompt that was there when the run began, or words that come while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..late import LateEncoder
from ..watch.run import Watch
from .avoided import Avoided, checked, holds, host_conditions
from .joined import sharing, side_by_side
from .predictions import Predictions


@dataclass(frozen=True)
class Unwanted:
    """Hold what is predicted for the negative [B, ...]; rows: the pictures that have one, bool [B] (None: all); told: each picture's words."""

    prediction: Tensor
    rows: Tensor | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """Hold a negative that is one of the run's own lists of conditionings."""

    place: str

    def predicted(self, predict: Predictions, sigma: float) -> Unwanted | None:
        """Predict; None where the negative does not hold at this noise level."""
        return Unwanted(predict(self.place)) if holds(predict.conditions(self.place), sigma) else None


class Spoken:
    """Hold a negative that a vision-language model says, another one for each picture; with the run's positive prompt as it was given."""

    def __init__(self, watch: Watch, shown: Sequence[dict[str, Any]]) -> None:
        self._watch = watch
        self._shown = shown
        # Each text as the model takes it.
        self._ready: dict[str, list[dict[str, Any]]] = {}
        self._lists: dict[tuple[str, ...], list[tuple[Any, Tensor | None]]] = {}
        self.late: LateEncoder | None = None
        if watch.trial:
            host_conditions(Avoided("", checked(watch.trial)), shown)
        watch.listeners.append(self.hear)

    def hear(self, text: str) -> Callable[[], None]:
        """Encode words that came; what is returned lets the model take them in."""
        clip = self._watch.clip
        return partial(self._take_in, Avoided(text, checked(clip.encode_from_tokens_scheduled(clip.tokenize(text)))))

    def _take_in(self, negative: Avoided) -> None:
        assert self.late is not None
        made = self.late(host_conditions(negative, self._shown))
        self._ready[negative.text] = sharing(made, next(iter(self._ready.values()), made))

    def predicted(self, predict: Predictions, sigma: float) -> Unwanted | None:
        """Predict, each picture with its own words; None while there are none."""
        told = self._watch.told()
        if not any(told):
            return None
        if told not in self._lists:
            # Only the latest: what is joined is held beside its parts.
            self._lists = {told: self._conditions(told)}
        lists = [(conditions, rows) for conditions, rows in self._lists[told] if holds(conditions, sigma)]
        if not lists:
            return None
        prediction, acts = predict("positive"), torch.zeros(len(told), dtype=torch.bool)
        for conditions, rows in lists:
            found = predict.with_list(conditions)
            mine = torch.ones_like(acts) if rows is None else rows
            prediction = found if rows is None else torch.where(_over(mine, found), found, prediction)
            acts = acts | mine
        return Unwanted(prediction, None if bool(acts.all()) else acts.to(prediction.device), told)

    def _conditions(self, told: tuple[str, ...]) -> list[tuple[Any, Tensor | None]]:
        """Make conditionings of what each picture was told: one for all where the host can carry them side by side, else one for each text."""
        texts = [text for text in dict.fromkeys(told) if text]
        # A picture that was told nothing is predicted with another one's words, and the prediction is dropped.
        joined = side_by_side([self._ready[text or texts[0]] for text in told]) if len(texts) > 1 else None
        if joined is not None:
            some = torch.tensor([bool(one) for one in told])
            return [(joined, None if bool(some.all()) else some)]
        rows = {text: None if all(one == text for one in told) else torch.tensor([one == text for one in told]) for text in texts}
        return [(self._ready[text], rows[text]) for text in texts]


def _over(rows: Tensor, like: Tensor) -> Tensor:
    """Shape one bool per picture so that it chooses among whole pictures."""
    return rows.to(like.device).view(-1, *[1] * (like.ndim - 1))
