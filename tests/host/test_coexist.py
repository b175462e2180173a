"""Check that guidance works together with other nodes, in either order: weights, attention overrides, masked and hooked conditionings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.hooks
import pytest
import torch
from torch import Tensor

from guided_runs import (
    CLOSE,
    MECHANISMS,
    Shared,
    assert_both_act,
    avoid,
    change,
    guided,
    model,
    prompts,
    run,
    unpadded,
    with_override,
)
from tiny import FACTORIES, conditioning, latent, sample

FAMILIES = tuple(FACTORIES)
FOUR = ("sd3", "flux", "wan", "sd15")


def attention_weights(patcher: Any) -> list[str]:
    names = patcher.model_state_dict()
    return [name for name, value in names.items() if "attn" in name and name.endswith(".weight") and value.ndim == 2]


def lora(patcher: Any, size: float = 0.03) -> dict[str, tuple]:
    """Make a patch for every attention matrix of a model."""
    weights = patcher.model_state_dict()
    generator = torch.Generator().manual_seed(5)
    return {n: ("diff", (size * torch.randn(weights[n].shape, generator=generator),)) for n in attention_weights(patcher)}


def with_lora(patcher: Any) -> Any:
    clone = patcher.clone()
    assert clone.add_patches(lora(patcher), 1.0)
    return clone


@pytest.mark.parametrize("family", FOUR)
def test_lora(family: str) -> None:
    base, negative = model(family), avoid(family)
    before = run(guided(with_lora(base), negative), family)
    after = run(with_lora(guided(base, negative)), family)
    assert torch.equal(before, after)
    assert_both_act(before, run(with_lora(base), family), run(guided(base, negative), family))


class Override(Shared):
    """Be another node's attention override; `factor` scales what attention returns."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.calls = 0

    def __call__(self, func: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        self.calls += 1
        return func(*args, **kwargs) * self.factor


@pytest.mark.parametrize(
    ("family", "mechanism"), [*((family, "vsf") for family in FAMILIES), ("flux", "nag"), ("flux", "nasa"), ("sd15", "nag")]
)
@pytest.mark.parametrize("factor", [1.0, 0.7])
def test_second_attention_override(family: str, mechanism: str, factor: float) -> None:
    base, negative = model(family), avoid(family)
    alone, before, after = (Override(factor) for _ in range(3))
    others = run(with_override(base, alone), family, 3.0)
    guided_alone = run(guided(base, negative, MECHANISMS[mechanism]), family, 3.0)
    first = run(guided(with_override(base, before), negative, MECHANISMS[mechanism]), family, 3.0)
    second = run(with_override(guided(base, negative, MECHANISMS[mechanism]), after), family, 3.0)
    assert torch.equal(first, second)
    assert min(before.calls, after.calls) >= alone.calls > 0
    assert (change(guided_alone, first) < CLOSE) == (factor == 1.0)
    assert_both_act(first, others)


def scale_values(func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Any = None, **kw: Any) -> Tensor:
    return func(q, k, v * 0.7, heads, mask=mask, **kw)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_override_scales_the_guided_attention_as_a_whole(mechanism: str) -> None:
    # All three are homogeneous in the values, so scaled values and a scaled output are the same thing.
    patched = guided(model("flux"), avoid("flux"), MECHANISMS[mechanism])
    values, outputs = (run(with_override(patched, override), "flux") for override in (scale_values, Override(0.7)))
    assert change(values, outputs) < CLOSE


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_conditionings_add_up(family: str) -> None:
    _, negative = prompts(family)
    shape = latent(family).shape
    left = torch.zeros(1, *shape[-2:])
    left[..., : shape[-1] // 2] = 1.0
    sides = [conditioning(family, 20, 1), conditioning(family, 13, 4)]
    masked = [[[tokens, {**entry, "mask": mask}]] for ((tokens, entry),), mask in zip(sides, (left, 1 - left), strict=True)]
    patched = guided(model(family), avoid(family))
    alone = [sample(patched, side, negative, 3.0, steps=1) for side in sides]
    both = sample(patched, masked[0] + masked[1], negative, 3.0, steps=1)
    assert change(alone[0] * left + alone[1] * (1 - left), both) < CLOSE
    assert_both_act(both, sample(model(family), masked[0] + masked[1], negative, 3.0, steps=1))


@pytest.mark.parametrize("family", FOUR)
@pytest.mark.parametrize("own", [True, False])
def test_area_conditioning_guides_only_its_own_rows(family: str, own: bool) -> None:
    positive, negative = prompts(family)
    shape = latent(family).shape[2:]
    area = (*shape[:-1], shape[-1] // 2, *(0 for _ in shape))
    other = conditioning(family, 13, 4)
    positive = positive + [[other[0][0], {**other[0][1], "area": area, "strength": 0.8}]]
    kept: list[Tensor] = []

    def keep(args: dict[str, Any]) -> Tensor:
        kept.append(args["uncond_denoised"])
        return args["denoised"]

    base = model(family).clone()
    base.set_model_sampler_post_cfg_function(keep)
    pictures = [sample(m, positive, negative, 3.0, steps=1) for m in (base, guided(base, None if own else avoid(family)))]
    assert change(*kept) < CLOSE
    assert_both_act(pictures[1], pictures[0])


def hooked(patcher: Any, schedule: bool) -> comfy.hooks.HookGroup:
    """Make a LoRA that hangs on a conditioning; with a schedule it ends in the middle of the run."""
    weights = patcher.model_state_dict()
    generator = torch.Generator().manual_seed(6)
    tensors = {}
    for name in attention_weights(patcher):
        rows, columns = weights[name].shape
        name = name.removesuffix(".weight")
        tensors[f"{name}.lora_up.weight"] = 0.2 * torch.randn(rows, 2, generator=generator)
        tensors[f"{name}.lora_down.weight"] = 0.2 * torch.randn(2, columns, generator=generator)
    group = comfy.hooks.create_hook_lora(tensors, 1.0, 1.0)
    if schedule:
        frames = comfy.hooks.HookKeyframeGroup()
        frames.add(comfy.hooks.HookKeyframe(strength=1.0, start_percent=0.0))
        frames.add(comfy.hooks.HookKeyframe(strength=0.0, start_percent=0.5))
        group.set_keyframes_on_hooks(frames)
    return group


@pytest.mark.parametrize(("family", "cfg"), [("sd3", 1.0), ("sd15", 3.0)])
def test_lora_schedule_on_the_conditioning(family: str, cfg: float) -> None:
    positive, negative = prompts(family)
    base, away = model(family), unpadded(negative)
    pictures = {}
    for schedule in (False, True):
        hooks = hooked(base, schedule)
        with_hooks = comfy.hooks.set_conds_props([positive], strength=1.0, set_cond_area="default", hooks=hooks)[0]
        pictures[schedule] = sample(guided(base, away), with_hooks, negative, cfg)
        assert_both_act(
            pictures[schedule],
            sample(base, with_hooks, negative, cfg),
            sample(guided(base, away), positive, negative, cfg),
        )
        own = sample(guided(base, None), with_hooks, negative, cfg)
        assert torch.equal(own, pictures[schedule])
    assert change(*pictures.values()) > 1e-3
    assert torch.equal(run(base, family, cfg), run(FACTORIES[family](), family, cfg))
