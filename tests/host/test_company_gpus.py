"""Check guidance on several devices at once (MultiGPU CFG Split): two devices that are both the CPU, with the host's own clones, threads and scheduler."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import pytest
import torch
from avert.guidance.score.combine import NegativeGuidance
from avert.host.guide import guide_score
from avert.host.install import last_report
from torch import Tensor

from company_runs import assert_same
from guided_runs import avoid, patcher_outline
from memory_runs import FAMILIES, away, build, picture, prompt, sampled

multigpu = pytest.importorskip("comfy.multigpu", reason="this host has no multi-GPU")

DEVICES = [torch.device("cpu"), torch.device("cpu", 0)]
CLOSE = 1e-5


@pytest.fixture(autouse=True)
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfy.model_management, "get_all_torch_devices", lambda exclude_current=False: list(DEVICES))


def loaded(name: str) -> Any:
    """Build a model as the host's loaders do, which say how to load it once more."""
    model = build(name)
    model.cached_patcher_init = (build, (name,))
    return model


def split(model: Any) -> Any:
    """Do what the node MultiGPU CFG Split does.

    It trips over a model of another test that is gone, but whose weights the garbage collector has not come to yet (comfy/multigpu.py, `lm.model`).
    """
    loaded_models = comfy.model_management.current_loaded_models
    loaded_models[:] = [one for one in loaded_models if one.model is not None]
    return multigpu.create_multigpu_deepclones(model, 2, reuse_loaded=True)


@contextmanager
def watched(model: Any) -> Iterator[list[tuple[int, str]]]:
    """Note which copy of a model ran, and in which thread."""
    models = [model.model, *(other.model for other in model.get_additional_models_with_key("multigpu"))]
    seen: list[tuple[int, str]] = []
    hooks = [
        each.diffusion_model.register_forward_pre_hook(lambda *_, i=i: seen.append((i, threading.current_thread().name)))
        for i, each in enumerate(models)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def same_reports(a: Any, b: Any) -> None:
    for one, other in zip(a.steps, b.steps, strict=True):
        assert {key: one[key] for key in ("step", "evaluations", "layers")} == {
            key: other[key] for key in ("step", "evaluations", "layers")
        }
        assert one["share"] == pytest.approx(other["share"], rel=1e-3) and one["change"] == pytest.approx(other["change"], rel=1e-3)
    assert (a.skipped, a.notes) == (b.skipped, b.notes)


@pytest.mark.parametrize("name", FAMILIES)
def test_guidance_on_two_devices(name: str) -> None:
    model = loaded(name)
    plain, patched = picture(name, model, 3.0), away(name, model)
    whole = picture(name, patched, 3.0)
    for both in (split(patched), away(name, split(model))):
        before = patcher_outline(both)["attachments"]
        with watched(both) as ran:
            assert_same(whole, picture(name, both, 3.0), plain, CLOSE)
        assert {index for index, _ in ran} == {0, 1} and len({thread for _, thread in ran}) == 2
        same_reports(last_report(patched), last_report(both))
        assert patcher_outline(both)["attachments"] == before


@pytest.mark.parametrize("name", ["sd3", "wan", "qwen_image", "lumina2"])
def test_guided_rows_on_both_devices(name: str) -> None:
    """Two positive prompts at cfg 1: each device has one, and both are guided at the same time."""
    model = loaded(name)
    positive, negative = [*prompt(name, 9, 1), *prompt(name, 14, 4)], prompt(name, 8, 2)

    def run(patcher: Any) -> Tensor:
        return sampled(name, patcher, positive, negative)

    patched = away(name, model)
    plain, whole, both = run(model), run(patched), split(patched)
    expected = last_report(patched)
    with watched(both) as ran:
        assert_same(whole, run(both), plain, CLOSE)
    assert [index for index, _ in ran].count(0) == [index for index, _ in ran].count(1) == 2
    same_reports(expected, last_report(both))


def test_a_failure_on_another_device_is_told() -> None:
    """What a node does to the text on one device stops the run as it does on one."""
    model = loaded("sd15")
    model.set_model_attn2_patch(lambda n, context, value, options: (n, torch.cat([context] * 2, 1), torch.cat([value] * 2, 1)))
    both = split(away("sd15", model))
    with pytest.raises(RuntimeError, match="another node changes its tokens"):
        picture("sd15", both, 3.0)


def test_guidance_on_predictions_on_two_devices() -> None:
    model = loaded("sd3")
    patched = guide_score(model, NegativeGuidance(1.5), avoid("sd3"), (0.0, 1.0))
    plain, whole = picture("sd3", model, 3.0), picture("sd3", patched, 3.0)
    both = split(patched)
    with watched(both) as ran:
        assert_same(whole, picture("sd3", both, 3.0), plain, CLOSE)
    assert {index for index, _ in ran} == {0, 1}
