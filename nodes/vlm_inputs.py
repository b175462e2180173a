"""The inputs of the node that lets a vision-language model watch."""

from __future__ import annotations

from typing import Any

from ..host.api import VLMSocket, io, one_of, take
from ..vlm.instructions import NAMES
from ..vlm.memory import MODES
from ..vlm.schedule import PAPER

WHO = "The vision-language model: Avert Load VLM, or a Qwen3-VL, Qwen3.5 or Gemma from Load CLIP. Not connected: `clip` itself."


def asking() -> list[Any]:
    """Declare what is asked, when, and what becomes of the answers."""
    return [
        take(
            io.Clip,
            "clip",
            tooltip="The CLIP that encodes the positive prompt; it encodes the answers. If it sees pictures (Qwen3-VL), it can answer too.",
        ),
        take(
            io.Combo, "instruction", options=list(NAMES), default=NAMES[0], tooltip="What it is to look for; custom: what `look_for` says."
        ),
        take(
            io.String,
            "look_for",
            default="",
            multiline=True,
            tooltip='For custom: what it is to look for, such as "hats, glasses" or a sentence.',
        ),
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
        take(
            io.Float,
            "temperature",
            default=0.0,
            min=0.0,
            max=2.0,
            step=0.05,
            tooltip="0: the likeliest answer, always the same. More: answers are drawn, from `seed`.",
        ),
        take(io.Int, "seed", default=0, min=0, max=2**64 - 1, control_after_generate=False, tooltip="Of answers that are drawn."),
    ]


def watching() -> list[Any]:
    """Declare who looks, and at what."""
    return [
        one_of("vlm", [io.Clip, VLMSocket], optional=True, tooltip=WHO),
        take(
            io.Vae, "vae", optional=True, tooltip="Decodes what is shown. Not connected: the model's fast preview, blurred but nearly free."
        ),
        take(io.Image, "examples", optional=True, tooltip="Pictures with a known answer, shown before each question (few-shot)."),
        take(
            io.String,
            "example_answers",
            default="",
            multiline=True,
            optional=True,
            tooltip='The answer for each of the examples, one line each: "hat, glasses", or "none".',
        ),
    ]


def sparing() -> list[Any]:
    """Declare what saves time, and the replay."""
    return [
        take(
            io.Float,
            "min_change",
            default=0.0,
            min=0.0,
            max=2.0,
            step=0.01,
            optional=True,
            tooltip="Ask again only when the predicted picture changed by more than this since the last question: |new - old| / |old|. 0: always ask.",
        ),
        take(
            io.Float,
            "gate",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            optional=True,
            tooltip='How likely something must be there, by the first word\'s probability, to be named; below, "none" is answered at once. 0: its words decide. '
            "Only for Avert Load VLM.",
        ),
        take(
            io.Boolean,
            "overlap",
            default=True,
            optional=True,
            tooltip="Go on sampling while the answer is made, where the vision-language model works on another device; it acts from the step at which it arrives.",
        ),
        take(
            io.String,
            "replay",
            default="",
            multiline=True,
            optional=True,
            advanced=True,
            tooltip="The json of Avert Report, or a transcript from it: the same negatives again, without a vision-language model.",
        ),
    ]
