"""Keep the diffusion model in memory although a vision-language model, a text encoder and a decoder work while it samples."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sampler_helpers


class Residence:
    """Bring the diffusion model back if one of the others pushed it out, with the room that sampling needs, as it was loaded at first.

    The host's load_models_gpu makes room by unloading what it was not asked to keep: a text encoder that loads during sampling may push out the very
    model that samples (free_memory in comfy/model_management.py). Asking for all at once is no way out: what then fits in part stays so.
    """

    def __init__(self, guider: Any) -> None:
        self._guider = guider
        self._shape: list[int] = []
        self._held: dict[Any, int] = {}
        self.brought_back = 0

    def begin(self, shape: list[int]) -> None:
        """Note the run's shape of latents, from which the host estimates its memory."""
        self._shape = shape

    def _own(self) -> list[Any]:
        """List what the guider samples with: its model and what came along with it, and the second model of some (Dual Model CFG Guider)."""
        held = [one for value in vars(self._guider).values() for one in (value if isinstance(value, list) else [value])]
        return list(dict.fromkeys(one for one in held if isinstance(one, comfy.model_patcher.ModelPatcher)))

    def __enter__(self) -> Residence:
        sizes = {patcher: patcher.loaded_size() for patcher in self._own()}
        self._held = {patcher: size for patcher, size in sizes.items() if size > 0}
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        held, self._held = self._held, {}
        # An error ends the run, or is a cancel, which is not to wait for a model.
        if kind is not None or all(patcher.loaded_size() >= size for patcher, size in held.items()):
            return
        most, least = comfy.sampler_helpers.estimate_memory(self._guider.model_patcher, self._shape, self._guider.conds)
        comfy.model_management.load_models_gpu(list(held), memory_required=most, minimum_memory_required=least)
        self.brought_back += 1
