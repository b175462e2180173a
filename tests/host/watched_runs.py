"""Help the tests of watched runs: a back end that answers from a script, and the demo world's models with random weights."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import torch
from avert.guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from avert.guidance.score.mechanism import ScoreMechanism
from avert.host.encode import encode_negative
from avert.host.guide import guide, guide_score
from avert.host.install import last_report
from avert.host.watch.source import Watched
from avert.vlm.backend import Query
from avert.vlm.instructions import instruction
from avert.vlm.transcript import read_transcripts
from torch import Tensor

import tiny
from tiny_clip import encode

POSITIVE = "a red house on the grass"
STEPS = 8
STATIC = NegativeGuidance(1.5, "empty")
DNG = DynamicNegativeGuidance(4.0, 0.3, 1e-3, 0.0, 1e-6, 0.9)
VSF, NAG = ValueSignFlip(1.2, -0.6), NormalizedGuidance(5.0, 2.5, 0.25)
INSIDE = {"vsf": VSF, "nag": NAG}
SCORE = {"static": STATIC, "dng": DNG}
ALL = {**INSIDE, **SCORE}


class Script:
    """Answer from a list: an entry for each question, a list of answers or an error to raise; "none" when the list has ended."""

    name = "script"
    takes_examples = has_gate = True

    def __init__(self, *answers: Sequence[str] | BaseException, elsewhere: bool = False, wait: bool = False) -> None:
        self.answers = answers
        self.elsewhere = elsewhere
        self.queries: list[Query] = []
        # How often a run has said that it ended.
        self.forgotten = 0
        self.may_answer, self.answered = threading.Event(), threading.Event()
        if not wait:
            self.may_answer.set()

    def forget(self) -> None:
        self.forgotten += 1

    def ask(self, query: Query) -> list[str]:
        number = len(self.queries)
        self.queries.append(query)
        assert self.may_answer.wait(30)
        self.answered.set()
        if number >= len(self.answers):
            return ["none"] * len(query.pictures)
        answer = self.answers[number]
        if isinstance(answer, BaseException):
            raise answer
        return list(answer)


def watched(world: tuple[Any, Any, Any], backend: Any, query_steps: str = "6, 3", **fields: Any) -> Watched:
    settings: dict[str, Any] = {
        "clip": world[1], "backend": backend, "vae": world[2], "instruction": instruction("custom", "hats"), "examples": (), "query_steps": query_steps,
        "mode": "replace", "most": 8, "max_tokens": 32, "temperature": 0.0, "seed": 0, "min_change": 0.0, "gate": 0.0, "overlap": False, "replay": None,
        "label": "test", "trial": None if world[1] is None else encode(world[1], "picture"),
    }  # fmt: skip
    return Watched(**(settings | fields))


def guided(world: tuple[Any, Any, Any], mechanism: Any, negative: Any, window: tuple[float, float] = (0.0, 1.0), model: Any = None) -> Any:
    model = world[0] if model is None else model
    if isinstance(mechanism, ScoreMechanism):
        return guide_score(model, mechanism, negative, window)
    return guide(model, mechanism, negative, window, "")


def in_turn(world: tuple[Any, Any, Any], mechanism: Any, *words: str, last: float = 1.0) -> Any:
    """Guide away from fixed words, each in a window of its own: from steps 3 and 6 on, as if they had been answered at the steps at which `watched` asks."""
    model = world[0]
    starts = [between(model, step) for step in (3, 6)[: len(words)]]
    for text, window in zip(words, zip(starts, [*starts[1:], last], strict=True), strict=True):
        model = guided(world, mechanism, encode_negative(world[1], text), window, model)
    return model


def noise(batch: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(batch, 16, 8, 8, generator=torch.Generator().manual_seed(seed))


def picture(model: Any, world: tuple[Any, Any, Any], cfg: float, batch: int = 1, **options: Any) -> Tensor:
    settings = {"steps": STEPS, "noise": noise(batch), "latent": torch.zeros(batch, 16, 8, 8)} | options
    return tiny.sample(model, encode(world[1], POSITIVE), encode(world[1], ""), cfg, **settings)


def between(model: Any, step: int, steps: int = STEPS) -> float:
    """Give the percent at which a window begins with this step of the simple schedule."""
    import comfy.samplers

    sampling = model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", steps)
    middle = float(sigmas[step - 1] + sigmas[step]) / 2
    return next(percent / 1000 for percent in range(1001) if sampling.percent_to_sigma(percent / 1000) <= middle)


def transcript_of(model: Any) -> Any:
    """Give what the last run with a model wrote down."""
    (told,) = read_transcripts(json.dumps(last_report(model).watched[0]))
    return told
