"""NAG and NASA: the two that compare attention with and without the negative."""

from __future__ import annotations

from typing import Any

from ..guidance.attention.mechanism import NegativeAway, NormalizedGuidance
from ..guidance.attention.presets import NAG, OWN
from ..host.api import OWN_CACHE, describe, io
from ..host.guide import guide, numbers_of
from .inputs import ALIASES, CATEGORY, model_and_negative, number, preset, when_and_where, words_only


class AvertNAG(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "phi + 1: Zg = Z+ + phi (Z+ - Z-). The number of ComfyUI-NAG and of ComfyUI's own NAG node; the paper's phi is one less. 1 or below is off."
        tau = "tau: the guided attention may be at most this many times as large as without guidance. Lower is safer; 1: never larger."
        alpha = "Z = alpha Zg + (1 - alpha) Z+, after the bound of nag_tau. Lower is safer; 0 is off."
        return describe(
            node_id="AvertNAG",
            display_name="Avert NAG (Normalized Attention Guidance)",
            category=CATEGORY,
            search_aliases=["normalized attention guidance", *ALIASES],
            description="Negative prompt at cfg 1: extrapolates the attention away from the negative, bounded in size. Numbers of other NAG nodes carry over.",
            inputs=[
                *model_and_negative(),
                number("nag_scale", 5.0, 100.0, 0.1, scale),
                number("nag_tau", 2.5, 10.0, 0.1, tau, minimum=1.0),
                number("nag_alpha", 0.25, 1.0, 0.01, alpha),
                *when_and_where(),
                preset(NAG),
                words_only(False),
            ],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
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
        preset: str = OWN,
        words_only: bool = False,
    ) -> io.NodeOutput:
        numbers, until = numbers_of(model, NAG, preset, {"nag_scale": nag_scale, "nag_tau": nag_tau, "nag_alpha": nag_alpha})
        mechanism = NormalizedGuidance(**numbers, words_only=words_only)
        return io.NodeOutput(guide(model, mechanism, negative, (start_percent, end_percent, until), blocks))


class AvertNASA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "a: Z = Z+ - a Z-. 0 is off; 0.1 to 0.3 is useful. Nothing bounds it, so large values wash the picture out."
        return describe(
            node_id="AvertNASA",
            display_name="Avert NASA (Negative-Away Steer Attention)",
            category=CATEGORY,
            search_aliases=["negative-away steer attention", *ALIASES],
            description="Negative prompt at cfg 1: subtracts the attention to the negative. The simplest of the four, made for one-step models.",
            inputs=[*model_and_negative(), number("scale", 0.15, 2.0, 0.01, scale), *when_and_where(), words_only(False)],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        scale: float,
        negative: Any = None,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        blocks: str = "",
        words_only: bool = False,
    ) -> io.NodeOutput:
        return io.NodeOutput(guide(model, NegativeAway(scale, words_only), negative, (start_percent, end_percent), blocks))
