"""Guide a sampling run in the space of scores: an extra prediction for each negative, and what the mechanism makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import torch
from comfy.model_sampling import CONST
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...guidance.schedule import SigmaRange
from ...guidance.score.mechanism import ScoreMechanism
from ...guidance.score.point import Moment, Point
from ..conditions import positives
from ..record import Recorder
from ..task import Task
from .avoided import Avoided, check_no_place, holds, host_conditions
from .curves import Curve
from .tracker import Tracker

KEY = "avert_score"
HOOK = "sampler_post_cfg_function"
EMPTY = "empty_negative_prompt"
# Nodes of the host that leave out evaluations, by the key of their wrappers.
CACHES = {"easycache": "EasyCache", "lazycache": "LazyCache"}
OWN_IS_NEGATIVE = (
    "{name} compares with the empty prompt, for which it uses the sampler's own negative prompt; connect what to avoid to `negative` of the Avert "
    "node, and leave the sampler's negative prompt empty{other}."
)
NO_NEGATIVE = "This guider ({guider}) has no negative prompt of its own, which {name} needs; use a CFG guider or a KSampler{other}."
CACHED = (
    "{cache} repeats old predictions where {name} needs new ones to compare; remove {cache} or the Avert node, or use a node that guides inside the "
    "attention (VSF, NAG, NASA)."
)
NESTED = "{name} does not know how a Dual CFG Guider in style nested mixes what it changes; use style regular, or a CFG guider."
NO_STEPS = "{name} does not work with this sampler ({sampler}), which draws a video frame by frame and remembers each prediction; use another sampler."


@dataclass
class Guided:
    """Hold one negative of one node: the list of the guider that its conditionings are in, and its tracker, once the schedule is known."""

    task: Task
    mechanism: ScoreMechanism
    active: SigmaRange
    place: str
    negative: Avoided | None
    tracker: Tracker | None = None


def point_at(model_sampling: Any, sigma: float, x: Tensor) -> Point:
    """Say where x is; flow models count their time as the host's samplers do."""
    if isinstance(model_sampling, CONST):
        return Point(1.0 - sigma, sigma * float(getattr(model_sampling, "noise_scale", 1.0)), x)
    return Point(1.0, sigma, x)


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

        def heard(step: int, denoised: Tensor, x: Tensor, *rest: Any) -> Any:
            for one in self._guided:
                if one.tracker is not None:
                    one.tracker.commit(step, x, self._weight)
            return None if callback is None else callback(step, denoised, x, *rest)

        try:
            return executor(guider, sigmas, extra_args, heard, *args, **kwargs)
        finally:
            self._recorder.keep_curves(
                [Curve(one.task, one.negative, one.tracker.steps, one.tracker.evaluations) for one in self._guided if one.tracker]
            )

    def guide(self, args: Mapping[str, Any]) -> Tensor:
        """Guide one evaluation (a function of the host's sampler_post_cfg_function)."""
        guided: Tensor = args["denoised"]
        sigma = float(args["sigma"].flatten()[0])
        conds = self._guider.conds
        changes = []
        predict = _Predictions(args, conds)
        point = point_at(args["model"].model_sampling, sigma, args["input"])
        for one in self._guided:
            assert one.tracker is not None
            if not (one.active.contains(sigma) and holds(conds[one.place], sigma)):
                one.tracker.skip()
                continue
            moment = Moment(
                point, guided, predict("positive"), predict(one.place), predict(empty_place(conds)) if one.mechanism.needs_empty else None,
                float(args["cond_scale"]), self._progress(sigma), self._free(guided),
            )  # fmt: skip
            changes.append(one.tracker.evaluate(moment, sigma))
        return guided + torch.stack(changes).sum(0).to(guided.dtype) if changes else guided

    def _free(self, like: Tensor) -> Tensor | None:
        """Give the mask of what is drawn anew; none when the sampler changed the picture's size on its way."""
        return self._weight if self._weight is not None and self._weight.shape[-2:] == like.shape[-2:] else None

    def _progress(self, sigma: float) -> float:
        """Give the share of the schedule's steps that lie before this noise level."""
        begun = sum(level >= sigma * (1 - 1e-6) for level in self._sigmas)
        return max(begun - 1, 0) / max(len(self._sigmas) - 1, 1)


