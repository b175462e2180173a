"""Keep the diffusion model in memory although a vision-language model, a text encoder and a decoder work while it samples."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.sampler_helpers


class Residence:
    """Bring the diffusion model back if one of the others pushed it out, with the room that sampling needs, as it was loaded at first.

    The host's load_models_gpu makes room by unloading what it was not asked to keep: a text encoder that loads during sampling may push out the very
    model that samples (free_memory in comfy/model_management.py). Asking for all at once is no way out: what then fits in part stays so.
    """

    def __init__(self, guider: Any) -> None:
        self._guider = guider
        self._shape: list[int] = []
        self._held: list[int] = []
        self.brought_back = 0

    def begin(self, shape: list[int]) -> None:
        """Note the run's shape of latents, from which the host estimates its memory."""
        self._shape = shape

    def _own(self) -> list[Any]:
        return [self._guider.model_patcher, *getattr(self._guider, "loaded_models", [])]

    def __enter__(self) -> Residence:
        self._held = [patcher.loaded_size() for patcher in self._own()]
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        own = self._own()
        # An error ends the run, or is a cancel, which is not to wait for a model.
        if kind is not None or all(patcher.loaded_size() >= held for patcher, held in zip(own, self._held, strict=True)):
            return
        most, least = comfy.sampler_helpers.estimate_memory(self._guider.model_patcher, self._shape, self._guider.conds)
        comfy.model_management.load_models_gpu(own, memory_required=most, minimum_memory_required=least)
        self.brought_back += 1
