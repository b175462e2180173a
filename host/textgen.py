"""A vision-language model that the host itself runs: any CLIP that sees pictures and generates text, such as the Qwen3-VL that encodes the prompt.

Which one it is, is told by its tokenizer's special tokens, for each kind writes a conversation in its own way; everything else is the host's
(CLIP.generate in comfy/sd.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.utils
from torch import Tensor

from ..vlm.backend import Query

NO_TEXT = (
    "The CLIP that is to watch ({name}) cannot answer questions about pictures; connect a vision-language model to `vlm`: a Qwen3-VL or Gemma loaded with "
    "Load CLIP, or Avert Load VLM."
)
TOO_OLD = "This ComfyUI is too old to let a text encoder answer questions; update it, or connect Avert Load VLM to `vlm`."


@dataclass(frozen=True)
class Template:
    """Write a conversation: each part with {} for what is said; `picture` stands where a picture is."""

    marker: str
    system: str
    user: str
    assistant: str
    ask: str
    picture: str

    def written(self, query: Query) -> str:
        """Write the instruction, the examples with their answers, and the question about one picture."""
        told = query.instruction
        question = self.user.format(self.picture + told.question)
        shown = "".join(question + self.assistant.format(example.answer) for example in query.examples)
        return self.system.format(told.system) + shown + question + self.ask


# Models that think are told that they have thought already.
QWEN = Template(
    "<|im_start|>", "<|im_start|>system\n{}<|im_end|>\n", "<|im_start|>user\n{}<|im_end|>\n", "<|im_start|>assistant\n{}<|im_end|>\n",
    "<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|vision_start|><|image_pad|><|vision_end|>",
)  # fmt: skip
GEMMA = Template(
    "<start_of_turn>", "<start_of_turn>system\n{}<end_of_turn>\n", "<start_of_turn>user\n{}<end_of_turn>\n", "<start_of_turn>model\n{}<end_of_turn>\n",
    "<start_of_turn>model\n", "\n\n<image_soft_token>\n\n",
)  # fmt: skip
