"""Begin to watch a run for every source that its nodes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from ...vlm.transcript import Transcript
from ..channel import Channel
from ..record import Recorder
from ..running_prompt import Place
from ..task import Task
from .run import Watch
from .source import Watched


def start_watches(
    guider: Any, tasks: Sequence[Task], recorder: Recorder, channel: Channel | None, stack: ExitStack, place: Place
) -> dict[Watched, Watch]:
    """Give each source that acts in this run its watch; one that several nodes use is asked once for all of them. place: where it runs."""
    sampling: Callable[[float], float] = guider.model_patcher.get_model_object("model_sampling").percent_to_sigma
    acting: dict[Watched, list[Task]] = {}
    # Of what does not act this time, too, earlier words are forgotten.
    ended = {source: source.said.begin(place) for source in sources_of(tasks)}
    for task in tasks:
        acts = not task.mechanism.neutral and task.window.start_percent != task.window.end_percent
        if isinstance(task.negative, Watched) and acts:
            acting.setdefault(task.negative, []).append(task)
    watches = {}
    for number, (source, mine) in enumerate(acting.items()):
        say = partial(channel.say, node=source.node) if channel is not None and source.node else _silent
        windows = [task.window.sigmas(sampling) for task in mine]
        by = ", ".join(task.mechanism.name for task in mine)
        run = Transcript(0, 0, label=source.label, by=by, sampler=place.node, number=ended[source], watcher=source.node)
        watches[source] = Watch(guider, source, windows, say, number, run)
    stack.push(partial(_keep, recorder, watches, place))
    for watch in watches.values():
        stack.enter_context(watch)
    return watches


def _silent(text: str) -> None:
    """Say nothing, where nobody listens."""


def sources_of(tasks: Sequence[Task]) -> list[Watched]:
    """List the sources that these nodes use, each once."""
    return list(dict.fromkeys(task.negative for task in tasks if isinstance(task.negative, Watched)))


def _keep(recorder: Recorder, watches: dict[Watched, Watch], place: Place, *error: object) -> None:
    """Keep what the watches saw, after they have ended: for the report, even of a run that broke off; for pictures to come, of whole runs."""
    for source, watch in watches.items():
        recorder.keep_watch(watch.transcript, watch.notes, watch.shown)
        if error[0] is None:
            source.said.keep(place, watch.transcript)
