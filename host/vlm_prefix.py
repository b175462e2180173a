"""Let a model of transformers read the instruction and the examples once, and only the new picture at each question.

What a decoder made of the beginning of a text stays the same whatever follows, so its keys and values can be kept. How pictures are counted and
where tokens stand differs from model to model and from version to version: before a beginning is kept, what the model thinks of two different pictures is
compared both ways, and unless it agrees the whole text is read each time.
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
# How far the two ways may be apart, as a share of how far the two pictures are: rounding in half precision, no more.
CLOSE = 0.2
# What a version or a model that works otherwise may raise.
UNKNOWN_WAYS = (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError, StopIteration, ImportError)


class Prefix:
    """Keep what a model made of one beginning. `inputs`: of the beginning alone, one row."""

    def __init__(self, model: Any, inputs: Inputs) -> None:
        from transformers import DynamicCache

        self._model = model
        self._ids: Tensor = inputs["input_ids"]
        self._kept = DynamicCache(config=model.config)
        # Only the last logits: of a long text all of them would take more memory than the rest.
        known = inspect.signature(model.forward).parameters
        # Since transformers 5.24 it has the first name; the second is to go with 5.40.
        self._cache = "cache" if "cache" in known else "past_key_values"
        model(**inputs, **{self._cache: self._kept}, use_cache=True, **({"logits_to_keep": 1} if "logits_to_keep" in known else {}))

    def begins(self, inputs: Inputs) -> bool:
        """Tell whether whole texts begin with it, token for token, without anything in front."""
        ids: Tensor = inputs["input_ids"]
        length = self._ids.shape[1]
        return ids.shape[1] > length and bool((ids[:, :length] == self._ids).all())

    def rest(self, whole: Inputs, pictures: Inputs) -> dict[str, Any]:
        """Give what to generate with: whole texts and their places, the new pictures alone, and what is kept."""
        kept = copy.deepcopy(self._kept)
        rows = whole["input_ids"].shape[0]
        if rows > 1:
            kept.batch_repeat_interleave(rows)
        texts = {key: whole[key] for key in OF_TEXT if key in whole}
        new = {key: value for key, value in pictures.items() if key not in OF_TEXT}
        return {**texts, **new, **self._places(whole), self._cache: kept}

    def _places(self, whole: Inputs) -> dict[str, Tensor]:
        """Give the places of all tokens, where a model counts pictures in two dimensions (Qwen-VL)."""
        place = getattr(self._model.model, "get_rope_index", None)
        if place is None:
            return {}
        known = inspect.signature(place).parameters
        positions, _ = place(**{key: value for key, value in whole.items() if key in known})
        return {"position_ids": positions}


class Reader:
    """Keep the beginning of the questions of a run; whether this model allows it is found out once."""

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
        """Drop the beginning, which lies where the model works, but not what is known about the model."""
        self._prefix = self._of = None

    def begin(
        self,
        of: tuple[object, object],
        beginning: Callable[[], Inputs],
        trials: Callable[[], list[tuple[Inputs, Inputs]]],
        check: Callable[[], None],
    ) -> None:
        """Make ready for questions with this beginning. of: the instruction and the examples that it is made of; trials: see `_agrees`; check: raises when nobody
        waits any more, which passes.
        """
        if self._trusted is False or (self._of is not None and self._of[0] == of[0] and self._of[1] is of[1]):
            return
        self.forget()
        try:
            check()
            prefix = Prefix(self._model, beginning())
            if self._trusted is None:
                self._trusted = self._agrees(prefix, trials(), check)
            self._prefix, self._of = (prefix, of) if self._trusted else (None, None)
        except torch.OutOfMemoryError:
            log.debug("Avert: there is no room for the beginning of the conversation; it is not kept in this run.")
            self._of = of
        except UNKNOWN_WAYS as error:
            log.debug("Avert: the beginning of the conversation is not kept: %s", error)
            self._trusted = False

    def inputs(self, whole: Inputs, pictures: Inputs) -> Inputs:
        """Give what to generate with: with the kept beginning, or the whole text."""
        return whole if self._prefix is None or not self._prefix.begins(whole) else self._prefix.rest(whole, pictures)

    def _agrees(self, prefix: Prefix, trials: list[tuple[Inputs, Inputs]], check: Callable[[], None]) -> bool:
        """Compare the first token's logits both ways, for two pictures: they must tell the pictures apart alike."""
        if not all(prefix.begins(whole) for whole, _ in trials):
            return False

        def first(inputs: Inputs) -> Tensor:
            check()
            return self._first_logits(inputs)

        long = torch.stack([first(whole) for whole, _ in trials])
        short = torch.stack([first(prefix.rest(whole, pictures)) for whole, pictures in trials])
        apart = (long[0] - long[1]).norm()
        return bool(apart > 0) and bool((long - short).norm() <= CLOSE * apart)

    def _first_logits(self, inputs: Inputs) -> Tensor:
        told = self._model.generate(**inputs, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True)
        logits: Tensor = told.logits[0][0]
        return logits.float()
