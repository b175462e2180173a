"""Repeat the DNG paper's experiments on a line with the host's own samplers: what is left when the first mode is unwanted (figures 1 and 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from avert.host.guide import guide_score
from avert.host.install import last_report
from torch import Tensor

from mixture_model import exact_model, modes
from reference.mixture import WORLD, levels
from tiny import cfg_guider, guider_sample

# The paper's: true prior, no temperature, no offset.
DNG = DynamicNegativeGuidance(scale=1.0, prior=0.3, temperature=1.0, offset=0.0, min_posterior=1e-6, max_posterior=0.99)
LEFT = torch.tensor([0.0, 4 / 7, 3 / 7], dtype=torch.float64)


def schedule(kind: str, steps: int) -> Tensor:
    """The same noise levels for every kind of model; flow models count t = sigma / (1 + sigma)."""
    sigmas = torch.tensor(levels(steps), dtype=torch.float64)
    return (sigmas / (1 + sigmas) if kind == "flow" else sigmas).float()


def run(model: Any, kind: str, steps: int, count: int = 20_000, positive: Any = None, sampler: str = "euler_ancestral") -> Tensor:
    guider = cfg_guider(model, positive or modes())
    final = guider_sample(guider, sampler_name=sampler, sigmas=schedule(kind, steps), latent=torch.zeros(count, 1, 1, 1), seed=3)
    return final.double().flatten()


def shares(final: Tensor) -> Tensor:
    return WORLD.posteriors(final, 0.0).mean(0)


def avoiding(kind: str, mechanism: Any) -> Any:
    return guide_score(exact_model(kind), mechanism, modes(0), (0.0, 1.0))


@pytest.mark.parametrize("kind", ["eps", "v", "flow"])
def test_without_guidance_the_world_is_drawn_as_it_is(kind: str) -> None:
    torch.testing.assert_close(shares(run(exact_model(kind), kind, 100)), WORLD.weights, atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("kind", "steps", "within"),
    [("eps", 50, 0.06), ("v", 50, 0.06), ("flow", 50, 0.06), pytest.param("eps", 1000, 0.02, marks=pytest.mark.slow)],
)
def test_the_unwanted_mode_goes_and_the_others_keep_their_shares(kind: str, steps: int, within: float) -> None:
    found = shares(run(avoiding(kind, DNG), kind, steps))
    assert (found - LEFT).abs().max() <= within, found


def test_the_posterior_is_right_without_guidance() -> None:
    """Figure 3a: tracked but not used."""
    model = avoiding("eps", replace(DNG, scale=1e-12))
    seen: list[Tensor] = []
    guider = cfg_guider(model, modes())
    sigmas = schedule("eps", 1000)
    guider_sample(
        guider, sampler_name="euler_ancestral", sigmas=sigmas, latent=torch.zeros(4000, 1, 1, 1), seed=3,
        callback=lambda step, denoised, x, total: seen.append(x) if step == total - 1 else None,
    )  # fmt: skip
    tracked = torch.tensor(last_report(model).curves[0]["steps"][-1]["posterior"], dtype=torch.float64)
    exact = WORLD.posteriors(seen[0].double().flatten(), float(sigmas[-2]))[:, 0]
    assert (tracked - exact).abs().mean() < 0.02


def test_static_guidance_fails_as_in_the_paper() -> None:
    """It pushes away from everything near the unwanted mode: nearly all that is left is the farthest mode, and beyond."""
    final = run(avoiding("eps", NegativeGuidance(1.0, "positive")), "eps", 200)
    found = shares(final)
    assert found[2] > 0.9 and found[1] < 0.05
    assert (final > 3 + 4 * 0.6).double().mean() > 0.1


class Exact(DynamicNegativeGuidance):
    """DNG that is told the posterior."""

    def _posterior(self, moment: Any, before: Any) -> tuple[Tensor, dict[str, Tensor]]:
        point = moment.point
        return WORLD.log_parts(point.x.double().flatten() / point.signal, point.sigma).log_softmax(-1)[:, 0], {}


def test_all_kinds_of_models_agree() -> None:
    """The same noise levels and the same noise: what differs is how a network's answer is written."""
    finals = [run(avoiding(kind, DNG), kind, 20, 1000, sampler="euler") for kind in ("eps", "v", "flow")]
    for final in finals[1:]:
        assert (final - finals[0]).abs().median() < 1e-3


@pytest.mark.parametrize("kind", ["eps", "v", "flow"])
def test_with_the_exact_posterior_it_is_positive_guidance_on_the_rest(kind: str) -> None:
    """Equation 17."""
    left = run(avoiding(kind, Exact(1.0, 0.3, 1.0, 0.0, 1e-6, 0.99)), kind, 200, 4000)
    rest = run(exact_model(kind), kind, 200, 4000, positive=modes(1, 2))
    assert (left - rest).abs().max() < 1e-3
    assert (left - rest).abs().median() < 1e-5
