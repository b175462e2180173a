"""Check that guidance works together with nodes around the model's evaluation, in either order: caches, skipped layers, masks, wrappers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from avert.guidance.schedule import Window
from avert.host.install import last_report
from torch import Tensor

from guided_runs import (
    CLOSE,
    MECHANISMS,
    VSF,
    assert_both_act,
    avoid,
    change,
    guided,
    host_node,
    model,
    prompts,
    run,
    run_with_spy,
)
from tiny import cfg_guider, conditioning, guider_sample, latent, sample, tiny_flux, tiny_sd3

FOUR = ("sd3", "flux", "wan", "sd15")


@pytest.mark.parametrize("family", ["flux", "wan", "sd15"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_easycache(family: str, order: str) -> None:
    cache = host_node("nodes_easycache", "EasyCacheNode")
    away = avoid(family)

    def with_cache(threshold: float) -> Any:
        if order == "before":
            return guided(cache.execute(model(family), threshold, 0.1, 1.0, False).result[0], away)
        return cache.execute(guided(model(family), away), threshold, 0.1, 1.0, False).result[0]

    exact, calls = run_with_spy(guided(model(family), away), family, steps=6)
    assert torch.equal(exact, run(with_cache(0.0), family, steps=6))
    patched = with_cache(3.0)
    first, cached_calls = run_with_spy(patched, family, steps=6)
    report = last_report(patched)
    assert_both_act(first, exact)
    assert {skip["reason"] for skip in report.skipped} == {"a cache skipped the model"}
    assert len(report.steps) + len(report.skipped) == 6
    assert len(cached_calls) == len(calls)
    assert torch.equal(first, run(patched, family, steps=6))


def skip_layer(args: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    return args


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_skip_layer_guidance(mechanism: str) -> None:
    slg = host_node("nodes_sd3", "SkipLayerGuidanceSD3")
    patched = guided(model("sd3"), avoid("sd3"), MECHANISMS[mechanism])
    whole = run(patched, "sd3", steps=1)
    skipping = patched.clone()
    skipping.set_model_patch_replace(skip_layer, "dit", "double_block", 1)
    expected = whole + 2.0 * (whole - run(skipping, "sd3", steps=1))
    after = slg.execute(patched, "1", 2.0, 0.0, 1.0).result[0]
    before = guided(slg.execute(model("sd3"), "1", 2.0, 0.0, 1.0).result[0], avoid("sd3"), MECHANISMS[mechanism])
    assert torch.equal(run(after, "sd3"), run(before, "sd3"))
    assert change(expected, run(after, "sd3", steps=1)) < CLOSE


@pytest.mark.parametrize("family", ["sd3", "flux", "wan"])
def test_blocks_keep_their_numbers_when_one_is_skipped(family: str) -> None:
    skipping = model(family).clone()
    skipping.set_model_patch_replace(skip_layer, "dit", "double_block", 0)
    last = guided(skipping, avoid(family), VSF, blocks=str(last_report_layers(family) - 1))
    assert change(run(skipping, family), run(last, family)) > 1e-3


def last_report_layers(family: str) -> int:
    patched = guided(model(family), avoid(family))
    run(patched, family, steps=1)
    return last_report(patched).layers_total


@pytest.mark.parametrize("family", ["flux", "sd15"])
def test_core_nag_node(family: str) -> None:
    nag = host_node("nodes_nag", "NAGuidance")
    positive, negative = conditioning(family, 20, 1), conditioning(family, 20, 3)
    base, away = model(family), avoid(family)
    alone = nag.execute(base, 5.0, 0.5, 1.5).result[0]
    before, after = guided(alone, away), nag.execute(guided(base, away), 5.0, 0.5, 1.5).result[0]
    pictures = [sample(m, positive, negative) for m in (before, after, alone, guided(base, away))]
    assert torch.equal(pictures[0], pictures[1])
    assert_both_act(pictures[0], *pictures[2:])


@pytest.mark.parametrize("family", FOUR)
def test_inpainting_keeps_what_is_not_masked(family: str) -> None:
    differential = host_node("nodes_differential_diffusion", "DifferentialDiffusion")
    start = latent(family, seed=4)
    mask = torch.zeros(1, 1, *start.shape[-2:])
    mask[..., : start.shape[-1] // 2] = 1.0
    base, away = model(family), avoid(family)
    before = guided(differential.execute(base).result[0], away)
    after = differential.execute(guided(base, away)).result[0]
    first, second = (run(m, family, latent=start, noise_mask=mask) for m in (before, after))
    assert torch.equal(first, second)
    kept = start.shape[-1] // 2
    assert change(start[..., kept:], first[..., kept:]) < CLOSE
    assert_both_act(first[..., :kept], run(base, family, latent=start, noise_mask=mask)[..., :kept])


def test_window_follows_the_shift_of_the_sampling() -> None:
    shift = host_node("nodes_model_advanced", "ModelSamplingSD3")()
    base, window = tiny_sd3(), (0.0, 0.4)
    before = guided(shift.patch(base, 9.0)[0], avoid("sd3"), VSF, window)
    after = shift.patch(guided(base, avoid("sd3"), VSF, window), 9.0)[0]
    assert torch.equal(run(before, "sd3", steps=8), run(after, "sd3", steps=8))
    bound = Window(*window).sigmas(after.get_model_object("model_sampling").percent_to_sigma)
    report = last_report(after)
    assert report.steps
    assert report.skipped
    assert all(bound.contains(step["sigma"]) for step in report.steps)
    assert not any(bound.contains(skip["sigma"]) for skip in report.skipped)


def row_by_row(apply_model: Callable[..., Tensor], args: dict[str, Any]) -> Tensor:
    """Evaluate each row of the batch by itself, as nodes do that save memory; transformer_options stay those of the whole batch."""
    x, t, c = args["input"], args["timestep"], args["c"]
    out = []
    for i in range(x.shape[0]):
        part = {key: value[i : i + 1] if isinstance(value, Tensor) else value for key, value in c.items()}
        out.append(apply_model(x[i : i + 1], t[i : i + 1], **part))
    return torch.cat(out)


def doubled(apply_model: Callable[..., Tensor], args: dict[str, Any]) -> Tensor:
    """Evaluate the batch twice in one call, as tiling nodes put their tiles one after the other."""
    c = {key: torch.cat([value, value]) if isinstance(value, Tensor) else value for key, value in args["c"].items()}
    return apply_model(torch.cat([args["input"]] * 2), torch.cat([args["timestep"]] * 2), **c).chunk(2)[0]


@pytest.mark.parametrize("wrapper", [row_by_row, doubled])
@pytest.mark.parametrize("family", ["flux", "sd15"])
@pytest.mark.parametrize(("cfg", "batch"), [(1.0, 1), (1.0, 2), (3.0, 1), (3.0, 2)])
def test_wrapper_that_rearranges_the_batch(wrapper: Callable[..., Tensor], family: str, cfg: float, batch: int) -> None:
    base, away = model(family), avoid(family)
    # Prompts of one length share a batch.
    sides = prompts(family, 20, 20)
    wrapped = base.clone()
    wrapped.set_model_unet_function_wrapper(wrapper)
    patched = guided(wrapped, away)
    if cfg == 1.0 or wrapper is doubled:
        expected = sample(guided(base, away), *sides, cfg, batch=batch, steps=2)
        assert change(expected, sample(patched, *sides, cfg, batch=batch, steps=2)) < CLOSE
        return
    # Which row belongs to which prompt cannot be told any more.
    with pytest.raises(RuntimeError, match="another node"):
        sample(patched, *sides, cfg, batch=batch, steps=2)


def test_kontext_reference_images_stay_in_use() -> None:
    flux = tiny_flux()
    plain = conditioning("flux", 20, 1)
    referring = conditioning("flux", 20, 1, reference_latents=[latent("flux", 1, seed=5)])
    patched = guided(flux, avoid("flux"))
    both = guider_sample(cfg_guider(patched, referring))
    assert_both_act(both, guider_sample(cfg_guider(flux, referring)), guider_sample(cfg_guider(patched, plain)))
