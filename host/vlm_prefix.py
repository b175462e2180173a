"""Let a model of transformers read the instruction and the examples once, and only the new picture at each question.

What a decoder made of the beginning of a text stays the same whatever follows, so its keys and values can be kept. How pictures are counted and
where tokens stand differs from model to model and from version to version: the first answer is made both ways, and unless they agree token for token
the whole text is read each time.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Inputs = Mapping[str, Any]
# Of a whole text; the rest of what a processor gives belongs to the pictures.
OF_TEXT = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


class Prefix:
    """Keep what a model made of one beginning. `inputs`: of the beginning alone, one row."""

    def __init__(self, model: Any, inputs: Inputs) -> None:
        from transformers import DynamicCache

        self._model = model
        self._inputs = inputs
        self._kept = DynamicCache(config=model.config)
        model(**inputs, past_key_values=self._kept, use_cache=True)

    @property
    def length(self) -> int:
        ids: Tensor = self._inputs["input_ids"]
        return ids.shape[1]

    def begins(self, inputs: Inputs) -> bool:
        """Tell whether whole texts begin with it, token for token, without anything in front."""
        ids: Tensor = inputs["input_ids"]
        own: Tensor = self._inputs["input_ids"]
        return ids.shape[1] > self.length and bool((ids[:, : self.length] == own).all())

    def rest(self, whole: Inputs, pictures: Inputs) -> dict[str, Any]:
        """Give what to generate with: whole texts and their places, the new pictures alone, and what is kept."""
        kept = copy.deepcopy(self._kept)
        rows = whole["input_ids"].shape[0]
        if rows > 1:
            kept.batch_repeat_interleave(rows)
        texts = {key: whole[key] for key in OF_TEXT if key in whole}
        new = {key: value for key, value in pictures.items() if key not in OF_TEXT}
        return {**texts, **new, **self._places(whole), "past_key_values": kept}

    def _places(self, whole: Inputs) -> dict[str, Tensor]:
        """Give the places of all tokens, where a model counts pictures in two dimensions (Qwen-VL)."""
        place = getattr(self._model.model, "get_rope_index", None)
        if place is None:
            return {}
        known = inspect.signature(place).parameters
        positions, _ = place(**{key: value for key, value in whole.items() if key in known})
        return {"position_ids": positions}


class Reader:
    """Generate, from a kept beginning where that has been found to be the same; `kept` is born with a question and dropped with its model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._prefix: Prefix | None = None
        self._of: tuple[object, object] | None = None
        self._trusted: bool | None = None

    @property
    def uses_prefix(self) -> bool:
        """Tell whether beginnings are kept."""
        return bool(self._trusted)

    def forget(self) -> None:
        """Drop the beginning, which lies where the model works, but not what is known about it."""
        self._prefix = None

    def generate(
        self,
        of: tuple[object, object],
        beginning: Inputs,
        whole: Inputs,
        pictures: Inputs,
        options: Mapping[str, Any],
        stopped: Callable[[], bool],
    ) -> Tensor:
        """Return the new tokens. of: the instruction and the examples that the beginning was made of; pictures: what the processor makes of what follows it."""
        start = whole["input_ids"].shape[1]
        if self._trusted is False:
            return self._model.generate(**whole, **options)[:, start:]
        try:
            if self._prefix is None or self._of is None or self._of[0] != of[0] or self._of[1] is not of[1]:
                self._prefix, self._of = Prefix(self._model, beginning), of
            found = self._model.generate(**self._prefix.rest(whole, pictures), **options)[:, start:] if self._prefix.begins(whole) else None
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, StopIteration, ImportError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            log.debug("Avert: the beginning of the conversation is not kept: %s", error)
            found = None
        if found is not None and (self._trusted or stopped()):
            return found
        told: Tensor = self._model.generate(**whole, **options)[:, start:]
        self._trusted = found is not None and torch.equal(found, told)
        if not self._trusted:
            self._prefix = None
        return told
