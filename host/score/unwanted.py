"""Where the prediction of a negative comes from: a prompt that was there when the run began, or words that come while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..late import LateEncoder
from ..watch.run import Watch
from .avoided import Avoided, checked, holds, host_conditions
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
        self._written: dict[str, Any] = {}
        self._lists: dict[tuple[str, ...], list[tuple[Any, Tensor | None]]] = {}
        self.late: LateEncoder | None = None
        if watch.trial:
            host_conditions(Avoided("", checked(watch.trial)), shown)
        watch.listeners.append(self.hear)

    def _encode(self, text: str) -> Avoided:
        clip = self._watch.clip
        return Avoided(text, checked(clip.encode_from_tokens_scheduled(clip.tokenize(text))))

    def hear(self, text: str) -> None:
        """Encode words that came."""
        self._written[text] = self._encode(text)

    def predicted(self, predict: Predictions, sigma: float) -> Unwanted | None:
        """Predict, each picture with its own words; None while there are none."""
        told = self._watch.told()
        if not any(told):
            return None
        if told not in self._lists:
            # Only the latest: each is a set of conditionings on the device.
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
        rows = {text: None if all(one == text for one in told) else torch.tensor([one == text for one in told]) for text in texts}
        joined = self._side_by_side(told) if len(texts) > 1 else None
        if joined is not None:
            some = torch.tensor([bool(one) for one in told])
            return [(self._ready(joined), None if bool(some.all()) else some)]
        return [(self._ready(self._written[text]), rows[text]) for text in texts]

    def _ready(self, negative: Avoided) -> list[dict[str, Any]]:
        assert self.late is not None
        return self.late(host_conditions(negative, self._shown))

    def _side_by_side(self, told: tuple[str, ...]) -> Avoided | None:
        """Give each picture of the batch its own row of one conditioning; None where the texts are not equally long."""
        known = [self._written[text].conditioning for text in told if text]
        filler = known[0]
        each = [self._written[text].conditioning if text else filler for text in told]
        if any(len(conditioning) != 1 for conditioning in each):
            return None
        entries = [conditioning[0] for conditioning in each]
        if len({_shapes(entry) for entry in entries}) != 1:
            return None
        options = {key: _stacked([entry[1][key] for entry in entries]) for key in entries[0][1]}
        return Avoided("", [[torch.cat([entry[0] for entry in entries]), options]])


def _shapes(entry: Any) -> tuple[Any, ...]:
    """Describe an entry of a CONDITIONING by its keys and the shapes of its tensors."""
    embedding, options = entry
    shapes = {key: tuple(value.shape) if isinstance(value, Tensor) else None for key, value in options.items()}
    return tuple(embedding.shape), tuple(sorted(shapes.items()))


def _stacked(values: list[Any]) -> Any:
    return torch.cat(values) if isinstance(values[0], Tensor) else values[0]


def _over(rows: Tensor, like: Tensor) -> Tensor:
    """Shape one bool per picture so that it chooses among whole pictures."""
    return rows.to(like.device).view(-1, *[1] * (like.ndim - 1))
