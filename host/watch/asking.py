"""Find out during a run what is to be avoided: by asking, or from the transcript of an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from ...guidance.schedule import SigmaRange
from ...vlm.answer import read_answer
from ...vlm.memory import Avoided
from ...vlm.schedule import query_steps
from ...vlm.transcript import Entry, Transcript, same_run
from ..thumbnail import thumbnail
from .ask import Answers, Questions
from .look import Eye
from .source import Watched

OTHER_START = "The transcript that is replayed is of another seed or of other nodes: the words are the same, the picture is not."
SEVERAL = (
    "{count} of the transcripts to replay fit this run equally well, and they differ; the first is replayed. Leave only this run's own in `replay` if the "
    "picture is another one."
)
OTHER_RUN = (
    "The transcript to replay is of another run ({theirs[0]} steps, {theirs[1]} pictures, noise from {theirs[2]:.4g} to {theirs[3]:.4g}; this one: {ours[0]}, "
    "{ours[1]}, {ours[2]:.4g}, {ours[3]:.4g}); set the sampler as it was, or empty `replay`."
)
NEVER = (
    "The vision-language model was never asked: `query_steps` names no step of this run of {steps} steps after which anything could act."
)
REFUSED = "The vision-language model refused {count} of {all} questions or gave no list; what it said is in the report."
LATE = "The run ended before the vision-language model's last answer came."
SHORT = "This sampler ended after {reached} steps of its own, so that {missed} of {all} questions were not asked; `query_steps` counts the {steps} steps of the schedule."
NO_GATE = "`gate` does nothing: {name} has no word of its own for none."
GIVEN_UP = "It was not asked any more after that."
ASKING = "step {step}: asking the vision-language model"
ANSWERED = "step {step}: {how} after {seconds:.1f} s"
FAILED = "The vision-language model failed at step {step}, and the last negative went on: {why}"


class Words(Protocol):
    """Say what each picture is to avoid."""

    avoided: Avoided
    entries: list[Entry]
    notes: list[str]
    # What was looked at: JPEG files by (step, picture).
    shown: dict[tuple[int, int], bytes]

    def begin(self, sigmas: Sequence[float], run: Transcript) -> None:
        """Begin a run, which is described by a transcript without entries. Raises ValueError when it cannot be."""

    def step(self, step: int, predicted: Tensor) -> None:
        """End a solver step, which began with this prediction [B, ...]."""

    def go_back(self, step: int, picture: int, phrases: tuple[str, ...]) -> None:
        """Let a picture's negative be what it was before this step: the new one cannot act."""

    def close(self, whole: bool) -> None:
        """End the run. whole: it was not broken off."""


class Replayed:
    """Say what the transcript of an earlier run says. known: of several runs, of which each takes its own."""

    def __init__(self, known: Sequence[Transcript]) -> None:
        self._known = known
        self._transcript = Transcript(0, 0)
        self.avoided = Avoided("replace", 0, 1)
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        self.shown: dict[tuple[int, int], bytes] = {}

    def begin(self, sigmas: Sequence[float], run: Transcript) -> None:
        found = same_run(self._known, run)
        if not found:
            raise ValueError(OTHER_RUN.format(theirs=self._known[0].shape, ours=run.shape))
        self._transcript = found[0]
        if (found[0].noise, found[0].by) not in ((run.noise, run.by), ("", "")):
            self.notes.append(OTHER_START)
        if any(one.words != found[0].words for one in found):
            self.notes.append(SEVERAL.format(count=len(found)))
        self.avoided = Avoided("replace", run.pictures, 1)

    def step(self, step: int, predicted: Tensor) -> None:
        for picture, phrases in self._transcript.at(step + 1).items():
            if picture < len(self.avoided.phrases):
                self.avoided.phrases[picture] = phrases
        self.entries += [one for one in self._transcript.entries if (one.asked if one.used is None else one.used - 1) == step]

    def go_back(self, step: int, picture: int, phrases: tuple[str, ...]) -> None:
        self.avoided.phrases[picture] = phrases
        _without_effect(self.entries, step, picture, phrases)

    def close(self, whole: bool) -> None:
        """End the run."""


