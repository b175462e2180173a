"""Keep the diffusion model in memory although a vision-language model, a text encoder and a decoder work while it samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sampler_helpers

# The host frees this much of what it loads (load_models_gpu in comfy/model_management.py).
MARGIN = 1.1


class Residence:
    """Bring the diffusion model back if one of the others pushed it out, with the room that sampling needs, as it was loaded at first.

    The host's load_models_gpu makes room by unloading what it was not asked to keep: a text encoder that loads during sampling may push out the very
    model that samples (free_memory in comfy/model_management.py). Where all of them fit, it is asked for all, so that what nobody uses goes and the
    next question pushes nothing out. Where they do not, what is asked for together is loaded in part and stays so: then it is asked for the one alone.
    """

    def __init__(self, guider: Any, others: Iterable[Any]) -> None:
        """others: who looks, answers and encodes; those in memory of the host's have a `patcher`."""
        self._guider = guider
        self._others = [one.patcher for one in others if hasattr(one, "patcher")]
        self._shape: list[int] = []
        self._held: dict[Any, int] = {}
        self.brought_back = 0
        self.together = False

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
        model, conds = self._guider.model_patcher, self._guider.conds
        more = comfy.sampler_helpers.get_additional_models(conds, model.model_dtype())[1]
        most, least = (need + more for need in comfy.sampler_helpers.estimate_memory(model, self._shape, conds))
        device = model.load_device
        beside = [one for one in self._others if one.load_device == device and one.loaded_size() > 0]
        self.together = _room_of(device) >= MARGIN * sum(one.model_size() for one in (*held, *beside)) + most
        wanted: Sequence[Any] = [*held, *(beside if self.together else ())]
        comfy.model_management.load_models_gpu(wanted, memory_required=most, minimum_memory_required=least)
        self.brought_back += 1


def _room_of(device: Any) -> int:
    """Give the bytes that there are without anything of the host's."""
    loaded = [one for one in comfy.model_management.current_loaded_models if one.model is not None and one.device == device]
    room: int = comfy.model_management.get_free_memory(device) + sum(one.model_loaded_memory() for one in loaded)
    return room
