"""Keep the diffusion model in memory beside a vision-language model, a text encoder and a decoder that are used while it samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import comfy.model_management


class Residence:
    """Ask the host for all models of a run at once, and bring the diffusion model back if one of the others pushed it out.

    The host's load_models_gpu makes room by unloading what it was not asked to keep: a text encoder that loads during sampling may push out the very
    model that samples (free_memory in comfy/model_management.py).
    """

    def __init__(self, guider: Any, others: Iterable[Any]) -> None:
        self._guider = guider
        self._others = [patcher for patcher in others if patcher is not None]
        self._asked = False
        self.brought_back = 0

    def _own(self) -> list[Any]:
        return [self._guider.model_patcher, *getattr(self._guider, "loaded_models", [])]

    def __enter__(self) -> Residence:
        if not self._asked:
            comfy.model_management.load_models_gpu([*self._own(), *self._others])
            self._asked = True
        self._held = [patcher.loaded_size() for patcher in self._own()]
        return self

    def __exit__(self, *error: object) -> None:
        own = self._own()
        if any(patcher.loaded_size() < held for patcher, held in zip(own, self._held, strict=True)):
            comfy.model_management.load_models_gpu(own)
            self.brought_back += 1
