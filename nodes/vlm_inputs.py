"""The inputs of the node that lets a vision-language model watch."""

from __future__ import annotations

from typing import Any

from ..host.api import VLMSocket, io, one_of, take
from ..vlm.instructions import NAMES
from ..vlm.memory import MODES
from ..vlm.schedule import PAPER

WHO = "The vision-language model: Avert Load VLM, or a Qwen-VL, Qwen3.5 or Gemma from Load CLIP. Not connected: `clip` itself."
# A first answer may wait for the model to be loaded.
MOST_SECONDS = 120.0


def asking() -> list[Any]:
    """Declare what is asked, when, and what becomes of the answers."""
    return [
        take(
            io.Clip, "clip", tooltip="The positive prompt's CLIP: it encodes the answers, and answers itself if it sees pictures (Qwen-VL)."
        ),
        take(io.Combo, "instruction", options=list(NAMES), default=NAMES[0], tooltip="What to look for; custom: what `look_for` says."),
        _text("look_for", 'For custom: what it is to look for, such as "hats, glasses" or a sentence.'),
        take(
            io.String,
            "query_steps",
            default=PAPER,
            tooltip='When to ask, as steps that remain: "45, 44, 8 of 50" is rescaled to your number of steps, "6, 4" is of your run, "every 2" is every '
            "other step. The default is the paper's.",
        ),
        take(
            io.Combo,
            "mode",
            options=list(MODES),
            default=MODES[0],
            tooltip="replace: the latest answer holds alone, and what is gone is dropped (the paper). accumulate: answers add up.",
        ),
    ]


def limits() -> list[Any]:
    """Declare how much is answered."""
    return [
        take(io.Int, "max_phrases", default=8, min=1, max=32, tooltip="How many things are avoided at once, at most."),
        take(io.Int, "max_tokens", default=48, min=4, max=1024, tooltip="How long an answer may be. Models that think need hundreds."),
        _amount("temperature", (2.0, 0.05), "0: the likeliest answer, always the same. More: answers are drawn, from `seed`."),
        take(io.Int, "seed", default=0, min=0, max=2**64 - 1, control_after_generate=False, tooltip="Of answers that are drawn."),
    ]


def watching() -> list[Any]:
    """Declare who looks, and at what."""
    return [
        one_of("vlm", [io.Clip, VLMSocket], optional=True, tooltip=WHO),
        take(io.Vae, "vae", optional=True, tooltip="Decodes what is shown. Not connected: the fast preview, blurred but nearly free."),
        take(io.Image, "examples", optional=True, tooltip="Pictures with a known answer, shown before each question (few-shot)."),
        _text("example_answers", 'The answer for each of the examples, one line each: "hat, glasses", or "none".', optional=True),
    ]


def sparing() -> list[Any]:
    """Declare what saves time."""
    return [
        _amount(
            "min_change",
            (2.0, 0.01),
            "Ask again only when the predicted picture changed by more than this since the last question: |new - old| / |old|. 0: always ask.",
            optional=True,
        ),
        _amount(
            "gate",
            (1.0, 0.05),
            "How likely something must be there, by the first word's probability, to be named; below, none is answered at once. 0: its words "
            "decide.",
            optional=True,
        ),
    ]


def _text(name: str, tooltip: str, **more: bool) -> Any:
    """Declare words in several lines, none by default."""
    return take(io.String, name, default="", multiline=True, tooltip=tooltip, **more)


def _amount(name: str, most_and_step: tuple[float, float], tooltip: str, default: float = 0.0, **more: bool) -> Any:
    """Declare a number from 0 on, which 0 turns off."""
    most, step = most_and_step
    return take(io.Float, name, default=default, min=0.0, max=most, step=step, tooltip=tooltip, **more)


def going_on() -> list[Any]:
    """Declare what else goes on while it is asked, and the replay."""
    return [
        take(
            io.Boolean,
            "overlap",
            default=True,
            optional=True,
            tooltip="Go on sampling while the answer is made, where Avert Load VLM works on another device (its `device` cpu); it acts from the step at which it "
            "arrives. A CLIP answers in turn.",
        ),
        _text(
            "replay",
            "The json of Avert Report, or a transcript from it: the same negatives again, without a vision-language model.",
            optional=True,
            advanced=True,
        ),
        _amount(
            "max_seconds",
            (3600.0, 1.0),
            "How long an answer may take; one that takes longer counts as failed, and the last negative goes on. 0: as long as it likes.",
            MOST_SECONDS,
            optional=True,
            advanced=True,
        ),
    ]
