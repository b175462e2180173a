"""Put guidance on a model, and find what its last run did."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Collection
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from comfy.patcher_extension import WrappersMP

from ..guidance.score.mechanism import ScoreMechanism
from .channel import open_channel
from .families import find_family
from .live import Live
from .record import Recorder, identify
from .report import RunReport
from .run import KEY, start_run
from .running_prompt import contains_node, executing_node, executing_place
from .score.run import start_score_run
from .task import Task
from .watch.start import sources_of, start_watches

log = logging.getLogger(__name__)

KEPT = 8
NOT_FROM = (
    "This latent is not what the last runs with this model made, so this report may be another run's: either something changed the latent "
    "since, or the sampler used another MODEL; then connect the MODEL that comes here to the sampler too."
)
CHANGED = (
    "This latent is not what the last runs with this model made: something changed it since, or another MODEL made it. This report is of the last run "
    "with this model that led to it."
)


@dataclass(frozen=True)
class Setup:
    """Hold the tasks of all Avert nodes that a model went through, and the reports of its last runs, the newest last; its clones share them."""

    tasks: tuple[Task, ...]
    reports: deque[RunReport] = field(default_factory=lambda: deque(maxlen=KEPT))

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Guide one sampling run (an OUTER_SAMPLE wrapper); whatever happens, nothing stays behind but the report and what was said."""
        guider = executor.class_obj
        model = guider.model_patcher.model
        attention = tuple(task for task in self.tasks if not isinstance(task.mechanism, ScoreMechanism))
        score = tuple(task for task in self.tasks if isinstance(task.mechanism, ScoreMechanism))
        family = find_family(model) if attention else None
        recorder = Recorder(type(model).__name__, family, with_map=contains_node("AvertReport"))
        channel, place = open_channel(), executing_place()
        live = Live(guider, recorder, channel)
        result = None
        try:
            with ExitStack() as stack:
                stack.enter_context(live)
                watches = start_watches(guider, self.tasks, recorder, channel, stack, place)
                live.watch(watches.values())
                if family is not None:
                    stack.enter_context(start_run(guider, family, attention, recorder, watches) or nullcontext())
                stack.enter_context(start_score_run(guider, score, recorder, watches) or nullcontext())
                result = executor(*args, **kwargs)
            return result
        finally:
            report = _finish(recorder, result)
            if report is not None:
                live.end(report)
                report.mark = place.mark
                self.reports.append(report)


def _finish(recorder: Recorder, result: Any) -> RunReport | None:
    """Make the report and say aloud what a user should know. A picture is never lost, nor a failure hidden, for want of a report."""
    try:
        report = recorder.finish(result)
    except Exception:
        log.exception("Avert: the report of this run could not be made; the picture is not affected.")
        return None
    if report.finished:
        for note in report.notes:
            log.warning("Avert: %s", note)
    return report


def add_task(model: Any, task: Task) -> Any:
    """Return a clone of the model whose runs are guided by this task too. Models before it in the workflow do not see it."""
    patched = model.clone()
    before: Setup | None = patched.get_attachment(KEY)
    setup = Setup((*(before.tasks if before else ()), replace(task, node=executing_node())))
    patched.set_attachments(KEY, setup)
    patched.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, setup.sample)
    return patched


def report_of(model: Any, latent: Any, before: set[str]) -> RunReport:
    """Return what the last run did, as `last_report`, with what was said in all runs that led to its picture. before: the marks of the nodes before."""
    report = last_report(model, latent, before)
    led = [told.plain() for source in sources_of(model.get_attachment(KEY).tasks) for told in source.said.before(before)]
    # Words of a run that is known to be of other nodes are not of this picture.
    other = NOT_FROM in report.notes and before and report.mark
    return replace(report, led=led if other else [*led, *(told for told in report.watched if told not in led)])


def last_report(model: Any, latent: Any = None, before: Collection[str] = ()) -> RunReport:
    """Return what the last run with this model did; `latent` None, or the samples that are said to come from it, by way of the nodes with these marks."""
    setup: Setup | None = model.get_attachment(KEY)
    if setup is None:
        raise ValueError("This model has no Avert node before it; connect the MODEL that comes out of an Avert node.")
    if not setup.reports:
        raise ValueError(
            "No run with this model has been recorded; connect the same MODEL to the sampler and to this node, "
            "and the sampler's LATENT to `latent`."
        )
    # Several samplers may share a model: the report is that of the run that made this latent.
    leading = [report for report in setup.reports if report.mark in before]
    known = leading or list(setup.reports)
    newest, found = known[-1], identify(latent)
    for report in reversed(known):
        if found is not None and report.latent is not None and _same(report.latent, found):
            return report
    if (found is None or newest.latent is None) and (leading or not before):
        return newest
    return replace(newest, notes=[*newest.notes, CHANGED if leading else NOT_FROM])


def _same(a: tuple[tuple[int, ...], tuple[float, ...]], b: tuple[tuple[int, ...], tuple[float, ...]]) -> bool:
    """Tell whether two latents are one; hosts may store it in half precision."""
    return a[0] == b[0] and all(math.isclose(x, y, rel_tol=1e-2, abs_tol=1e-2) for x, y in zip(a[1], b[1], strict=True))
