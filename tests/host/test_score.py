"""Check guidance in the space of scores on the host's models: exact, at its cost, and counted by the solver's steps."""

from __future__ import annotations

from typing import Any

import comfy.sampler_helpers
import comfy.samplers
import pytest
import torch
from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from avert.guidance.score.perp_neg import PerpendicularGuidance
from avert.host.guide import guide_score
from avert.host.install import last_report
from torch import Tensor

from guided_runs import change, host_node, model, prompts, run_with_spy
from score_reference import Posterior, ThreePrompts, static
from scored_runs import ALL, DNG, EMPTY, FAMILIES, PERP, SLD, STATIC, scored, unwanted
from tiny import cfg_guider, guider_sample, latent_for, sample
from tiny_others import in_precision


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("mechanism", [STATIC, EMPTY], ids=["positive", "empty"])
def test_static_guidance_is_the_formula(family: str, cfg: float, mechanism: NegativeGuidance) -> None:
    found = sample(scored(family, mechanism), *prompts(family), cfg, batch=2)
    rule = static(mechanism.negative_scale, mechanism.reference)
    expected = guider_sample(ThreePrompts(model(family), *prompts(family), unwanted(family), cfg, rule), batch=2)
    assert change(expected, found) < 1e-5


def test_perp_neg_is_the_hosts_own_for_one_picture() -> None:
    guider_class = host_node("nodes_perpneg", "Guider_PerpNeg")
    positive, empty = prompts("sd15")
    guider = guider_class(model("sd15"))
    guider.set_conds(positive, unwanted("sd15"), empty)
    guider.set_cfg(3.0, 0.8)
    expected = guider_sample(guider)
    assert change(expected, sample(scored("sd15", PERP), positive, empty, 3.0)) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_dng_is_the_papers_algorithm(family: str, cfg: float) -> None:
    patched = scored(family, DNG)
    found = sample(patched, *prompts(family), cfg, sampler_name="euler_ancestral", steps=5, batch=2)
    reference = Posterior(family != "sd15", DNG)
    guider = ThreePrompts(model(family), *prompts(family), unwanted(family), cfg, reference)
    expected = guider_sample(guider, sampler_name="euler_ancestral", steps=5, batch=2)
    posterior = [step["posterior"] for step in last_report(patched).curves[0]["steps"]]
    torch.testing.assert_close(torch.tensor(posterior), torch.tensor(reference.seen), rtol=1e-3, atol=1e-5)
    assert change(expected, found) < 1e-4
    assert torch.tensor(posterior).std() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "mechanism", [NegativeGuidance(0.0), DynamicNegativeGuidance(0.0, 0.3, 1.0, 0.0, 1e-6, 0.9), PerpendicularGuidance(0.0)]
)
def test_strength_zero_is_exact_and_costs_nothing(family: str, mechanism: Any) -> None:
    plain, plain_calls = run_with_spy(model(family), family, 3.0)
    found, calls = run_with_spy(scored(family, mechanism), family, 3.0)
    assert torch.equal(plain, found) and calls == plain_calls


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_outside_its_window_it_is_exact_and_costs_nothing(mechanism: Any) -> None:
    plain, plain_calls = run_with_spy(model("sd15"), "sd15", 3.0)
    found, calls = run_with_spy(scored("sd15", mechanism, (0.99, 0.999)), "sd15", 3.0)
    assert torch.equal(plain, found) and calls == plain_calls
    part, more = run_with_spy(scored("sd15", mechanism, (0.0, 0.1)), "sd15", 3.0)
    assert change(plain, part) > 1e-3
    assert sum(rows for rows, _ in more) == sum(rows for rows, _ in plain_calls) + 1


@pytest.mark.parametrize(
    ("mechanism", "own", "cfg", "extra"),
    [
        (STATIC, False, 1.0, 1),
        (STATIC, False, 3.0, 1),
        (STATIC, True, 1.0, 1),
        (STATIC, True, 3.0, 0),
        (EMPTY, False, 3.0, 1),
        (EMPTY, False, 1.0, 2),
    ],
)
def test_it_costs_one_row_at_each_evaluation(mechanism: Any, own: bool, cfg: float, extra: int) -> None:
    """None where the sampler predicts with the negative anyway; one more for an empty prompt that it does not predict with."""
    _, plain = run_with_spy(model("sd15"), "sd15", cfg, sampler_name="heun")
    patched = scored("sd15", mechanism, negative=None) if own else scored("sd15", mechanism)
    _, calls = run_with_spy(patched, "sd15", cfg, sampler_name="heun")
    evaluations = sum(rows for rows, _ in plain) // (1 if cfg == 1.0 else 2)
    assert sum(rows for rows, _ in calls) == sum(rows for rows, _ in plain) + extra * evaluations


SAMPLERS = [name for name in comfy.samplers.SAMPLER_NAMES if name != "ar_video" and not name.endswith("_gpu")]
# One of each kind: one and two evaluations in a step, with noise, with a memory of earlier steps.
COMMON = ("euler", "heun", "dpmpp_2s_ancestral", "dpmpp_2m", "uni_pc")


