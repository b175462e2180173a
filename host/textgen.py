"""A vision-language model that the host itself runs: any CLIP that sees pictures and generates text, such as the Qwen3-VL that encodes the prompt.

Each kind writes a conversation in its own way. Which kind it is, is found out by trying: the right way is the one in which a picture arrives among
the tokens. All else is the host's (CLIP.generate in comfy/sd.py, TextGenerate in comfy_extras/nodes_textgen.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ..vlm.backend import Query
from .progress import quiet_progress

BLIND = (
    "The CLIP that is to watch ({name}) does not see pictures; connect one that does to `vlm`: a Qwen3-VL, Qwen3.5 or Gemma loaded with Load CLIP, or "
    "Avert Load VLM."
)
MUTE = "The CLIP that is to watch ({name}) cannot write text; connect a vision-language model to `vlm`: a Qwen3-VL, Qwen3.5 or Gemma, or Avert Load VLM."
TOO_OLD = "This ComfyUI is too old to let a text encoder write text; update ComfyUI, or connect Avert Load VLM to `vlm`."


@dataclass(frozen=True)
class Template:
    """Write a conversation: each part with {} for what is said; `picture` stands where a picture is.

    listed: pictures are handed over in a list; else in one tensor, of which only some encoders take more than one.
    """

    system: str
    user: str
    assistant: str
    ask: str
    picture: str
    listed: bool

    def written(self, query: Query) -> str:
        """Write the instruction, the examples with their answers, and the question about one picture."""
        told = query.instruction
        question = self.user.format(self.picture + told.question)
        shown = "".join(question + self.assistant.format(example.answer) for example in query.examples)
        return self.system.format(told.system) + shown + question + self.ask

    def pictures(self, pictures: Sequence[Tensor]) -> dict[str, Any]:
        """Hand over pictures, each [H, W, 3] in 0..1."""
        batches = [picture[None] for picture in pictures]
        if self.listed:
            return {"images": batches}
        height, width = pictures[-1].shape[:2]
        return {"image": torch.cat([_sized(batch, height, width) for batch in batches])}


# Text that begins with a template's own marker is not put into another one. Models that think are told that they have thought already.
QWEN = Template(
    "<|im_start|>system\n{}<|im_end|>\n", "<|im_start|>user\n{}<|im_end|>\n", "<|im_start|>assistant\n{}<|im_end|>\n",
    "<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|vision_start|><|image_pad|><|vision_end|>", True,
)  # fmt: skip
GEMMA3 = Template(
    "<start_of_turn>system\n{}<end_of_turn>\n", "<start_of_turn>user\n{}<end_of_turn>\n", "<start_of_turn>model\n{}<end_of_turn>\n",
    "<start_of_turn>model\n", "\n\n<image_soft_token>\n\n", False,
)  # fmt: skip
GEMMA4 = Template(
    "<|turn>system\n{}<turn|>\n", "<|turn>user\n{}<turn|>\n", "<|turn>model\n{}<turn|>\n", "<|turn>model\n", "\n\n<|image><|image|><image|>\n\n", False,
)  # fmt: skip


# Large Gemma 4 models think unless they seem to have begun with no thought.
NO_THOUGHT = "<|channel>thought\n<channel|>"


class ClipBackend:
    """Ask a CLIP of the host. It works where the host puts it, in turn with the diffusion model."""

    elsewhere = False

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self.patcher = clip.patcher
        self.name = type(clip.cond_stage_model).__name__
        if not hasattr(clip, "generate"):
            raise ValueError(TOO_OLD)
        self._template, self.takes_examples = self._recognise()
        model = clip.cond_stage_model
        # The host's wrapper has a `generate` whatever it wraps.
        if not hasattr(getattr(getattr(model, getattr(model, "clip", ""), None), "transformer", None), "generate"):
            raise ValueError(MUTE.format(name=self.name))

    def _recognise(self) -> tuple[Template, bool]:
        """Find the template in which pictures arrive, and whether two of them do."""
        grey = torch.full((64, 64, 3), 0.5)
        for template in (QWEN, GEMMA3, GEMMA4):
            arrived = [self._arrived(template, [grey] * count) for count in (1, 2)]
            if arrived[0] == 1:
                thinks = _inner(self._clip.tokenizer, "prime_empty_thought")
                return replace(template, ask=template.ask + NO_THOUGHT) if thinks else template, arrived[1] == 2
        raise ValueError(BLIND.format(name=self.name))

    def _arrived(self, template: Template, pictures: list[Tensor]) -> int:
        text = template.user.format(template.picture * len(pictures) + "?")
        try:
            tokens = self._clip.tokenize(text, **template.pictures(pictures), min_length=1, thinking=False)
        except (TypeError, AttributeError):
            # Tokenizers of text alone do not know what to do with a picture.
            return 0
        return sum(_is_picture(token) for chunks in tokens.values() for chunk in chunks for token in chunk)

    def ask(self, query: Query) -> list[str]:
        """Answer picture by picture: the host generates for one conversation at a time."""
        return [self._answer(query, picture) for picture in query.pictures]

    def forget(self) -> None:
        """Keep nothing between questions anyway."""

    def _answer(self, query: Query, picture: Tensor) -> str:
        shown = [*(example.picture for example in query.examples), picture]
        tokens = self._clip.tokenize(self._template.written(query), **self._template.pictures(shown), min_length=1, thinking=False)
        with quiet_progress():
            drawn = query.temperature > 0
            ids = self._clip.generate(
                tokens,
                do_sample=drawn,
                max_length=query.max_tokens,
                temperature=query.temperature or 1.0,
                top_k=0,
                top_p=1.0,
                seed=query.seed,
            )
        answer: str = self._clip.decode(ids)
        return answer


def _inner(tokenizer: Any, name: str) -> Any:
    """Look at a field of the tokenizer inside of the host's wrapper."""
    return getattr(getattr(tokenizer, getattr(tokenizer, "clip", ""), None), name, None)


def _is_picture(token: tuple[Any, ...]) -> bool:
    return isinstance(token[0], dict) and token[0].get("type") == "image"


def _sized(picture: Tensor, height: int, width: int) -> Tensor:
    if picture.shape[1:3] == (height, width):
        return picture
    sized: Tensor = comfy.utils.common_upscale(picture.movedim(-1, 1), width, height, "area", "disabled").movedim(1, -1)
    return sized