class Asked:
    """Show predictions to a vision-language model at the steps that are due, and take its answers in."""

    def __init__(self, guider: Any, source: Watched, windows: Sequence[SigmaRange], say: Callable[[str], None]) -> None:
        self._source, self._windows, self._say = source, windows, say
        self._eye = Eye(source.vae, guider.model_patcher)
        self._questions = Questions(source)
        self._sigmas: list[float] = []
        self._due: frozenset[int] = frozenset()
        # A question fell due while an answer was being made.
        self._owed = False
        # Each picture as it was when it was last told of.
        self._seen: dict[int, Tensor] = {}
        self._reached = 0
        self.avoided = Avoided(source.mode, 0, source.most)
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        self.shown: dict[tuple[int, int], bytes] = {}

    def begin(self, sigmas: Sequence[float], run: Transcript) -> None:
        steps = run.steps
        self._sigmas = list(sigmas)
        self._due = frozenset(step for step in query_steps(self._source.query_steps, steps) if self._is_of_use(step))
        self.avoided = Avoided(self._source.mode, run.pictures, self._source.most)
        if not self._due:
            self.notes.append(NEVER.format(steps=steps))
        if self._source.gate > 0 and not self._questions.backend.has_gate:
            self.notes.append(NO_GATE.format(name=self._questions.backend.name))

    def _is_of_use(self, step: int) -> bool:
        """Tell whether anything that could act on the answer is still to come: a step begins at each noise level but the last."""
        return any(window.contains(sigma) for window in self._windows for sigma in self._sigmas[step + 1 : -1])

    def step(self, step: int, predicted: Tensor) -> None:
        self._reached = step + 1
        arrived = self._questions.arrived()
        if arrived is not None:
            self._hear(arrived, step)
        self._owed = self._owed or step in self._due
        if self._owed and self._is_of_use(step) and not self._questions.given_up:
            self._ask(step, predicted)

    def go_back(self, step: int, picture: int, phrases: tuple[str, ...]) -> None:
        self.avoided.phrases[picture] = phrases
        # It is to be asked about again, changed or not.
        self._seen.pop(picture, None)
        _without_effect(self.entries, step, picture, phrases)

    def close(self, whole: bool) -> None:
        if self._questions.busy:
            self.notes.append(LATE)
        missed = [step for step in self._due if step >= self._reached]
        if whole and missed:
            counts = {"reached": self._reached, "missed": len(missed), "all": len(self._due), "steps": len(self._sigmas) - 1}
            self.notes.append(SHORT.format(**counts))
        self._questions.close()
        self._seen.clear()
        unheard = sum(entry.kind in ("refused", "unreadable") for entry in self.entries)
        if unheard:
            self.notes.append(REFUSED.format(count=unheard, all=sum(entry.kind not in ("busy", "unchanged") for entry in self.entries)))

    def _ask(self, step: int, predicted: Tensor) -> None:
        pictures = range(len(predicted))
        if self._questions.busy:
            for picture in pictures if step in self._due else ():
                self._note(step, picture, "busy")
            return
        self._owed = False
        asked = [picture for picture in pictures if self._changed(picture, predicted[picture])]
        for picture in sorted(set(pictures) - set(asked)):
            self._note(step, picture, "unchanged")
        if not asked:
            return
        for picture in asked:
            self._seen[picture] = predicted[picture]
        self._say(ASKING.format(step=step + 1))
        found = self._questions.put(step, asked, partial(self._look, step, asked, predicted[asked]))
        if found is not None:
            self._hear(found, step)

    def _look(self, step: int, asked: Sequence[int], predicted: Tensor) -> list[Tensor]:
        """Turn predictions into pictures, and keep small ones of them."""
        seen = self._eye.see(predicted)
        self.shown |= {(step, picture): thumbnail(one) for picture, one in zip(asked, seen, strict=True)}
        return seen

    def _changed(self, picture: int, predicted: Tensor) -> bool:
        """Tell whether a picture differs enough from what was last looked at."""
        before = self._seen.get(picture)
        if before is None or self._source.min_change <= 0 or before.shape != predicted.shape:
            return True
        distance = (predicted - before).float().norm() / before.float().norm().clamp_min(1e-12)
        return bool(distance > self._source.min_change)

    def _hear(self, found: Answers, step: int) -> None:
        """Take answers in; they act from the next evaluation on."""
        # Not what it said: frontends show this line as HTML.
        self._say(ANSWERED.format(step=found.step + 1, seconds=found.seconds, how="failed" if found.answers is None else "answered"))
        if found.answers is None:
            self.notes.append(FAILED.format(step=found.step + 1, why=found.failure[:300]))
            for picture in found.pictures:
                self._seen.pop(picture, None)
                self._note(found.step, picture, "failed", found.failure, None, found.seconds)
            if self._questions.given_up:
                self.notes.append(GIVEN_UP)
            return
        # dpm_adaptive goes on beyond the schedule's steps.
        over = step + 1 == len(self._sigmas) - 1
        if over:
            self.notes.append(LATE)
        for picture, answer in zip(found.pictures, found.answers, strict=True):
            reading = read_answer(answer, self._source.most, self._source.instruction)
            if reading.kind in ("refused", "unreadable"):
                self._seen.pop(picture, None)
            changed = not over and self.avoided.hear(picture, reading)
            self._note(found.step, picture, reading.kind, answer, step + 1 if changed else None, found.seconds)

    def _note(self, asked: int, picture: int, kind: str, answer: str = "", used: int | None = None, seconds: float = 0.0) -> None:
        self.entries.append(Entry(asked, picture, kind, answer, self.avoided.phrases[picture], used, seconds))


def _without_effect(entries: list[Entry], step: int, picture: int, phrases: tuple[str, ...]) -> None:
    """Write of what was to act from this step's end on that it does not: a transcript says what acted."""
    for place, entry in enumerate(entries):
        if (entry.picture, entry.used) == (picture, step + 1):
            entries[place] = replace(entry, negative=phrases, used=None)
