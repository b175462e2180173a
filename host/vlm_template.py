"""Write a conversation with pictures as each kind of the host's vision-language models reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ..vlm.backend import Query


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
# Qwen2.5-VL does not think, nor know the words for it.
QWEN25 = Template(QWEN.system, QWEN.user, QWEN.assistant, "<|im_start|>assistant\n", QWEN.picture, QWEN.listed)
GEMMA3 = Template(
    "<start_of_turn>system\n{}<end_of_turn>\n", "<start_of_turn>user\n{}<end_of_turn>\n", "<start_of_turn>model\n{}<end_of_turn>\n",
    "<start_of_turn>model\n", "\n\n<image_soft_token>\n\n", False,
)  # fmt: skip
GEMMA4 = Template(
    "<|turn>system\n{}<turn|>\n", "<|turn>user\n{}<turn|>\n", "<|turn>model\n{}<turn|>\n", "<|turn>model\n", "\n\n<|image><|image|><image|>\n\n", False,
)  # fmt: skip
TEMPLATES = (QWEN, GEMMA3, GEMMA4)

# Large Gemma 4 models think unless they seem to have begun with no thought.
NO_THOUGHT = "<|channel>thought\n<channel|>"


def _sized(picture: Tensor, height: int, width: int) -> Tensor:
    if picture.shape[1:3] == (height, width):
        return picture
    sized: Tensor = comfy.utils.common_upscale(picture.movedim(-1, 1), width, height, "area", "disabled").movedim(1, -1)
    return sized
