"""Put guidance on a model, and find what its last run did."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from comfy.patcher_extension import WrappersMP

from .families import find_family
from .record import Recorder, RunReport
from .run import KEY, start_run
from .running_prompt import contains_node
from .task import Task

log = logging.getLogger(__name__)


@dataclass
class ReportBox:
    """Hold the report of the last run. It belongs to one patched model, whose clones share it."""

    last: RunReport | None = None


@dataclass(frozen=True)
class Setup:
    """Hold the tasks of all Avert nodes that a model went through."""

    tasks: tuple[Task, ...]
    box: ReportBox = field(default_factory=ReportBox)

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Guide one sampling run (an OUTER_SAMPLE wrapper); whatever happens, nothing stays behind but the report."""
        guider = executor.class_obj
        family = find_family(guider.model_patcher.model)
        recorder = Recorder(family, with_map=contains_node("AvertReport"))
        self.box.last = None
        completed = False
        try:
            run = start_run(guider, family, self.tasks, recorder)
            if run is None:
                result = executor(*args, **kwargs)
            else:
                with run:
                    result = executor(*args, **kwargs)
            completed = True
            return result
        finally:
            self.box.last = _finish(recorder, completed)


def _finish(recorder: Recorder, completed: bool) -> RunReport | None:
    """Make the report and say aloud what a user should know; after a failed run nothing here may hide the failure."""
    try:
        report = recorder.finish(completed)
    except RuntimeError:
        if completed:
            raise
        return None
    if completed:
        for note in report.notes:
            log.warning("Avert: %s", note)
    return report


def add_task(model: Any, task: Task) -> Any:
    """Return a clone of the model whose runs are guided by this task too. Models before it in the workflow do not see it."""
    patched = model.clone()
    before: Setup | None = patched.get_attachment(KEY)
    setup = Setup((*(before.tasks if before else ()), task))
    patched.set_attachments(KEY, setup)
    patched.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, setup.sample)
    return patched


def last_report(model: Any) -> RunReport:
    """Return what the last run with this model did."""
    setup: Setup | None = model.get_attachment(KEY)
    if setup is None:
        raise ValueError("This model has no Avert node before it; connect the MODEL that comes out of an Avert node.")
    if setup.box.last is None:
        raise ValueError(
            "No run with this model has been recorded; connect the same MODEL to the sampler and to this node, and the sampler's LATENT to `latent`."
        )
    return setup.box.last
