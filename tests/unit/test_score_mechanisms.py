"""Pin static negative guidance, Safe Latent Diffusion and Perp-Neg to their formulas, written here in noise predictions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from avert.guidance.score.perp_neg import PerpendicularGuidance, perpendicular
from avert.guidance.score.point import Moment, Point
from avert.guidance.score.sld import SafeLatentDiffusion

from tensors import normal

SHAPE, SIGMA, CFG = (3, 4, 5, 6), 2.0, 7.0
MEDIUM, STRONG = SafeLatentDiffusion(1000.0, 10, 0.01, 0.3, 0.4), SafeLatentDiffusion(2000.0, 7, 0.025, 0.5, 0.7)


def predictions(seed=0):
    return [normal(*SHAPE, seed=seed + i, dtype=torch.float64) for i in range(4)]


def at(signal=1.0, seed=0, cfg=CFG, progress=1.0, sigma=SIGMA) -> Moment:
    x, positive, negative, empty = predictions(seed)
    point = Point(signal, signal * sigma, signal * x)
    return Moment(point, empty + cfg * (positive - empty), positive, negative, empty, cfg, progress)


def eps(moment: Moment, denoised):
    return (moment.point.x / moment.point.signal - denoised) / SIGMA


def test_static_guidance_in_noise_predictions():
    moment = at()
    for reference in ("positive", "empty"):
        change = NegativeGuidance(1.7, reference).step(moment, None).change
        noise = eps(moment, moment.guided) - 1.7 * (eps(moment, moment.negative) - eps(moment, moment.reference(reference)))
        torch.testing.assert_close(moment.guided + change, moment.point.x - SIGMA * noise)


def released_sld(settings, moments):
    """Follow the authors' pipeline, written in its own terms: noise predictions and a momentum that goes from step to step."""
    momentum, results = torch.zeros(SHAPE, dtype=torch.float64), []
    for moment in moments:
        text, safety, empty = (eps(moment, value) for value in (moment.positive, moment.negative, moment.empty))
        guidance = text - empty
        scale = torch.clamp((text - safety).abs() * settings.guidance_scale, max=1.0)
        scale = torch.where(text - safety >= settings.threshold, torch.zeros_like(scale), scale)
        safe = (safety - empty) * scale + settings.momentum_scale * momentum
        momentum = settings.momentum_beta * momentum + (1 - settings.momentum_beta) * safe
        if moment.progress * 50 >= settings.warmup_steps:
            guidance = guidance - safe
        results.append(moment.point.x / moment.point.signal - SIGMA * (empty + moment.cfg * guidance))
    return results


@pytest.mark.parametrize("settings", [MEDIUM, STRONG, SafeLatentDiffusion(100.0, 0, 0.04, 0.1, 0.2)], ids=str)
@pytest.mark.parametrize("signal", [1.0, 0.4], ids=["VE", "flow"])
def test_safe_latent_diffusion_is_the_released_one(settings, signal):
    moments = [at(signal, seed=4 * i, progress=i / 10) for i in range(6)]
    memory = None
    for moment, expected in zip(moments, released_sld(settings, moments), strict=True):
        outcome = settings.step(moment, memory)
        memory = outcome.memory
        torch.testing.assert_close(moment.guided + outcome.change, expected)


def test_sld_without_threshold_is_static_guidance():
    settings, moment = SafeLatentDiffusion(1e9, 0, 1e9, 0.0, 0.0), at()
    expected = NegativeGuidance(CFG, "empty").step(moment, None).change
    torch.testing.assert_close(settings.step(moment, None).change, expected)


def test_sld_at_pure_noise_is_finite():
    moment = at()
    point = Point(0.0, 1.0, moment.point.x)
    pure = Moment(point, moment.guided, moment.positive, moment.negative, moment.empty, CFG, 1.0)
    outcome = MEDIUM.step(pure, None)
    assert torch.isfinite(outcome.change).all() and (outcome.change == 0).all()


def test_perpendicular():
    vector, to = normal(*SHAPE, dtype=torch.float64), normal(*SHAPE, seed=1, dtype=torch.float64)
    across = perpendicular(vector, to)
    for v, t, a in zip(vector, to, across, strict=True):
        assert (a * t).sum().abs() < 1e-9
        torch.testing.assert_close(a, v - (v * t).sum() / (t * t).sum() * t)
    assert torch.equal(perpendicular(vector, torch.zeros_like(to)), vector)
    assert perpendicular(3 * to, to).abs().max() < 1e-12


def test_perp_neg():
    """D = D_0 + cfg (pos - w perp), each sample for itself."""
    moment = at()
    change = PerpendicularGuidance(0.8).step(moment, None).change
    for row in range(SHAPE[0]):
        positive, negative = (value[row] - moment.empty[row] for value in (moment.positive, moment.negative))
        across = negative - (negative * positive).sum() / positive.square().sum() * positive
        torch.testing.assert_close((moment.guided + change)[row], moment.empty[row] + CFG * (positive - 0.8 * across))


@pytest.mark.parametrize(
    "settings",
    [
        NegativeGuidance(1.5, "positive"),
        DynamicNegativeGuidance(27.0, 0.01, 0.2, 2.0, 1e-6, 0.99, "empty"),
        MEDIUM,
        PerpendicularGuidance(1.0),
    ],
    ids=lambda settings: settings.name,
)
def test_each_sample_is_guided_for_itself(settings):
    first, second = at(seed=0, sigma=3.0), at(seed=9)
    memory = settings.step(first, None).memory
    together = settings.step(second, memory)

    def row(moment, i):
        part = slice(i, i + 1)
        point = Point(moment.point.signal, moment.point.noise, moment.point.x[part])
        values = (value[part] for value in (moment.guided, moment.positive, moment.negative, moment.empty))
        return Moment(point, *values, moment.cfg, moment.progress)

    for i in range(SHAPE[0]):
        alone = settings.step(row(second, i), settings.step(row(first, i), None).memory)
        torch.testing.assert_close(alone.change, together.change[i : i + 1])


def test_neutral():
    assert NegativeGuidance(0.0).neutral and PerpendicularGuidance(0.0).neutral
    assert DynamicNegativeGuidance(0.0, 0.3, 1.0, 0.0, 1e-6, 0.99).neutral
    assert SafeLatentDiffusion(0.9, 0, 0.01, 0.0, 0.0).neutral and not MEDIUM.neutral


@pytest.mark.parametrize("settings", [MEDIUM, DynamicNegativeGuidance(4.0, 0.3, 0.01, 1.0, 1e-6, 0.9)], ids=str)
def test_a_new_negative_starts_without_the_old_ones_memory(settings):
    """Of three pictures the second has another negative since the last step; it is guided as one that has only begun."""
    first, second = at(sigma=4.0), at(seed=4)
    memory = settings.step(first, None).memory
    kept, begun = settings.step(second, memory), settings.step(second, None)
    found = settings.step(replace(second, fresh=torch.tensor([False, True, False])), memory)
    for picture, expected in enumerate((kept, begun, kept)):
        torch.testing.assert_close(found.change[picture], expected.change[picture])
    assert not torch.allclose(kept.change[1], begun.change[1])