class _Predictions:
    """Predict with lists of the guider's conditionings at one evaluation, each once; the sampler's own negative may be known already."""

    def __init__(self, args: Mapping[str, Any], conds: Mapping[str, Any]) -> None:
        self._args = args
        self._conds = conds
        # Only what the guider predicted with these very lists: others (DualCFG's) mean something else by cond.
        known = {"cond": "cond_denoised", "uncond": "uncond_denoised", "empty_cond": "empty_cond_denoised"}
        self._known: dict[str, Tensor] = {}
        for place in ("positive", "negative", EMPTY):
            for name, prediction in known.items():
                if args.get(name) is not None and args[name] is conds.get(place):
                    self._known[place] = args[prediction]

    def __call__(self, place: str) -> Tensor:
        if place not in self._known:
            self._known[place] = self._predict(self._conds[place])
        return self._known[place]

    def _predict(self, conditions: Any) -> Tensor:
        """Evaluate the model in the place of the uncond, as other nodes expect a negative; a single-slot hook is asked as the host does."""
        args, lists = self._args, [None, conditions]
        options = args["model_options"]
        if "sampler_calc_cond_batch_function" in options:
            asked = {"conds": lists, "input": args["input"], "sigma": args["sigma"], "model": args["model"], "model_options": options}
            found: Tensor = options["sampler_calc_cond_batch_function"](asked)[1]
            return found
        predicted: Tensor = comfy.samplers.calc_cond_batch(args["model"], lists, args["input"], args["sigma"], options)[1]
        return predicted


def empty_place(conds: Mapping[str, Any]) -> str:
    """Name the list that holds the empty prompt: PerpNegGuider has one for it, others have it where a negative would be."""
    return EMPTY if conds.get(EMPTY) else "negative"


def start_score_run(guider: Any, tasks: tuple[Task, ...], recorder: Recorder) -> ScoreRun | None:
    """Make a run of the tasks that have something to do; None when none has, and the model is to run as it is."""
    sampling: Callable[[float], float] = guider.model_patcher.get_model_object("model_sampling").percent_to_sigma
    guided: list[Guided] = []
    for number, task in enumerate(tasks):
        idle = ""
        if task.mechanism.neutral or task.window.start_percent == task.window.end_percent:
            idle = "its strength or its window is zero"
        elif task.negative is not None and not task.negative:
            idle = "the negative is empty"
        recorder.describe_score(task, idle)
        if idle:
            continue
        _check_guider(guider, task)
        active = task.window.sigmas(sampling)
        if task.negative is None:
            guided.append(Guided(task, task.mechanism, active, "negative", None))
        else:
            guided += [Guided(task, task.mechanism, active, f"{KEY}_{number}_{i}", one) for i, one in enumerate(task.negative)]
    return ScoreRun(guider, guided, recorder) if guided else None


def _check_guider(guider: Any, task: Task) -> None:
    """Refuse a guider that lacks what the mechanism compares with, and what stands between it and the predictions."""
    mechanism: ScoreMechanism = task.mechanism
    name, guider_name = mechanism.name, type(guider).__name__
    other = ", or set `reference` to positive" if hasattr(mechanism, "reference") else ""
    if not positives(guider):
        raise ValueError(f"This guider ({guider_name}) has no positive prompt to guide; use another guider.")
    if getattr(guider, "nested", False):
        raise ValueError(NESTED.format(name=name))
    if task.negative is None and mechanism.needs_empty and not guider.conds.get(EMPTY):
        raise ValueError(OWN_IS_NEGATIVE.format(name=name, other=other))
    if not guider.conds.get("negative") and (task.negative is None or mechanism.needs_empty):
        other = ", or connect an Avert Negative Prompt node to `negative`" if task.negative is None else other
        raise ValueError(NO_NEGATIVE.format(guider=guider_name, name=name, other=other))
    for cond in guider.conds["negative"] if task.negative is None else ():
        check_no_place(cond)
    wrappers = guider.model_options.get("transformer_options", {}).get("wrappers", {})
    for cache in {key for kind in wrappers.values() for key in kind} & set(CACHES):
        raise ValueError(CACHED.format(cache=CACHES[cache], name=name))
