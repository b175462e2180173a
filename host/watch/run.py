"""Watch one sampling run: keep its predictions for whoever finds the words, and give the words to the mechanisms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...guidance.schedule import SigmaRange
from ...vlm.transcript import Transcript, joined
from ..record import identify
from ..report import Shown
from ..steps import StepStart
from .ask import attempt
from .asking import Asked, Replayed, Words
from .look import check_picture, picture_part
from .residence import Residence
from .source import Watched

HOOK = "sampler_post_cfg_function"
NO_STEPS = "A vision-language model cannot watch this sampler (ar_video), which draws a video frame by frame; use another sampler."
NOT_ENCODED = '"{text}" could not be encoded, and the last negative went on: {why}'


@dataclass(frozen=True)
class InForce:
    """Hold a negative that acts now, as one prompt, and the pictures that it is for, bool [B] (None: all)."""

    text: str
    rows: Tensor | None


class Watch:
    """Watch a run for one source. Born with the run, and gone with it; every mechanism that has this source asks it what to avoid."""

    def __init__(
        self, guider: Any, source: Watched, windows: Sequence[SigmaRange], say: Callable[[str], None], number: int, run: Transcript
    ) -> None:
        """windows: of what guides with its words; number: tells apart the sources of one run; run: its transcript, as far as it is known before it."""
        self._guider = guider
        self._source = source
        self._key = f"avert_watch_{number}"
        replayed = source.replay is not None
        backend = None if replayed else source.backend
        others = (source.clip,) if backend is None else (backend, source.clip, source.vae)
        self._residence = Residence(guider, others, aside=backend is not None and not backend.elsewhere)
        self._words: Words = Replayed(source.replay) if source.replay is not None else Asked(guider, source, windows, say)
        self._start: StepStart[Tensor] | None = None if replayed else StepStart()
        self._run = run
        self._weight: Tensor | None = None
        # What others make of new words, at once: text encoders work between evaluations, not inside of one. What a listener returns is left to do by
        # the diffusion model, whose weights some families make a text with: it is called when that is back in memory.
        self.listeners: list[Callable[[str], Callable[[], None]]] = []
        self._encoded: set[str] = set()
        self._in_force: tuple[tuple[str, ...], list[InForce]] = ((), [])
        self._notes: list[str] = []
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
        options["transformer_options"]["wrappers"].get(WrappersMP.SAMPLER_SAMPLE, {}).pop(self._key, None)
        self._words.close(error[0] is None)
        # What holds this run in a circle is to be freed at once.
        self._hook = None
        self._start = None
        self.listeners.clear()

    @property
    def clip(self) -> Any:
        """Give what encodes the answers."""
        return self._source.clip

    @property
    def trial(self) -> Any:
        """Give a word as the answers' text encoder encodes it, to see whether it fits."""
        return self._source.trial

    @property
    def notes(self) -> list[str]:
        """Give what a user should know."""
        return [*self._words.notes, *self._notes, *self._residence.notes]

    @property
    def transcript(self) -> Transcript:
        """Give what was asked and answered so far."""
        return replace(self._run, entries=tuple(self._words.entries))

    @property
    def shown(self) -> Shown:
        """Give what was looked at so far."""
        return Shown(self._source.node, dict(self._words.shown))

    def told(self) -> tuple[str, ...]:
        """Give what each picture is to avoid now, "" for nothing."""
        return tuple(joined(phrases) for phrases in self._words.avoided.phrases)

    def in_force(self) -> list[InForce]:
        """List the negatives that act now; pictures with the same words share one."""
        told = self.told()
        if told != self._in_force[0]:
            rows = {text: torch.tensor([one == text for one in told]) for text in dict.fromkeys(told) if text}
            self._in_force = (told, [InForce(text, None if bool(mine.all()) else mine) for text, mine in rows.items()])
        return self._in_force[1]

    def sampler_sample(self, executor: Any, guider: Any, sigmas: Tensor, extra_args: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the schedule, the batch and the mask (noise and mask are the first and third of `args`), and hear of the solver's steps."""
        noise = args[0] if args else kwargs["noise"]
        self._weight = args[2] if len(args) > 2 else kwargs.get("denoise_mask")
        levels = sigmas.tolist()
        check_picture(picture_part(noise, self._guider.model_patcher.model))
        if getattr(getattr(executor.class_obj, "sampler_function", None), "__name__", "") == "sample_ar_video":
            raise ValueError(NO_STEPS)
        self._residence.begin(list(noise.shape))
        self._run = replace(self._run, steps=len(levels) - 1, pictures=noise.shape[0], sigmas=(levels[0], levels[-1]), noise=mark_of(noise))
        self._words.begin(levels, self._run)

        def heard(step: int, denoised: Tensor, x: Tensor, *rest: Any) -> Any:
            begun = None if self._start is None else self._start.begun(x, self._weight)
            before = list(self._words.avoided.phrases)
            # Whoever looks, answers and encodes may push the diffusion model out of memory, each in turn: it comes back once, after all of them.
            with self._residence:
                self._words.step(step, denoised if begun is None else begun)
                encoded = self._encode_new()
            self._go_back(step, before, self._take_in(encoded))
            return None if callback is None else callback(step, denoised, x, *rest)

        return executor(guider, sigmas, extra_args, heard, *args, **kwargs)

    def predicted(self, args: Mapping[str, Any]) -> Tensor:
        """Keep the prediction after cfg, before what works on predictions (equation 3 of the paper); guidance inside the attention is in it."""
        denoised: Tensor = args["denoised"]
        if self._start is not None:
            self._start.note(args["input"], denoised)
        return denoised

    def _encode_new(self) -> dict[str, tuple[list[Callable[[], None]] | None, str]]:
        """Let text encoders read words that are new; give what is left to do for each text, or why nothing is."""
        texts = {joined(phrases) for phrases in self._words.avoided.phrases if phrases}
        return {text: attempt(partial(self._encode, text)) for text in sorted(texts - self._encoded)}

    def _encode(self, text: str) -> list[Callable[[], None]]:
        return [listener(text) for listener in self.listeners]

    def _take_in(self, encoded: Mapping[str, tuple[list[Callable[[], None]] | None, str]]) -> dict[str, str]:
        """Let the diffusion model take in what was encoded; give the texts that did not get that far, and why."""
        failed = {}
        for text, (left, failure) in encoded.items():
            for work in left or ():
                failure = failure or attempt(work)[1]
            if failure:
                failed[text] = failure
            else:
                self._encoded.add(text)
        return failed

    def _go_back(self, step: int, before: Sequence[tuple[str, ...]], failed: Mapping[str, str]) -> None:
        """Let pictures keep what they avoided before where their new words cannot act; the same words are tried again when they are said again."""
        for picture, phrases in enumerate(self._words.avoided.phrases):
            if joined(phrases) in failed:
                self._words.go_back(step, picture, before[picture])
        notes = [NOT_ENCODED.format(text=text, why=why[:300]) for text, why in failed.items()]
        self._notes += [note for note in notes if note not in self._notes]


def mark_of(noise: Any) -> str:
    """Give a short mark of a run's noise, the same wherever the same noise is drawn."""
    found = identify(noise)
    return "" if found is None else sha256(" ".join(f"{value:.3e}" for value in found[1]).encode()).hexdigest()[:12]