@pytest.mark.parametrize("family", ["sd15", "sd3"])
@pytest.mark.parametrize("sampler", [name if name in COMMON else pytest.param(name, marks=pytest.mark.slow) for name in SAMPLERS])
def test_the_tracker_counts_the_solvers_steps(family: str, sampler: str) -> None:
    patched, counted = scored(family, DNG), []
    if (sampler, family) == ("dpm_adaptive", "sd15"):
        pytest.skip("it takes hundreds of evaluations; the other family has it")
    options = {"sampler_name": sampler, "steps": 5, "batch": 2}
    found = sample(patched, *prompts(family), 3.0, callback=lambda step, *_: counted.append(step), **options)
    report = last_report(patched)
    (curve,) = report.curves
    assert [step["step"] for step in curve["steps"]] == counted
    values = torch.tensor([step["posterior"] for step in curve["steps"]])
    assert values.shape == (len(counted), 2) and torch.isfinite(found).all()
    assert ((values >= 0) & (values <= 1)).all()
    if sampler not in ("dpm_fast", "dpm_adaptive"):
        sigmas = comfy.samplers.KSampler(model(family), 5, torch.device("cpu"), sampler=sampler, scheduler="simple").sigmas
        # SDE samplers take a flow model's first noise level a little below 1 (offset_first_sigma_for_snr in k_diffusion/sampling.py).
        torch.testing.assert_close(
            torch.tensor([step["sigma"] for step in curve["steps"]]), sigmas[: len(counted)].float(), rtol=1e-3, atol=0
        )


@pytest.mark.parametrize("sampler", ["heun", "dpm_2"])
def test_extra_evaluations_are_forgotten(sampler: str) -> None:
    """They are guided by the posterior of where they are, and the next step goes on from the last true one."""
    patched = scored("sd15", DNG)
    found = sample(patched, *prompts("sd15"), 3.0, sampler_name=sampler, steps=5)
    reference = Posterior(False, DNG, extra=True)
    guider = ThreePrompts(model("sd15"), *prompts("sd15"), unwanted("sd15"), 3.0, reference)
    sigmas = comfy.samplers.KSampler(model("sd15"), 5, torch.device("cpu"), sampler=sampler, scheduler="simple").sigmas
    expected = guider_sample(guider, sampler_name=sampler, sigmas=sigmas)
    posterior = [step["posterior"] for step in last_report(patched).curves[0]["steps"]]
    torch.testing.assert_close(torch.tensor(posterior), torch.tensor(reference.seen), rtol=1e-3, atol=1e-5)
    assert change(expected, found) < 1e-4 and torch.tensor(posterior).std() > 1e-3


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
@pytest.mark.parametrize("family", ["sd15", "sd3"])
def test_a_batch_is_its_pictures_one_by_one(family: str, mechanism: Any) -> None:
    patched = scored(family, mechanism)
    noise = torch.randn(3, *latent_for(patched).shape[1:], generator=torch.Generator().manual_seed(4))
    together = sample(patched, *prompts(family), 3.0, batch=3, noise=noise, steps=4)
    for i in range(3):
        alone = sample(patched, *prompts(family), 3.0, noise=noise[i : i + 1], steps=4)
        # SLD's mask jumps at its threshold, where rounding decides.
        assert change(alone, together[i : i + 1]) < (1e-2 if mechanism is SLD else 1e-4)


def test_runs_share_nothing() -> None:
    patched = scored("sd15", DNG)
    guider = cfg_guider(patched, *prompts("sd15"), 3.0)
    first, other, again = (guider_sample(guider, seed=seed, sampler_name="euler_ancestral", steps=4) for seed in (1, 2, 1))
    assert torch.equal(first, again) and change(first, other) > 0.05
    assert guider.model_options is guider.model_patcher.model_options
    assert not [key for key in getattr(guider, "conds", {}) if "avert" in key]


def test_the_rest_of_a_run_starts_at_the_prior() -> None:
    patched = scored("sd15", DNG)
    sample(patched, *prompts("sd15"), 3.0, steps=6, start_step=3, disable_noise=True, latent=torch.randn(1, 4, 16, 16))
    steps = last_report(patched).curves[0]["steps"]
    assert [step["step"] for step in steps] == [0, 1, 2]
    assert steps[0]["posterior"] == pytest.approx([DNG.prior])


def right_half() -> Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1
    return mask


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_inpainting(mechanism: Any) -> None:
    patched = scored("sd15", mechanism)
    known = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    for sampler in ("euler_ancestral", "heun"):
        found = sample(patched, *prompts("sd15"), 3.0, sampler_name=sampler, steps=5, noise_mask=right_half(), latent=known)
        torch.testing.assert_close(found[..., :8], known[..., :8], atol=1e-4, rtol=1e-4)
        assert [step["step"] for step in last_report(patched).curves[0]["steps"]] == [0, 1, 2, 3, 4]


def test_what_a_mask_keeps_is_no_evidence() -> None:
    patched = scored("sd15", DNG)
    options = {
        "sampler_name": "euler_ancestral",
        "steps": 5,
        "latent": torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)),
    }
    sample(patched, *prompts("sd15"), 3.0, noise_mask=right_half(), **options)
    posterior = [step["posterior"] for step in last_report(patched).curves[0]["steps"]]
    seen = {}
    for name, mask in (("free", right_half()), ("all", torch.ones(1, 1, 16, 16))):
        reference = Posterior(False, DNG, mask=mask)
        guider = ThreePrompts(model("sd15"), *prompts("sd15"), unwanted("sd15"), 3.0, reference)
        guider_sample(guider, denoise_mask=right_half(), **options)
        seen[name] = torch.tensor(reference.seen)
    torch.testing.assert_close(torch.tensor(posterior), seen["free"], rtol=1e-3, atol=1e-5)
    assert (seen["free"] - seen["all"]).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_half_precision_models(monkeypatch: pytest.MonkeyPatch, mechanism: Any, dtype: torch.dtype) -> None:
    patched = guide_score(in_precision(monkeypatch, "sd15", dtype, None), mechanism, unwanted("sd15"), (0.0, 1.0))
    found = sample(patched, *prompts("sd15"), 3.0, sampler_name="euler_ancestral", steps=4)
    assert torch.isfinite(found).all()
    for step in last_report(patched).curves[0]["steps"]:
        assert all(0 <= value <= 1 for value in step.get("posterior", []))
