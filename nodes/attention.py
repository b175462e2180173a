"""Attention guidance: VSF, NAG and NASA. Each patches a MODEL, for any sampler, at any cfg, 1 included."""

from __future__ import annotations

from typing import Any

from ..guidance.attention.mechanism import Layout, NegativeAway, NormalizedGuidance, ValueSignFlip
from ..host.api import Negative, describe, io, one_of, take
from ..host.guide import guide

CATEGORY = "Avert/attention"
ALIASES = [
    "negative prompt",
    "negative prompt cfg 1",
    "negative guidance",
    "distilled",
    "turbo",
    "lightning",
    "NAG",
    "VSF",
    "NASA",
    "negpip",
]


def _model() -> list[Any]:
    return [
        take(io.Model, "model", tooltip="SD1.5, SD2, SDXL, SD3, SD3.5, Flux.1, Wan 2.1 or 2.2, with any LoRA. Goes to any sampler."),
        one_of(
            "negative",
            [io.Conditioning, Negative],
            optional=True,
            tooltip="What to avoid: Avert Negative Prompt (best: it has no padding) or a CONDITIONING. "
            "Not connected: the sampler's own negative prompt, at cfg 1 too.",
        ),
    ]


def _number(name: str, default: float, maximum: float, step: float, tooltip: str, minimum: float = 0.0) -> Any:
    return take(io.Float, name, default=default, min=minimum, max=maximum, step=step, round=0.001, tooltip=tooltip)


def _when_and_where() -> list[Any]:
    window = {"min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001, "optional": True}
    return [
        take(
            io.Float,
            "start_percent",
            default=0.0,
            tooltip="Where in the sampling to start: 0 is pure noise, 1 the finished picture.",
            **window,
        ),
        take(
            io.Float,
            "end_percent",
            default=1.0,
            tooltip="Where to stop; this point itself is no longer guided. 1 guides to the end.",
            **window,
        ),
        take(
            io.String,
            "blocks",
            default="",
            optional=True,
            advanced=True,
            tooltip='Which of the model\'s blocks to guide, counted from 0 in the order in which they run, as in "0-11, 20". Empty: all.',
        ),
    ]


class AvertVSF(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        layout = take(
            io.Combo,
            "layout",
            options=["paper", "released"],
            default="paper",
            optional=True,
            advanced=True,
            tooltip="paper: as in the paper's equations. released: as in the authors' SD3.5 code, where a second copy of the negative counts as positive "
            "text; its numbers are larger (scale 3.3 or 3.8 with offset 0.2 there is about 0.94 or 1.16 with offset -0.6 here). "
            "SD3 and Flux only; the same as paper elsewhere.",
        )
        scale = "alpha: Z = W Z+ - alpha (1 - W) Z-. How strongly the flipped negative pushes; 0 is off. Useful: 0.5 to 2 with layout paper, 2 to 4 with released."
        offset = (
            "beta: W = sigmoid(L+ - (L- - beta)); subtracted from the attention that the image pays to the negative, so more of it acts less, "
            "and a negative number acts more. Other packs that add their offset mean the opposite sign."
        )
        return describe(
            node_id="AvertVSF",
            display_name="Avert VSF (Value Sign Flip)",
            category=CATEGORY,
            search_aliases=["value sign flip", *ALIASES],
            description="Negative prompt at cfg 1 at the speed of no guidance: the image attends to the negative with the sign of its values flipped.",
            inputs=[
                *_model(),
                _number("scale", 0.94, 10.0, 0.01, scale),
                _number("offset", -0.6, 10.0, 0.01, offset, minimum=-10.0),
                *_when_and_where(),
                layout,
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        scale: float,
        offset: float,
        negative: Any = None,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        blocks: str = "",
        layout: Layout = "paper",
    ) -> io.NodeOutput:
        return io.NodeOutput(guide(model, ValueSignFlip(scale, offset, layout), negative, (start_percent, end_percent), blocks))


class AvertNAG(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "phi + 1: Zg = Z+ + phi (Z+ - Z-). The number of ComfyUI-NAG and of ComfyUI's own NAG node; the paper's phi is one less. 1 or below is off."
        tau = "tau: the guided attention may be at most this many times as large as without guidance. Lower is safer."
        alpha = "Z = alpha Zg + (1 - alpha) Z+, after the bound of nag_tau. Lower is safer; 0 is off."
        return describe(
            node_id="AvertNAG",
            display_name="Avert NAG (Normalized Attention Guidance)",
            category=CATEGORY,
            search_aliases=["normalized attention guidance", *ALIASES],
            description="Negative prompt at cfg 1: extrapolates the attention away from the negative, bounded in size. Numbers of other NAG nodes carry over.",
            inputs=[
                *_model(),
                _number("nag_scale", 5.0, 100.0, 0.1, scale),
                _number("nag_tau", 2.5, 10.0, 0.1, tau),
                _number("nag_alpha", 0.25, 1.0, 0.01, alpha),
                *_when_and_where(),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        nag_scale: float,
        nag_tau: float,
        nag_alpha: float,
        negative: Any = None,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        blocks: str = "",
    ) -> io.NodeOutput:
        return io.NodeOutput(
            guide(model, NormalizedGuidance(nag_scale, nag_tau, nag_alpha), negative, (start_percent, end_percent), blocks)
        )


class AvertNASA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "a: Z = Z+ - a Z-. 0 is off; 0.1 to 0.3 is useful. Nothing bounds it, so large values wash the picture out."
        return describe(
            node_id="AvertNASA",
            display_name="Avert NASA (Negative-Away Steer Attention)",
            category=CATEGORY,
            search_aliases=["negative-away steer attention", *ALIASES],
            description="Negative prompt at cfg 1: subtracts the attention to the negative. The simplest of the three, made for one-step models.",
            inputs=[*_model(), _number("scale", 0.15, 2.0, 0.01, scale), *_when_and_where()],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls, model: Any, scale: float, negative: Any = None, start_percent: float = 0.0, end_percent: float = 1.0, blocks: str = ""
    ) -> io.NodeOutput:
        return io.NodeOutput(guide(model, NegativeAway(scale), negative, (start_percent, end_percent), blocks))
