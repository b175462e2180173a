"""Begin to watch a run for every source that its nodes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from ..channel import Channel
from ..record import Recorder
from ..task import Task
from .run import Watch
from .source import Watched


def start_watches(
    guider: Any, tasks: Sequence[Task], recorder: Recorder, channel: Channel | None, stack: ExitStack
) -> dict[Watched, Watch]:
    """Give each source that acts in this run its watch; one that several nodes use is asked once for all of them."""
    sampling: Callable[[float], float] = guider.model_patcher.get_model_object("model_sampling").percent_to_sigma
    acting: dict[Watched, list[Task]] = {}
    for task in tasks:
        acts = not task.mechanism.neutral and task.window.start_percent != task.window.end_percent
        if isinstance(task.negative, Watched) and acts:
            acting.setdefault(task.negative, []).append(task)
    watches = {}
    for number, (source, mine) in enumerate(acting.items()):
        say = partial(channel.say, node=source.node) if channel is not None and source.node else _silent
        windows = [task.window.sigmas(sampling) for task in mine]
        watches[source] = Watch(guider, source, windows, say, number, ", ".join(task.mechanism.name for task in mine))
    # What they saw is kept even of a run that broke off; it is read after they have ended.
    stack.callback(_keep, recorder, tuple(watches.values()))
    for watch in watches.values():
        stack.enter_context(watch)
    return watches


def _silent(text: str) -> None:
    """Say nothing, where nobody listens."""


def _keep(recorder: Recorder, watches: Sequence[Watch]) -> None:
    for watch in watches:
        recorder.keep_watch(watch.transcript, watch.notes, watch.shown)
