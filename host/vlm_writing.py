"""Let a text encoder of the host write, token by token, with our eyes on it: it can be stopped, and its first token be asked how sure it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ..vlm.backend import Query
from .progress import quiet_progress
from .vlm_gate import chance_of_none, none_tokens
from .vlm_head import Head, files_of, has_layer

MUTE = "The CLIP that is to watch ({name}) cannot write text; connect a vision-language model to `vlm`: a Qwen3-VL, Qwen3.5 or Gemma, or Avert Load VLM."
NO_HEAD = (
    "The file of the CLIP that is to watch ({name}) has no output layer (lm_head), so that it cannot write text; load the whole model, such as "
    "qwen_2.5_vl_7b_fp8_scaled.safetensors, with Load CLIP, or connect another vision-language model to `vlm`."
)
# Where the host's configuration does not say which tokens end an answer: <|endoftext|> and <|im_end|>.
QWEN_ENDS = [151643, 151645]


class Answered(Exception):  # noqa: N818 - it is no error
    """Say that the answer is known before it is written out."""


class Writer:
    """Write answers with a CLIP of the host. Raises ValueError where its model cannot."""

    def __init__(self, clip: Any, name: str) -> None:
        self._clip = clip
        self._encoder = inside(clip.cond_stage_model) or _able(clip.cond_stage_model)
        self._model = found(self._encoder, "transformer")
        # The host's wrapper has a `generate` whatever it wraps. Some models are cut before their last layer; newer hosts say which.
        able = hasattr(self._model, "generate") and all(
            found(self._model.model.config, part) is not False for part in ("final_norm", "can_generate")
        )
        if not able:
            raise ValueError(MUTE.format(name=name))
        # Of Qwens, only the second generation adds biases to queries.
        self.is_qwen2 = bool(getattr(self._model.model.config, "qkv_bias", False)) and hasattr(self._model, "visual")
        self._head = self._output_layer(clip.patcher, name)
        self._own_positions = self._leaves_out_positions()
        if self.is_qwen2 and not self._own_positions:
            raise ValueError(MUTE.format(name=name))
        self.none = none_tokens(self._ids)

    def _output_layer(self, patcher: Any, name: str) -> Head | None:
        """Find what the host left in the file; None where the model has its own or uses its embeddings."""
        files = files_of(patcher)
        if hasattr(self._model.model, "lm_head"):
            if files and not has_layer(files):
                raise ValueError(NO_HEAD.format(name=name))
            return None
        if not self.is_qwen2:
            return None
        head = Head.find(files, tuple(self._model.model.embed_tokens.weight.shape), patcher)
        if head is None:
            raise ValueError(NO_HEAD.format(name=name))
        return head

    def _leaves_out_positions(self) -> bool:
        """Tell whether the host generates without saying where in the picture its tokens lie (Qwen2.5-VL, Qwen3.5), although the model can be told."""
        knows = "position_ids" in inspect.signature(self._model.generate).parameters
        return knows and hasattr(self._model, "visual") and not hasattr(self._model, "build_image_inputs")

    @property
    def patchers(self) -> list[Any]:
        """Give what the host holds of it in memory."""
        head = None if self._head is None else self._head.patcher
        return [self._clip.patcher, *([] if head is None else [head])]

    def write(self, tokens: Mapping[str, Any], query: Query) -> str:
        """Answer one conversation."""
        if self._head is not None:
            comfy.model_management.load_models_gpu([self._clip.patcher, self._head.ready()])
        with quiet_progress(), self._watched(query):
            try:
                ids = self._clip.generate(
                    tokens,
                    do_sample=query.temperature > 0,
                    max_length=query.max_tokens,
                    temperature=query.temperature or 1.0,
                    top_k=0,
                    top_p=1.0,
                    seed=query.seed,
                )
            except Answered as known:
                return str(known)
        answer: str = self._clip.decode(ids)
        return answer

    @contextmanager
    def _watched(self, query: Query) -> Iterator[None]:
        """Let the model write our way for one answer."""
        changes: dict[str, Callable[..., Any]] = {"sample_token": self._choosing(query)}
        if self._head is not None:
            changes["logits"] = self._head.logits
        with instead(self._model, changes), instead(self._encoder, {"generate": self._generate} if self._own_positions else {}):
            yield

    def _choosing(self, query: Query) -> Callable[..., Tensor]:
        """Choose tokens as the host does, unless nobody waits for them, or the first one says that nothing is there."""
        choose, begun = self._model.sample_token, [False]

        def chosen(logits: Tensor, *args: Any, **options: Any) -> Tensor:
            if query.stopped():
                raise Answered
            if not begun[0] and query.gate > 0:
                logits = self._gated(logits, query.gate)
            begun[0] = True
            token: Tensor = choose(logits, *args, **options)
            return token

        return chosen

    def _gated(self, logits: Tensor, least: float) -> Tensor:
        if not self.none:
            return logits
        if 1 - float(chance_of_none(logits, self.none)) < least:
            raise Answered("none")
        open_ = logits.clone()
        open_[:, self.none] = -torch.inf
        return open_

    def _ids(self, text: str) -> list[int]:
        """Read text without what a tokenizer puts around all texts."""
        inner = found(inside(self._clip.tokenizer), "tokenizer")
        if inner is None:
            return []
        around = set(inner("")["input_ids"])
        return [i for i in inner(text)["input_ids"] if i not in around]

    def _generate(self, tokens: Any, *args: Any, **options: Any) -> Any:
        """Generate as SDClipModel does (comfy/sd1_clip.py), with the places of pictures."""
        from comfy.text_encoders.qwen_vl import qwen2vl_mrope_position_ids

        # Some encoders have a second one beside this, with tokens of its own.
        named = tokens if isinstance(tokens, dict) else {"": tokens}
        chunks = named.get(found(self._clip.cond_stage_model, "clip"), next(iter(named.values())))
        embeds, _, _, info = self._encoder.process_tokens(
            [[token[0] for token in chunk] for chunk in chunks], self._encoder.execution_device
        )
        places = qwen2vl_mrope_position_ids(info, embeds.shape[1], embeds.device)
        ends = getattr(self._model.model.config, "stop_tokens", QWEN_ENDS)
        return self._model.generate(embeds, *args, position_ids=places, stop_tokens=ends, **options)


def inside(wrapper: Any) -> Any:
    """Look inside of the host's wrapper of a text encoder or of a tokenizer; None where it is another kind."""
    return found(wrapper, found(wrapper, "clip") or "")


def _able(stage: Any) -> Any:
    """Find the text encoder that writes where a wrapper does not say which it is (LTX-2)."""
    return next((part for part in stage.children() if hasattr(found(part, "transformer"), "generate")), None)


def found(holder: Any, name: str) -> Any:
    """Give a field, or None."""
    return getattr(holder, name, None)


@contextmanager
def instead(module: Any, methods: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Let methods of one object be others for a while."""
    before = {name: vars(module)[name] for name in methods if name in vars(module)}
    vars(module).update(methods)
    try:
        yield
    finally:
        for name in methods:
            del vars(module)[name]
        vars(module).update(before)
