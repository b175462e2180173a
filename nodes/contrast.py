"""Attention contrast as a node."""

from __future__ import annotations

from typing import Any

from ..guidance.attention.mechanism import AttentionContrast
from ..host.api import OWN_CACHE, describe, io
from ..host.guide import guide
from .inputs import ALIASES, CATEGORY, model_and_negative, number, when_and_where, words_only


class AvertContrast(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = (
            "alpha: Z = Z+ + alpha (1 - W) (A_P - A_N). How much of what the negative prompt says is exchanged for what the positive prompt says; 0 is off. "
            "Useful: 3 to 8 with words_only, about 3 without."
        )
        offset = (
            "beta: W = sigmoid(L+ - (L_N - beta)); subtracted from the attention that the image pays to the negative, so more of it acts less, "
            "and a negative number acts more."
        )
        return describe(
            node_id="AvertContrast",
            display_name="Avert Contrast",
            category=CATEGORY,
            search_aliases=["attention contrast", *ALIASES],
            description="Negative prompt at cfg 1: where the image attends to the negative, it takes away what that says and adds what the positive prompt says.",
            inputs=[
                *model_and_negative(),
                number("scale", 5.0, 20.0, 0.1, scale),
                number("offset", 0.0, 10.0, 0.01, offset, minimum=-10.0),
                *when_and_where(),
                words_only(True),
            ],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
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
        words_only: bool = True,
    ) -> io.NodeOutput:
        mechanism = AttentionContrast(scale, offset, words_only)
        return io.NodeOutput(guide(model, mechanism, negative, (start_percent, end_percent), blocks))
