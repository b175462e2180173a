"""Predict with the conditionings of a run, at one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.samplers
from comfy.model_sampling import CONST
from torch import Tensor

from ...guidance.score.point import Point

EMPTY = "empty_negative_prompt"


def point_at(model_sampling: Any, sigma: float, x: Tensor) -> Point:
    """Say where x is; flow models count their time as the host's samplers do."""
    if isinstance(model_sampling, CONST):
        return Point(1.0 - sigma, sigma * float(getattr(model_sampling, "noise_scale", 1.0)), x)
    return Point(1.0, sigma, x)


class Predictions:
    """Predict with lists of the guider's conditionings at one evaluation, each once; the sampler's own negative may be known already."""

    def __init__(self, args: Mapping[str, Any], conds: Mapping[str, Any]) -> None:
        self._args = args
        self._conds = conds
        # Only what the guider predicted with these very lists: others (DualCFG's) mean something else by cond.
        known = {"cond": "cond_denoised", "uncond": "uncond_denoised", "empty_cond": "empty_cond_denoised"}
        self._known: dict[str | int, Tensor] = {}
        for place in ("positive", "negative", EMPTY):
            for name, prediction in known.items():
                if args.get(name) is not None and args[name] is conds.get(place):
                    self._known[place] = args[prediction]

    def __call__(self, place: str) -> Tensor:
        """Predict with one of the run's own lists."""
        if place not in self._known:
            self._known[place] = self._predict(self._conds[place])
        return self._known[place]

    def conditions(self, place: str) -> Any:
        """Give a list of the run's."""
        return self._conds[place]

    def with_list(self, conditions: Any) -> Tensor:
        """Predict with a list that came during the run."""
        if id(conditions) not in self._known:
            self._known[id(conditions)] = self._predict(conditions)
        return self._known[id(conditions)]

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
