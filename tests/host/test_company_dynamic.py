"""Check guidance on the patcher of dynamic VRAM (comfy-aimdo): its own class, its own loading, on the CPU, where it has no video memory to manage.

The host makes a common patcher of it on the CPU; only that is stepped over here. What runs on a GPU alone: LoRAs and weights fetched by comfy-aimdo.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import comfy.hooks
import comfy.model_patcher
import pytest
import torch
from avert.host.install import last_report
from comfy.patcher_extension import WrappersMP

import tiny_models
from company_runs import assert_guided, assert_same
from guided_runs import module_outline, patcher_outline, prompts
from memory_runs import FAMILIES, away, build, picture
from tiny import sample

if not hasattr(comfy.model_patcher, "ModelPatcherDynamic"):
    pytest.skip("this host has no dynamic VRAM", allow_module_level=True)

CLOSE = 1e-5


class OnCPU(comfy.model_patcher.ModelPatcherDynamic):
    """Be the host's dynamic patcher, also on the CPU."""

    def __new__(cls, *args: Any, **kwargs: Any) -> OnCPU:
        return object.__new__(cls)

    def partially_unload(self, *args: Any, **kwargs: Any) -> int:
        return 0


@pytest.fixture(autouse=True)
def buffers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Load comfy-aimdo's library, as main.py does before it imports the host."""
    control, host_buffer = (importlib.import_module(f"comfy_aimdo.{name}") for name in ("control", "host_buffer"))
    if control.lib is None:
        if not control.init():
            pytest.skip("comfy-aimdo does not run on this system")
        importlib.reload(host_buffer)
    monkeypatch.setattr(tiny_models, "PATCHER", OnCPU)
    yield


def loader(name: str, disable_dynamic: bool = False) -> Any:
    """Build a model as the host's loaders do, which can also load it without dynamic VRAM."""
    model = build(name)
    return comfy.model_patcher.ModelPatcher(model.model, model.load_device, model.offload_device) if disable_dynamic else model


def dynamic(name: str) -> Any:
    model = loader(name)
    model.cached_patcher_init = (loader, (name,))
    assert model.is_dynamic() and type(model) is OnCPU
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_a_dynamic_patcher(name: str) -> None:
    model, common = dynamic(name), loader(name, True)
    patched = away(name, model)
    assert type(patched) is OnCPU and not model.get_wrappers(WrappersMP.OUTER_SAMPLE, "avert")
    plain, expected = picture(name, common, 3.0), picture(name, away(name, common), 3.0)
    first = picture(name, patched, 3.0)
    assert_same(expected, first, plain, CLOSE)
    traces = patcher_outline(patched), {key: found[1:] for key, found in module_outline(patched).items()}
    patched.unpatch_model(patched.offload_device, unpatch_weights=False)
    assert torch.equal(first, picture(name, patched, 3.0)) and len(last_report(patched).steps) > 0
    assert (patcher_outline(patched), {key: found[1:] for key, found in module_outline(patched).items()}) == traces


def test_weight_hooks_make_the_host_take_another_patcher() -> None:
    """With a LoRA on a prompt the guider samples with a common clone of the dynamic patcher; ours comes along, its report too."""
    model, common = dynamic("sd3"), loader("sd3", True)
    weights = {key: weight for key, weight in common.model_state_dict().items() if key.endswith("attn.qkv.weight")}
    changes = {key: ("diff", (0.3 * weight.std() * torch.ones_like(weight),)) for key, weight in weights.items()}

    def run(base: Any, guided: bool) -> Any:
        hooks = comfy.hooks.HookGroup()
        hook = comfy.hooks.WeightHook(strength_model=1.0, strength_clip=0.0)
        hook.weights, hook.weights_clip, hook.need_weight_init = changes, {}, False
        hooks.add(hook)
        positive, negative = prompts("sd3")
        hooked = [[tokens, {**options, "hooks": hooks}] for tokens, options in positive]
        patched = away("sd3", base) if guided else base
        return sample(patched, hooked, negative, 1.0, steps=2), patched

    assert weights
    plain, expected = run(common, False)[0], run(common, True)[0]
    found, patched = run(model, True)
    assert_guided(expected, picture("sd3", away("sd3", common)))
    assert_same(expected, found, plain, CLOSE)
    assert len(last_report(patched).steps) == 2
