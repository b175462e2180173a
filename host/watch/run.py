"""Watch one sampling run: show its predictions to a vision-language model, and say what is to be avoided from then on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...guidance.schedule import SigmaRange
from ...vlm.answer import read_answer
from ...vlm.memory import Avoided
from ...vlm.schedule import query_steps
from ...vlm.transcript import Entry, Transcript, joined
from ..steps import StepStart
from .ask import Answers, Questions
from .look import Eye
from .residence import Residence
from .source import Watched

log = logging.getLogger(__name__)

HOOK = "sampler_post_cfg_function"
OTHER_RUN = (
    "The transcript to replay is of a run of {theirs[0]} steps with {theirs[1]} pictures, and this one has {ours[0]} steps with {ours[1]}; "
    "set the sampler as it was, or remove the transcript."
)


@dataclass(frozen=True)
class InForce:
    """Hold a negative that acts now, as one prompt, and the pictures that it is for, bool [B] (None: all)."""

    text: str
    rows: Tensor | None


class Watch:
    """Watch a run for one source. Born with the run, and gone with it; every mechanism that has this source asks it what to avoid."""

    def __init__(self, guider: Any, source: Watched, windows: Sequence[SigmaRange], number: int = 0) -> None:
        self._guider = guider
        self._source = source
        self._windows = windows
        self._key = f"avert_watch_{number}"
        self._eye = None if source.backend is None else Eye(source.vae, guider.model_patcher)
        self._questions = None if source.backend is None else Questions(source)
        others = (source.clip, source.vae, source.backend)
        self._residence = Residence(guider, [getattr(one, "patcher", None) for one in others])
        self._start: StepStart[Tensor] = StepStart()
        self._sigmas: list[float] = []
        self._due: frozenset[int] = frozenset()
        self._weight: Tensor | None = None
        self._avoided = Avoided(source.mode, 0, source.most)
        self._seen: dict[int, Tensor] = {}
        self._entries: list[Entry] = []
        self.notes: list[str] = []
        # What others make of a new negative, at once: text encoders work between evaluations, not inside of one.
        self.listeners: list[Callable[[str], None]] = []
        self._known: set[str] = set()
        self._hook: Callable[[Mapping[str, Any]], Tensor] | None = None

    def __enter__(self) -> Watch:
        options = self._guider.model_options
        # A plain function: old hosts copy options deeply, and with a method the whole run.
        self._hook = lambda args: self.predicted(args)
        options[HOOK] = [*options.get(HOOK, []), self._hook]
        add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, self._key, self.sampler_sample, options, is_model_options=True)
        return self

    def __exit__(self, *error: object) -> None:
        options = self._guider.model_options
        options[HOOK] = [function for function in options.get(HOOK, []) if function is not self._hook]
        self._hook = None
        options["transformer_options"]["wrappers"].get(WrappersMP.SAMPLER_SAMPLE, {}).pop(self._key, None)
        if self._questions is not None:
            if self._questions.busy:
                self.notes.append("The run ended before the vision-language model's last answer came.")
            self._questions.close()
        if self._residence.brought_back:
            self.notes.append(f"The diffusion model had to be loaded again {self._residence.brought_back} times after other models worked.")

    @property
    def clip(self) -> Any:
        """Give what encodes the answers."""
        return self._source.clip

    @property
    def transcript(self) -> Transcript:
        """Give what was asked and answered so far."""
        return Transcript(max(len(self._sigmas) - 1, 0), len(self._avoided.phrases), tuple(self._entries))

    def told(self) -> tuple[str, ...]:
        """Give what each picture is to avoid now, "" for nothing."""
        return tuple(joined(phrases) for phrases in self._avoided.phrases)

    def in_force(self) -> list[InForce]:
        """List the negatives that act now; pictures with the same words share one."""
        told = self.told()
        texts = [text for text in dict.fromkeys(told) if text]
        return [InForce(text, None if all(one == text for one in told) else torch.tensor([one == text for one in told])) for text in texts]

    def sampler_sample(self, executor: Any, guider: Any, sigmas: Tensor, extra_args: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the schedule, the batch and the mask (noise and mask are the first and third of `args`), and hear of the solver's steps."""
        noise = args[0] if args else kwargs["noise"]
        self._weight = args[2] if len(args) > 2 else kwargs.get("denoise_mask")
        self._sigmas = sigmas.tolist()
        steps, pictures = len(self._sigmas) - 1, noise.shape[0]
        self._avoided = Avoided(self._source.mode, pictures, self._source.most)
        self._check_replay(steps, pictures)
        self._due = frozenset(query_steps(self._source.query_steps, steps))

        def heard(step: int, denoised: Tensor, x: Tensor, *rest: Any) -> Any:
            begun = self._start.begun(x, self._weight)
            self.step(step, denoised if begun is None else begun)
            return None if callback is None else callback(step, denoised, x, *rest)

        return executor(guider, sigmas, extra_args, heard, *args, **kwargs)

    def predicted(self, args: Mapping[str, Any]) -> Tensor:
        """Keep the prediction after cfg, before any negative guidance of ours (equation 3 of the paper)."""
        denoised: Tensor = args["denoised"]
        self._start.note(args["input"], denoised)
        return denoised

    def step(self, step: int, predicted: Tensor) -> None:
        """End a solver step, which began with this prediction: hear an answer that came, and ask if it is time."""
        self._replay(step + 1)
        if self._source.replay is None and self._questions is not None:
            arrived = self._questions.arrived()
            if arrived is not None:
                self._hear(arrived, step)
            if step in self._due and not self._questions.busy and not self._questions.given_up and self._is_of_use(step):
                self._ask(step, predicted)
        self._tell()

    def _tell(self) -> None:
        """Let the mechanisms encode what is new."""
        new = [force.text for force in self.in_force() if force.text not in self._known]
        if not new:
            return
        with self._residence:
            for text in new:
                for listener in self.listeners:
                    listener(text)
        self._known |= set(new)

    def _is_of_use(self, step: int) -> bool:
        """Tell whether anything that could act on the answer is still to come."""
        following = self._sigmas[step + 1 :]
        return any(window.contains(sigma) for window in self._windows for sigma in following if sigma > 0)

    def _ask(self, step: int, predicted: Tensor) -> None:
        assert self._questions is not None and self._eye is not None
        asked = [picture for picture in range(len(predicted)) if self._changed(picture, predicted[picture])]
        for picture in set(range(len(predicted))) - set(asked):
            self._note(step, picture, "unchanged", "", None, 0.0)
        if not asked:
            return
        for picture in asked:
            self._seen[picture] = predicted[picture]
        with self._residence:
            found = self._questions.put(step, asked, self._eye.see(predicted[asked]))
        if found is not None:
            self._hear(found, step)

    def _changed(self, picture: int, predicted: Tensor) -> bool:
        """Tell whether a picture differs enough from what was last looked at."""
        before = self._seen.get(picture)
        if before is None or self._source.min_change <= 0 or before.shape != predicted.shape:
            return True
        distance = (predicted - before).float().norm() / before.float().norm().clamp_min(1e-12)
        return bool(distance > self._source.min_change)

    def _hear(self, found: Answers, step: int) -> None:
        """Take answers in; they act from the next evaluation on."""
        if found.answers is None:
            log.warning(
                "Avert: the vision-language model failed at step %d (%s); the last negative goes on.", found.step + 1, found.failure
            )
            self.notes.append(f"The vision-language model failed at step {found.step + 1}: {found.failure[:300]}")
            for picture in found.pictures:
                self._note(found.step, picture, "failed", found.failure, None, found.seconds)
            if self._questions is not None and self._questions.given_up:
                self.notes.append("It was not asked any more after that.")
            return
        for picture, answer in zip(found.pictures, found.answers, strict=True):
            reading = read_answer(answer, self._source.most)
            changed = self._avoided.hear(picture, reading)
            self._note(found.step, picture, reading.kind, answer, step + 1 if changed else None, found.seconds)

    def _note(self, asked: int, picture: int, kind: str, answer: str, used: int | None, seconds: float) -> None:
        self._entries.append(Entry(asked, picture, kind, answer, self._avoided.phrases[picture], used, seconds))

    def _check_replay(self, steps: int, pictures: int) -> None:
        known = self._source.replay
        if known is not None and (known.steps, known.pictures) != (steps, pictures):
            raise ValueError(OTHER_RUN.format(theirs=(known.steps, known.pictures), ours=(steps, pictures)))

    def _replay(self, step: int) -> None:
        """Put in force what the transcript says of this step."""
        known = self._source.replay
        if known is None:
            return
        for picture, phrases in known.at(step).items():
            if picture < len(self._avoided.phrases):
                self._avoided.phrases[picture] = phrases
        self._entries += [entry for entry in known.entries if (entry.asked if entry.used is None else entry.used - 1) == step - 1]
