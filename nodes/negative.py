"""What to avoid, in words."""

from __future__ import annotations

from typing import Any

from ..host.amplified import amplified
from ..host.api import NegativeSocket, describe, io, one_of, take
from ..host.encode import encode_negative

CATEGORY = "Avert"


class AvertNegativePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertNegativePrompt",
            display_name="Avert Negative Prompt",
            category=CATEGORY,
            search_aliases=[
                "negative prompt",
                "negative prompt cfg 1",
                "clip text encode",
                "text encode",
                "what to avoid",
                "negpip",
                "VSF",
                "NAG",
                "NASA",
            ],
            description="Encodes what to avoid without padding: flipped or subtracted padding damages pictures.",
            inputs=[
                take(io.Clip, "clip", tooltip="The same CLIP that encodes the positive prompt: CLIP, T5, or a language model."),
                take(
                    io.String,
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip='What must not be seen, without "no": "glasses, hat". Each line is a negative of its own. '
                    "(glasses:1.4) pushes that word harder. No text at all: nothing is avoided.",
                ),
            ],
            outputs=[NegativeSocket.Output(display_name="negative")],
        )

    @classmethod
    def execute(cls, clip: Any, text: str) -> io.NodeOutput:
        if clip is None:
            raise ValueError("`clip` is empty: this checkpoint has no text encoder; load one with a CLIP loader and connect it.")
        return io.NodeOutput(encode_negative(clip, text))


class AvertAmplify(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertAmplify",
            display_name="Avert Amplify",
            category=CATEGORY,
            search_aliases=["extrapolate conditioning", "VSF flux", "amplify negative", "stronger negative prompt", "negative prompt"],
            description="Pushes a prompt's embedding away from the empty prompt, so that it stands out from what always comes with it. VSF uses it on Flux Schnell.",
            inputs=[
                one_of(
                    "conditioning",
                    [io.Conditioning, NegativeSocket],
                    tooltip="The (negative) prompt: a CONDITIONING, or an Avert Negative Prompt.",
                ),
                take(io.Conditioning, "empty", tooltip="The empty prompt: a CLIP Text Encode node without text, with the same CLIP."),
                take(
                    io.Float,
                    "amount",
                    default=8.0,
                    min=0.0,
                    max=32.0,
                    step=0.1,
                    round=0.001,
                    tooltip="lambda: p + lambda (p - p0), p0 the mean over the empty prompt's tokens. 8 in the paper, for Flux Schnell; 0 changes nothing.",
                ),
            ],
            outputs=[io.Custom("CONDITIONING,AVERT_NEGATIVE").Output(display_name="conditioning")],
        )

    @classmethod
    def execute(cls, conditioning: Any, empty: Any, amount: float) -> io.NodeOutput:
        return io.NodeOutput(amplified(conditioning, empty, amount))
