"""Guide a sampling run in the space of scores: an extra prediction for each negative, and what the mechanism makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...guidance.schedule import SigmaRange
from ...guidance.score.mechanism import ScoreMechanism
from ...guidance.score.point import Moment
from ..conditions import positives
from ..late import LateEncoder
from ..record import Recorder
from ..task import Task
from ..watch.run import Watch
from ..watch.source import Watched
from .avoided import Avoided, host_conditions
from .checks import check_guider
from .curves import Curve
from .predictions import Predictions, empty_place, point_at
from .tracker import Tracker
from .unwanted import Fixed, Spoken

KEY = "avert_score"
HOOK = "sampler_post_cfg_function"
NO_STEPS = "{name} does not work with this sampler ({sampler}), which draws a video frame by frame and remembers each prediction; use another sampler."


@dataclass
class Guided:
    """Hold one negative of one node, where its predictions come from, and its tracker, once the schedule is known.

    negative: the words and CONDITIONING to add to the run's; None: they are there already, or come later.
    """

    task: Task
    mechanism: ScoreMechanism
    active: SigmaRange
    source: Fixed | Spoken
    negative: Avoided | None
    tracker: Tracker | None = None

    @property
    def place(self) -> str:
        """Name the list of the guider that its conditionings are in."""
        assert isinstance(self.source, Fixed)
        return self.source.place


class ScoreRun:
    """Guide one sampling run."""

    def __init__(self, guider: Any, guided: list[Guided], recorder: Recorder) -> None:
        self._guider = guider
        self._guided = guided
        self._recorder = recorder
        self._sigmas: list[float] = []
        self._weight: Tensor | None = None
        self._hook: Callable[[Mapping[str, Any]], Tensor] | None = None

    def __enter__(self) -> ScoreRun:
        """Add the negatives to the run's conditionings and our hooks to the run's options: both are the run's own copies."""
        shown = positives(self._guider)
        self._guider.conds.update({one.place: host_conditions(one.negative, shown) for one in self._guided if one.negative is not None})
        options = self._guider.model_options
        # A plain function: old hosts copy options deeply, and with a method the whole run.
        self._hook = lambda args: self.guide(args)
        options[HOOK] = [*options.get(HOOK, []), self._hook]
        add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, self.sampler_sample, options, is_model_options=True)
        return self

    def __exit__(self, *error: object) -> None:
        options = self._guider.model_options
        options[HOOK] = [function for function in options.get(HOOK, []) if function is not self._hook]
        # It holds this run, which is to be freed at once.
        self._hook = None
        options["transformer_options"]["wrappers"].get(WrappersMP.SAMPLER_SAMPLE, {}).pop(KEY, None)
        for one in self._guided:
            if one.negative is not None:
                getattr(self._guider, "conds", {}).pop(one.place, None)

    def sampler_sample(self, executor: Any, guider: Any, sigmas: Tensor, extra_args: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the schedule and the mask, and hear of the solver's steps. The mask is the third of `args` (comfy/samplers.py, inner_sample)."""
        self._weight = args[2] if len(args) > 2 else kwargs.get("denoise_mask")
        self._sigmas = sigmas.tolist()
        if getattr(getattr(executor.class_obj, "sampler_function", None), "__name__", "") == "sample_ar_video":
            raise ValueError(NO_STEPS.format(name=self._guided[0].mechanism.name, sampler="ar_video"))
        for one in self._guided:
            one.tracker = Tracker(one.mechanism)
            if isinstance(one.source, Spoken):
                one.source.late = LateEncoder(guider, extra_args, args, kwargs)

        def heard(step: int, denoised: Tensor, x: Tensor, *rest: Any) -> Any:
            for one in self._guided:
                if one.tracker is not None:
                    one.tracker.commit(step, x, self._weight)
            return None if callback is None else callback(step, denoised, x, *rest)

        self._recorder.keep_curves([Curve(one.task, one.negative, one.tracker) for one in self._guided if one.tracker])
        return executor(guider, sigmas, extra_args, heard, *args, **kwargs)

    def guide(self, args: Mapping[str, Any]) -> Tensor:
        """Guide one evaluation (a function of the host's sampler_post_cfg_function)."""
        guided: Tensor = args["denoised"]
        sigma = float(args["sigma"].flatten()[0])
        conds = self._guider.conds
        changes = []
        predict = Predictions(args, conds)
        point = point_at(args["model"].model_sampling, sigma, args["input"])
        for one in self._guided:
            assert one.tracker is not None
            unwanted = one.source.predicted(predict, sigma) if one.active.contains(sigma) else None
            if unwanted is None:
                one.tracker.skip()
                continue
            moment = Moment(
                point, guided, predict("positive"), unwanted.prediction, predict(empty_place(conds)) if one.mechanism.needs_empty else None,
                float(args["cond_scale"]), self._progress(sigma), self._free(guided),
            )  # fmt: skip
            changes.append(one.tracker.evaluate(moment, sigma, unwanted.told, unwanted.rows))
        return guided + torch.stack(changes).sum(0).to(guided.dtype) if changes else guided

    def _free(self, like: Tensor) -> Tensor | None:
        """Give the mask of what is drawn anew; none when the sampler changed the picture's size on its way."""
        return self._weight if self._weight is not None and self._weight.shape[-2:] == like.shape[-2:] else None

    def _progress(self, sigma: float) -> float:
        """Give the share of the schedule's steps that lie before this noise level."""
        begun = sum(level >= sigma * (1 - 1e-6) for level in self._sigmas)
        return max(begun - 1, 0) / max(len(self._sigmas) - 1, 1)


def start_score_run(guider: Any, tasks: tuple[Task, ...], recorder: Recorder, watches: Mapping[Any, Watch]) -> ScoreRun | None:
    """Make a run of the tasks that have something to do; None when none has, and the model is to run as it is."""
    sampling: Callable[[float], float] = guider.model_patcher.get_model_object("model_sampling").percent_to_sigma
    guided: list[Guided] = []
    for number, task in enumerate(tasks):
        idle = ""
        if task.mechanism.neutral or task.window.start_percent == task.window.end_percent:
            idle = "its strength or its window is zero"
        elif isinstance(task.negative, tuple) and not task.negative:
            idle = "the negative is empty"
        recorder.describe_score(task, idle)
        if idle:
            continue
        check_guider(guider, task)
        active = task.window.sigmas(sampling)
        if task.negative is None:
            guided.append(Guided(task, task.mechanism, active, Fixed("negative"), None))
        elif isinstance(task.negative, Watched):
            guided.append(Guided(task, task.mechanism, active, Spoken(watches[task.negative], positives(guider)), None))
        else:
            guided += [Guided(task, task.mechanism, active, Fixed(f"{KEY}_{number}_{i}"), one) for i, one in enumerate(task.negative)]
    return ScoreRun(guider, guided, recorder) if guided else None
