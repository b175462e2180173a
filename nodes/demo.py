"""The demo world as a loader."""

from __future__ import annotations

from ..host.api import describe, io, take
from ..host.demo import VARIANTS, load_demo


class AvertDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertDemoModel",
            display_name="Avert Demo Model",
            category="Avert",
            search_aliases=["tiny model", "test model", "toy model", "demo world", "load checkpoint", "no download", "negative prompt"],
            description="A text-to-image model so small that it comes with the pack and draws in a second on any machine: 64 x 64 pictures of houses, "
            "cars, faces and other things, to try negative prompts on.",
            inputs=[
                take(
                    io.Combo,
                    "variant",
                    options=list(VARIANTS),
                    default=VARIANTS[0],
                    tooltip="few_step: a flow model of the SD3 family, 4 to 8 steps at cfg 1, as distilled models are. "
                    "guided: a UNet that predicts noise as SD1.5 does, 20 or more steps at a cfg above 1.",
                )
            ],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, variant: str) -> io.NodeOutput:
        return io.NodeOutput(*load_demo(variant))
