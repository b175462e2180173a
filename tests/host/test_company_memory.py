"""Check that guidance is the same wherever the host keeps the weights: loaded in part, unloaded between runs and within one, dynamic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import pytest
import torch
from avert.host.install import last_report
from comfy.patcher_extension import CallbacksMP

from company_runs import assert_same
from guided_runs import module_outline, patcher_outline
from memory_runs import FAMILIES, SOME, away, build, picture
from test_families_company import attention_patches

CPU = torch.device("cpu")
CLOSE = 1e-5


def layers_cast(patcher: Any) -> tuple[int, int]:
    """Count the layers whose weights the host brings at each call, and those of them whose LoRA it computes then."""
    modules = [module for module in patcher.model.modules() if hasattr(module, "prev_comfy_cast_weights")]
    return len(modules), sum(len(module.weight_function) > 0 for module in modules)


def whenever_it_runs(model: Any, act: Callable[[Any], None]) -> Any:
    """Let something be done to a clone when its run begins, after the host loaded it."""
    clone = model.clone()
    clone.add_callback(CallbacksMP.ON_PRE_RUN, act)
    return clone


def hardly(patcher: Any) -> None:
    """Load as good as nothing, as the host does on a device without memory to spare."""
    patcher.unpatch_model(patcher.offload_device)
    patcher.patch_model(patcher.load_device, lowvram_model_memory=1)


def less(patcher: Any) -> None:
    """Unload most of it, piece by piece, as the host does for another model's sake."""
    layers = sum(hasattr(module, "comfy_cast_weights") for module in patcher.model.modules())
    while layers_cast(patcher)[0] < 0.8 * layers:
        assert patcher.partially_unload(patcher.offload_device, patcher.model_size() // 40) > 0


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_that_is_loaded_in_part(name: str, lora: bool) -> None:
    model, cast = build(name), []
    if lora:
        model.add_patches(attention_patches(model), 1.0)
    plain, whole = picture(name, model), picture(name, away(name, model))
    for load in (hardly, less):

        def act(patcher: Any, load: Callable[[Any], None] = load) -> None:
            load(patcher)
            cast.append(layers_cast(patcher))

        part = away(name, whenever_it_runs(model, act))
        assert_same(whole, picture(name, part), plain, CLOSE)
    (every, every_patched), (some, some_patched) = cast
    assert some > 0 and every > 0
    assert (some_patched > 0 and every_patched > 0) if lora else (some_patched == every_patched == 0)
    # Loaded as a whole again, all is as before.
    assert torch.equal(whole, picture(name, away(name, model)))


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_that_leave_between_two_steps(name: str) -> None:
    """Another model that is needed within a run (one that watches) takes the memory of this one."""
    model = build(name)
    model.add_patches(attention_patches(model), 1.0)
    plain, whole = picture(name, model, steps=3), picture(name, away(name, model), steps=3)
    patched = away(name, model)

    def leave(step: int, *_: Any) -> None:
        if step == 0:
            less(patched.model.current_patcher)

    assert_same(whole, picture(name, patched, steps=3, callback=leave), plain, CLOSE)
    assert layers_cast(patched)[1] > 0


def traces(patcher: Any) -> Any:
    """Describe what could be ours; how the host casts weights is its own matter."""
    return patcher_outline(patcher), {name: found[1:] for name, found in module_outline(patcher).items()}


def unload_all(patcher: Any) -> None:
    comfy.model_management.unload_all_models()


def move(patcher: Any) -> None:
    patcher.detach()
    patcher.model_patches_to(CPU)
    patcher.model.to(torch.float64).to(CPU).to(torch.float32)


@pytest.mark.parametrize("between", [unload_all, less, move])
@pytest.mark.parametrize("name", SOME)
def test_a_model_that_was_unloaded_between_two_runs(name: str, between: Callable[[Any], None]) -> None:
    model = build(name)
    patched = away(name, model)
    plain, first = picture(name, model), picture(name, patched)
    picture(name, patched)
    before = traces(patched)
    between(patched)
    second = picture(name, patched)
    assert_same(first, second, plain, CLOSE)
    assert traces(patched) == before
    assert last_report(patched).steps and torch.equal(plain, picture(name, model))
