"""Check on a pretended card, with the host's own bookkeeping, that the diffusion model stays in memory or comes back to it, and that what is said of it is true."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import comfy.model_management
import comfy.model_patcher
import comfy.sampler_helpers
import pytest
import torch
from avert.host.watch.residence import Residence

CARD = torch.device("meta")
GB = 1 << 30
QUESTIONS = 4
# Sampling's own need of memory, less than the host keeps free for it.
NEED = GB // 10


class Weights(comfy.model_patcher.ModelPatcher):  # type: ignore[misc] # the host is not typed
    """Take up room on the card, and be loaded and unloaded in part as large models are."""

    # The models of all of them.
    made: ClassVar[list[Any]] = []

    def __init__(self, size: float) -> None:
        super().__init__(torch.nn.Linear(1, 1), CARD, torch.device("cpu"), size=int(size * GB))
        vars(self.model).update(model_loaded_weight_memory=0, device=torch.device("cpu"), lowvram_patch_counter=0)
        self.made.append(self.model)

    def copy(self) -> Weights:
        """Give a clone, as a LoRA's, which has the same model."""
        clone = Weights(self.size / GB)
        clone.model = self.model
        return clone

    def partially_load(self, device_to: Any, extra_memory: float = 0, force_patch_weights: bool = False) -> int:
        self.model.model_loaded_weight_memory = int(max(0, min(self.size, self.loaded_size() + extra_memory)))
        self.model.device = device_to
        return 0

    def partially_unload(self, device_to: Any, memory_to_free: float = 0, force_patch_weights: bool = False) -> float:
        freed = min(memory_to_free, self.loaded_size())
        self.model.model_loaded_weight_memory -= int(freed)
        return float(freed)

    def detach(self, unpatch_all: bool = True) -> None:
        if unpatch_all:
            vars(self.model).update(model_loaded_weight_memory=0, device=torch.device("cpu"))

    def model_dtype(self) -> torch.dtype:
        return torch.float16


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Give what sets the size of the card, in GB."""
    host = comfy.model_management
    monkeypatch.setattr(host, "current_loaded_models", [])
    monkeypatch.setattr(Weights, "made", [])

    def of_size(total: float) -> None:
        def free(device: Any = None, torch_free_too: bool = False) -> Any:
            left = int(total * GB - sum(model.model_loaded_weight_memory for model in Weights.made))
            return (left, 0) if torch_free_too else left

        monkeypatch.setattr(host, "get_free_memory", free)

    monkeypatch.setattr(host, "vram_state", host.VRAMState.NORMAL_VRAM)
    for name in ("soft_empty_cache", "ensure_pin_budget", "ensure_pin_registerable"):
        monkeypatch.setattr(host, name, lambda *args, **options: None, raising=False)
    monkeypatch.setattr(comfy.sampler_helpers, "estimate_memory", lambda *args: (NEED, NEED // 2))
    return of_size


def asked(unet: Weights, others: Sequence[Any], used: Sequence[Sequence[Weights]]) -> tuple[list[float], list[str]]:
    """Ask some questions with these models; give how much of the diffusion model had been pushed out by each, in GB, and what is said."""
    load = comfy.model_management.load_models_gpu
    load([unet], memory_required=NEED, minimum_memory_required=NEED // 2)
    residence = Residence(types.SimpleNamespace(model_patcher=unet, loaded_models=[unet], conds={}), others, aside=True)
    residence.begin([1, 16, 8, 8])
    gone = []
    for _ in range(QUESTIONS):
        with residence:
            for one in used:
                load(list(one))
            gone.append((unet.size - unet.loaded_size()) / GB)
        assert unet.loaded_size() == unet.size
    return gone, residence.notes


def who(*patchers: Weights) -> Any:
    return types.SimpleNamespace(patchers=list(patchers)) if len(patchers) > 1 else types.SimpleNamespace(patcher=patchers[0])


@pytest.mark.parametrize("looks", ["another", "the same", "a clone"])
def test_where_all_fit_it_is_brought_back_once(card: Callable[[float], None], looks: str) -> None:
    """A model that nobody uses is in the way; whoever looks may be the very text encoder that encodes, or its clone with a LoRA."""
    unet, clip, unused = Weights(12), Weights(2.6 if looks == "another" else 5.3), Weights(6)
    eye = {"another": Weights(2.6), "the same": clip, "a clone": clip.copy()}[looks]
    # The host unloads first what is held least.
    held = [unused] * 50
    card(22)
    comfy.model_management.load_models_gpu([unused])
    gone, notes = asked(unet, (who(eye), who(clip), object()), [[eye], [clip]])
    assert gone[0] > 0 and gone[1:] == [0.0] * (QUESTIONS - 1)
    assert len(held) == 50 and len(notes) == 1 and "after 1 of the steps" in notes[0] and "all of these fit" in notes[0]


def test_nothing_is_done_where_nothing_is_pushed_out(card: Callable[[float], None]) -> None:
    unet, eye = Weights(12), Weights(5)
    card(24)
    assert asked(unet, (who(eye),), [[eye]]) == ([0.0] * QUESTIONS, [])


@pytest.mark.parametrize(("size", "unet", "eyes"), [(24.0, 12.0, (16.0,)), (5.2, 2.0, (2.0,)), (22.5, 10.0, (9.4, 1.1))])
def test_where_they_do_not_fit_it_is_brought_back_in_full_each_time(
    card: Callable[[float], None], size: float, unet: float, eyes: tuple[float, ...]
) -> None:
    """Also where only the memory that the host keeps free for sampling is lacking, or that of a second part of who looks."""
    model, parts = Weights(unet), [Weights(one) for one in eyes]
    card(size)
    _, notes = asked(model, (who(*parts),), [parts])
    assert len(notes) == 1 and "does not fit into memory together" in notes[0] and "`device` cpu" in notes[0]


def test_a_host_that_unloads_everything_is_named(card: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfy.model_management, "DISABLE_SMART_MEMORY", True)
    unet, eye = Weights(12), Weights(5)
    card(80)
    gone, notes = asked(unet, (who(eye),), [[eye]])
    assert all(gone) and len(notes) == 1 and f"after {QUESTIONS} of the steps" in notes[0] and "--disable-smart-memory" in notes[0]
