"""What to avoid, from a vision-language model that watches the picture form (VL-DNP), as a node."""

from __future__ import annotations

from typing import Any

from ..host.api import OWN_CACHE, NegativeSocket, VLMSocket, describe, io, take
from ..host.running_prompt import executing_node
from ..host.transformers_vlm import DEVICES, load_vlm
from ..host.vlm_folder import known, model_folder
from ..host.watch.look import shrunk
from ..host.watch.source import Watched, backend_of
from ..vlm.examples import examples_of
from ..vlm.instructions import instruction as instruction_of
from ..vlm.memory import Mode
from ..vlm.schedule import check_query_steps
from ..vlm.transcript import read_transcripts
from .vlm_inputs import MOST_SECONDS, asking, going_on, limits, sparing, watching

ALIASES = [
    "VL-DNP",
    "VLDNP",
    "VLM",
    "vision language model",
    "dynamic negative prompt",
    "automatic negative prompt",
    "safety",
    "Qwen-VL",
    "negative prompt",
]
NO_EXAMPLES = "{name} looks at one picture at a time and cannot be shown examples; remove `examples`, or use another vision-language model."


class AvertVLMNegative(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertVLMNegative",
            display_name="Avert VLM Negative (VL-DNP)",
            category="Avert",
            search_aliases=ALIASES,
            description="A vision-language model looks at the picture while it forms and says what is to be avoided. Goes to `negative` of any Avert node.",
            inputs=[*asking(), *limits(), *watching(), *sparing(), *going_on()],
            outputs=[NegativeSocket.Output(display_name="negative")],
            hidden=OWN_CACHE,
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        instruction: str,
        look_for: str,
        query_steps: str,
        mode: Mode,
        max_phrases: int,
        max_tokens: int,
        temperature: float,
        seed: int,
        vlm: Any = None,
        vae: Any = None,
        examples: Any = None,
        example_answers: str = "",
        min_change: float = 0.0,
        gate: float = 0.0,
        overlap: bool = True,
        replay: str = "",
        max_seconds: float = MOST_SECONDS,
    ) -> io.NodeOutput:
        if clip is None:
            raise ValueError("`clip` is empty: this checkpoint has no text encoder; load one with a CLIP loader and connect it.")
        check_query_steps(query_steps)
        label = f"{instruction}: {look_for.strip()}; {query_steps.strip()}"
        told = instruction_of(instruction, look_for, max_phrases)
        known = read_transcripts(replay, label) if replay.strip() else None
        backend = None if known is not None else backend_of(clip if vlm is None else vlm)
        # Nobody is shown anything when an earlier run is repeated.
        shown = () if backend is None else examples_of(None if examples is None else shrunk(examples), example_answers)
        if shown and backend is not None and not backend.takes_examples:
            raise ValueError(NO_EXAMPLES.format(name=backend.name))
        # A word, to see before sampling whether this text encoder fits the model.
        trial = clip.encode_from_tokens_scheduled(clip.tokenize("picture"))
        settings = (max_phrases, max_tokens, temperature, seed, min_change, gate, overlap)
        return io.NodeOutput(
            Watched(clip, backend, vae, told, shown, query_steps, mode, *settings, known, label, trial, executing_node(), max_seconds)
        )


class AvertLoadVLM(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertLoadVLM",
            display_name="Avert Load VLM",
            category="Avert",
            search_aliases=["Qwen-VL", "Qwen2.5-VL", "SmolVLM", "vision language model", "transformers", "VLM loader", "VL-DNP"],
            description="Loads a vision-language model from a folder in models/LLM or models/VLM, as it is published for transformers. Nothing is downloaded.",
            inputs=[
                take(io.Combo, "model_name", options=known(), tooltip="A folder with config.json, tokenizer and *.safetensors files."),
                take(
                    io.Combo,
                    "device",
                    options=list(DEVICES),
                    default=DEVICES[0],
                    optional=True,
                    tooltip="default: where text encoders run, in turn with the sampler. cpu: beside the sampler, so that it need not wait (overlap).",
                ),
            ],
            outputs=[VLMSocket.Output(display_name="vlm")],
        )

    @classmethod
    def execute(cls, model_name: str, device: str = DEVICES[0]) -> io.NodeOutput:
        return io.NodeOutput(load_vlm(model_folder(model_name), device))
