"""A vision-language model that the host itself runs: any CLIP that sees pictures and generates text, such as the Qwen3-VL that encodes the prompt.

Each kind reads a conversation in its own way. Which kind it is, is found out by trying: the right way is the one in which a picture arrives among
the tokens. All else is the host's (CLIP.generate in comfy/sd.py, TextGenerate in comfy_extras/nodes_textgen.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..vlm.backend import Query
from .vlm_template import NO_THOUGHT, QWEN25, TEMPLATES, Template
from .vlm_writing import Writer, found, inside

BLIND = (
    "The CLIP that is to watch ({name}) does not see pictures; connect one that does to `vlm`: a Qwen3-VL, Qwen3.5 or Gemma loaded with Load CLIP, or "
    "Avert Load VLM."
)
TOO_OLD = "This ComfyUI is too old to let a text encoder write text; update ComfyUI, or connect Avert Load VLM to `vlm`."


class ClipBackend:
    """Ask a CLIP of the host. It works where the host puts it, in turn with the diffusion model."""

    elsewhere = False

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self.name = type(clip.cond_stage_model).__name__
        if not hasattr(clip, "generate"):
            raise ValueError(TOO_OLD)
        template, self.takes_examples = self._recognise()
        self._writer = Writer(clip, self.name)
        self._template = QWEN25 if self._writer.is_qwen2 else template

    def _recognise(self) -> tuple[Template, bool]:
        """Find the template in which pictures arrive, and whether two of them do."""
        grey = torch.full((64, 64, 3), 0.5)
        for template in TEMPLATES:
            arrived = [self._arrived(template, [grey] * count) for count in (1, 2)]
            if arrived[0] == 1:
                thinks = found(inside(self._clip.tokenizer), "prime_empty_thought")
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
        return ["" if query.stopped() else self._answer(query, picture) for picture in query.pictures]

    @property
    def has_gate(self) -> bool:
        return bool(self._writer.none)

    @property
    def patchers(self) -> list[Any]:
        """Give what the host holds of it in memory."""
        return self._writer.patchers

    def forget(self) -> None:
        """Keep nothing between questions anyway."""

    def _answer(self, query: Query, picture: Tensor) -> str:
        shown = [*(example.picture for example in query.examples), picture]
        tokens = self._clip.tokenize(self._template.written(query), **self._template.pictures(shown), min_length=1, thinking=False)
        padding = found(inside(self._clip.tokenizer), "pad_token")
        return self._writer.write({key: [_unpadded(chunk, padding) for chunk in chunks] for key, chunks in tokens.items()}, query)


def _unpadded(chunk: list[tuple[Any, ...]], padding: Any) -> list[tuple[Any, ...]]:
    """Drop what some tokenizers put in front to make texts equally long: the host generates without a mask."""
    first = next((i for i, token in enumerate(chunk) if _is_picture(token) or token[0] != padding), 0)
    return chunk[first:]


def _is_picture(token: tuple[Any, ...]) -> bool:
    return isinstance(token[0], dict) and token[0].get("type") == "image"
