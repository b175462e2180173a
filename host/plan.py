"""Lay out one evaluation of the model: whose rows are guided, and where the negatives stand in the text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ..guidance.attention.mechanism import ValueSignFlip
from ..guidance.attention.strands import Segment, Strand
from .families import Family, Grid
from .layout import Rows, chunk_rows
from .task import ReadyPrompt, ReadyTask

Due = Sequence[tuple[ReadyTask, list[ReadyPrompt]]]


@dataclass(frozen=True)
class Act:
    """Say what one node does in this evaluation, and in which layers (None: all)."""

    strand: Strand
    layers: frozenset[int] | None


@dataclass(frozen=True)
class Group:
    """Join the guided rows whose positive prompts are equally long."""

    rows: Rows
    positive: int


@dataclass(frozen=True)
class Plan:
    """Lay out one evaluation.

    text: tokens of the whole text as the model sees it: `negative` (any padding included), unflipped copies of them if a layout asks for
    those (up to `added`, all that is ours; `copies` has the length of each), then the positive prompt, which a host
    may have repeated to a common length; groups cover the guided rows, `plain` the others; batch: pictures per conditioning; given: rows of each
    negative, copy and positive as its text encoder gave it.
    """

    family: Family
    grid: Grid
    acts: tuple[Act, ...]
    segments: tuple[Segment, ...]
    negative: int
    added: int
    text: int
    groups: tuple[Group, ...]
    plain: Rows | None
    rows: int
    batch: int
    with_map: bool
    # Lengths of attention calls that are not with the text.
    others: frozenset[int] = frozenset()
    # Each block first gives the whole text to a call that must be left alone (Wan image to video without CLIP vision).
    text_twice: bool = False
    copies: tuple[int, ...] = ()
    given: tuple[int, ...] = ()


@dataclass(frozen=True)
class Places:
    """Say which conditionings of a batch are guided, how long the positive prompt of each is, and how many pictures there are.

    repeats: how many crops (tiles) of the pictures are evaluated at once.
    """

    ids: Sequence[Any]
    guided: Sequence[int]
    positives: Sequence[int]
    batch: int
    repeats: int = 1

    @property
    def plain(self) -> list[int]:
        return [i for i in range(len(self.ids)) if i not in self.guided]

    def rows(self, chunks: Sequence[int]) -> Rows:
        """List the rows of some conditionings."""
        return chunk_rows(chunks, self.batch, len(self.ids), self.repeats)


def lay_out(
    family: Family, x: Tensor, text: Tensor, conditions: Mapping[str, Any], places: Places, due: Due, with_map: bool
) -> tuple[Plan, Tensor]:
    """Put the negatives in front of the text, for every row, and plan the evaluation; rows that are not guided never look at them."""
    grid, others = family.measure(x, conditions)
    given = (*_given(family, due), text.shape[1])
    text = family.whole_text(text, conditions)
    padding = _padding(family, others, text.shape[1], due)
    acts, pieces, copies, length = _arrange(family, text, places, due, padding, x.device)
    joined = torch.cat([*[pieces[0][:, :1]] * padding, *pieces, *copies, text], dim=1)
    plan = Plan(
        family=family,
        grid=grid,
        acts=tuple(acts),
        segments=tuple(segment for act in acts for segment in act.strand.segments),
        negative=length,
        added=joined.shape[1] - text.shape[1],
        text=joined.shape[1] - text.shape[1] + family.text_tokens(text.shape[1]),
        groups=_groups(places),
        plain=places.rows(places.plain) if places.plain else None,
        rows=x.shape[0],
        batch=places.batch,
        with_map=with_map,
        others=frozenset(others),
        text_twice=family.attends_text_twice(conditions),
        copies=tuple(copy.shape[1] for copy in copies),
        given=given,
    )
    return plan, joined


def _arrange(
    family: Family, text: Tensor, places: Places, due: Due, start: int, device: torch.device
) -> tuple[list[Act], list[Tensor], list[Tensor], int]:
    """Give each negative its place after `start` tokens; return what acts, the negatives, their unflipped copies, and the end."""
    acts: list[Act] = []
    pieces: list[Tensor] = []
    copies: list[Tensor] = []
    for ready_task, prompts in due:
        task = ready_task.task
        segments = []
        for ready in prompts:
            piece = _rows(ready.tokens, places.batch, len(places.ids) * places.repeats, text)
            weights, rows = (None if value is None else value.to(device) for value in (ready.prompt.weights, ready.rows))
            segments.append(Segment(start, piece.shape[1], weights, rows))
            start += piece.shape[1]
            pieces.append(piece)
            if _copied(family, ready_task):
                copies.append(piece)
        acts.append(Act(Strand(task.mechanism, tuple(segments)), task.layers))
    return acts, pieces, copies, start


def _groups(places: Places) -> tuple[Group, ...]:
    """Group the guided rows by the length of their positive prompt."""
    groups = []
    for count in sorted(set(places.positives)):
        chunks = [i for i, length in zip(places.guided, places.positives, strict=True) if length == count]
        groups.append(Group(places.rows(chunks), count))
    return tuple(groups)


def _copied(family: Family, task: ReadyTask) -> bool:
    """Tell whether unflipped copies of the negatives are asked for."""
    return family.joint and isinstance(task.task.mechanism, ValueSignFlip) and task.task.mechanism.layout == "released"


def _given(family: Family, due: Due) -> list[int]:
    """Count the rows of each negative and of each of its copies as the text encoder gave it."""
    return [
        ready.prompt.length
        for asked in (due, [(task, prompts) for task, prompts in due if _copied(family, task)])
        for _, prompts in asked
        for ready in prompts
    ]


def _padding(family: Family, others: Collection[int], text: int, due: Due) -> int:
    """Count the tokens to put in front, so that the whole text is not exactly as long as the keys of some other attention call."""
    ours = [ready.tokens.shape[1] * (1 + _copied(family, task)) for task, prompts in due for ready in prompts if ready.tokens is not None]
    total = family.text_tokens(text) + sum(ours)
    return next(n for n in range(len(others) + 1) if total + n not in others)


def _rows(tokens: Tensor | None, batch: int, chunks: int, like: Tensor) -> Tensor:
    """Repeat a negative for each picture and each conditioning of the batch."""
    assert tokens is not None
    return comfy.utils.repeat_to_batch_size(tokens.to(like), batch).repeat(chunks, 1, 1)
