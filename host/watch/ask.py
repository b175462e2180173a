"""Ask a vision-language model without ever losing the picture that is being made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event, Thread
from typing import TypeVar

import comfy.model_management
import torch
from torch import Tensor

from ...vlm.backend import Query
from .source import Watched

# After so many failures in a row it is not asked any more in this run.
MOST_FAILURES = 3
TOO_LONG = "it took more than {most:g} s (`max_seconds`)"
WRONG_COUNT = "it gave {found} answers about {asked} pictures"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Answers:
    """Hold what came back for some pictures of the batch: their answers, or why there are none."""

    step: int
    pictures: tuple[int, ...]
    answers: tuple[str, ...] | None
    failure: str
    seconds: float


class Questions:
    """Put the questions of one run; at most one is under way."""

    def __init__(self, source: Watched) -> None:
        assert source.backend is not None
        self._source = source
        self.backend = source.backend
        self._aside = source.overlap and source.backend.elsewhere
        self._waiting: Future[Answers] | None = None
        self._failures = 0
        self._over = Event()

    @property
    def busy(self) -> bool:
        """Tell whether an answer is under way."""
        return self._waiting is not None

    @property
    def given_up(self) -> bool:
        return self._failures >= MOST_FAILURES

    def put(self, step: int, pictures: Sequence[int], see: Callable[[], Sequence[Tensor]]) -> Answers | None:
        """Ask about pictures, which `see` shows; None when the answer will come later."""
        start = time.perf_counter()
        shown, failure = attempt(see)
        if shown is None:
            return self._counted(Answers(step, tuple(pictures), None, failure, time.perf_counter() - start))
        settings = self._source
        until = time.monotonic() + settings.max_seconds if settings.max_seconds > 0 else math.inf

        def late() -> bool:
            return time.monotonic() > until

        query = Query(
            settings.instruction,
            tuple(shown),
            settings.examples,
            settings.max_tokens,
            settings.temperature,
            settings.seed,
            settings.gate,
            lambda: self._over.is_set() or late(),
        )
        if not self._aside:
            return self._counted(self._ask(step, tuple(pictures), query, late))
        self._waiting = aside(lambda: self._ask(step, tuple(pictures), query, late))
        return None

    def arrived(self) -> Answers | None:
        """Give the answer that was under way, if it is there by now."""
        if self._waiting is None or not self._waiting.done():
            return None
        found, self._waiting = self._waiting.result(), None
        return self._counted(found)

    def close(self) -> None:
        """End with the run: an answer that nobody waits for any more is dropped when it comes."""
        self._over.set()
        self._waiting = None
        self.backend.forget()

    def _counted(self, found: Answers) -> Answers:
        self._failures = 0 if found.answers is not None else self._failures + 1
        return found

    # Inference mode belongs to a thread.
    @torch.inference_mode()
    def _ask(self, step: int, pictures: tuple[int, ...], query: Query, late: Callable[[], bool]) -> Answers:
        start = time.perf_counter()
        answers, failure = attempt(lambda: tuple(_words(answer) for answer in self.backend.ask(query)))
        seconds = time.perf_counter() - start
        # By the clock that the back end was ended by: what it had said by then may be cut off, and is no answer.
        if failure == "" and late():
            return Answers(step, pictures, None, TOO_LONG.format(most=self._source.max_seconds), seconds)
        if answers is not None and len(answers) != len(pictures):
            return Answers(step, pictures, None, WRONG_COUNT.format(found=len(answers), asked=len(pictures)), seconds)
        return Answers(step, pictures, answers, failure, seconds)


def aside(work: Callable[[], Found]) -> Future[Found]:
    """Work in a thread of its own, which nobody waits for when the program ends (a ThreadPoolExecutor's are waited for)."""
    future: Future[Found] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except (Exception, comfy.model_management.InterruptProcessingException) as error:
            # Whoever asks for the result hears of it.
            future.set_exception(error)

    Thread(target=run, name="avert-vlm", daemon=True).start()
    return future


def _words(answer: object) -> str:
    if not isinstance(answer, str):
        raise TypeError(f"it gave a {type(answer).__name__} instead of words")
    return answer


def attempt(work: Callable[[], Found]) -> tuple[Found | None, str]:
    """Try something that the picture must survive; give what it returned, or why it failed. The user's cancel passes."""
    full = False
    try:
        return work(), ""
    except comfy.model_management.InterruptProcessingException:
        # An Exception on old hosts: the user's cancel is no failure.
        raise
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        full = isinstance(error, comfy.model_management.OOM_EXCEPTION)
    # Only now: while an error is at hand, it holds all that was computed.
    if full:
        comfy.model_management.soft_empty_cache()
    return None, failure
