"""VSF: Value Sign Flip as a node."""

from __future__ import annotations

from typing import Any

from ..guidance.attention.mechanism import Layout, ValueSignFlip
from ..guidance.attention.presets import OWN, VSF
from ..host.api import OWN_CACHE, describe, io, take
from ..host.guide import guide, numbers_of
from .inputs import ALIASES, CATEGORY, model_and_negative, number, preset, when_and_where, words_only


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
            description="Negative prompt at cfg 1, for a few percent of the time: the image attends to the negative with the sign of its values flipped.",
            inputs=[
                *model_and_negative(),
                number("scale", 0.94, 10.0, 0.01, scale),
                number("offset", -0.6, 10.0, 0.01, offset, minimum=-10.0),
                *when_and_where(),
                layout,
                preset(VSF),
                words_only(False),
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
        layout: Layout = "paper",
        preset: str = OWN,
        words_only: bool = False,
    ) -> io.NodeOutput:
        numbers, until = numbers_of(model, VSF, preset, {"scale": scale, "offset": offset})
        # Presets are for the paper's layout.
        mechanism = ValueSignFlip(**numbers, layout=layout if preset == OWN else "paper", words_only=words_only)
        return io.NodeOutput(guide(model, mechanism, negative, (start_percent, end_percent, until), blocks))
