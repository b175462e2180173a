"""Keep the diffusion model in memory although a vision-language model, a text encoder and a decoder work while it samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sampler_helpers

# The host frees this much of what it loads (load_models_gpu in comfy/model_management.py).
MARGIN = 1.1
BROUGHT_BACK = "The diffusion model had to be loaded again after {count} of the steps, since {why}"
TOGETHER = "others had taken its room; it has been loaded together with what looks, answers and encodes, since all of these fit."
APART = "it does not fit into memory together with what looks, answers and encodes; fewer questions or smaller models spare that{more}."
ASIDE = ", and so does `device` cpu in Avert Load VLM"
FORGETFUL = "this ComfyUI was started with --disable-smart-memory, which unloads it whenever another model is loaded."


class Residence:
    """Bring the diffusion model back if one of the others pushed it out, with the room that sampling needs, as it was loaded at first.

    The host's load_models_gpu makes room by unloading what it was not asked to keep: a text encoder that loads during sampling may push out the very
    model that samples (free_memory in comfy/model_management.py). Where all of them fit, it is asked for all, so that what nobody uses goes and the
    next question pushes nothing out. Where they do not, what is asked for together is loaded in part and stays so: then it is asked for the one alone.
    """

    def __init__(self, guider: Any, others: Sequence[Any], aside: bool) -> None:
        """others: who looks, answers and encodes; aside: whoever answers could do so on another device."""
        self._guider = guider
        self._others, self._aside = others, aside
        self._shape: list[int] = []
        self._held: dict[Any, int] = {}
        self._brought_back = 0
        self._why = ""

    @property
    def notes(self) -> list[str]:
        """Give what a user should know."""
        return [BROUGHT_BACK.format(count=self._brought_back, why=self._why)] if self._brought_back else []

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
        beside = [one for one in _patchers(self._others) if one.load_device == device]
        together = _fit([*held, *beside], most, device)
        # Of clones, which share a model, only the one that is there.
        there = [loaded.model for loaded in comfy.model_management.current_loaded_models if loaded.model in beside]
        wanted = [*held, *(there if together else ())]
        comfy.model_management.load_models_gpu(wanted, memory_required=most, minimum_memory_required=least)
        self._brought_back += 1
        self._why = TOGETHER if together else APART.format(more=ASIDE if self._aside else "")
        if comfy.model_management.DISABLE_SMART_MEMORY:
            self._why = FORGETFUL


def _patchers(others: Iterable[Any]) -> list[Any]:
    """List what the host holds of them in memory; a back end may have several, or none."""
    return [one for other in others for one in getattr(other, "patchers", [other.patcher] if hasattr(other, "patcher") else [])]


def _fit(patchers: Iterable[Any], most: float, device: Any) -> bool:
    """Tell whether these fit in full, with what the host keeps free for sampling. Clones share a model, as where one looks whose clone encodes."""
    host = comfy.model_management
    if host.DISABLE_SMART_MEMORY:
        return False
    loaded = [one for one in host.current_loaded_models if one.model is not None and one.device == device]
    room = host.get_free_memory(device) + sum(one.model_loaded_memory() for one in loaded)
    size = sum({id(one.model): one.model_size() for one in patchers}.values())
    return bool(room >= MARGIN * size + max(most + host.extra_reserved_memory(), host.minimum_inference_memory()))
