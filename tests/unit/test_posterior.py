"""Pin DNG's posterior to the paper's equations 10, 12 and 17 and to a mixture of Gaussians, where it is known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from avert.guidance.score.combine import DynamicNegativeGuidance, Tracked
from avert.guidance.score.point import Moment, Point
from avert.guidance.score.posterior import Bounds, evidence, noisiness, odds, offset_course, paper_offset

from reference.mixture import WORLD, Mixture, levels
from tensors import normal

DNG = DynamicNegativeGuidance(scale=1.0, prior=0.3, temperature=1.0, offset=0.0, min_posterior=1e-6, max_posterior=0.99)
SHAPE = (3, 4, 5, 6)


def ve(x, sigma):
    return Point(1.0, float(sigma), x)


def scaled(point: Point, signal: float) -> Point:
    """Give the same picture as other models hold it: VP and flow differ from VE by a factor alone."""
    return Point(point.signal * signal, point.noise * signal, point.x * signal)


def step(before: Point, sigma: float, denoised, noise):
    """Take an ancestral step, written from the DDPM posterior's mean and variance."""
    now = before.noise
    mean = denoised + (sigma / now) ** 2 * (before.x - denoised)
    return ve(mean + math.sqrt(sigma**2 * (now**2 - sigma**2) / now**2) * noise, sigma)


def moment(point, positive, negative, **more):
    return Moment(point, positive, positive, negative, None, 1.0, **more)


@pytest.fixture
def one_step():
    before = ve(normal(*SHAPE, dtype=torch.float64, scale=3.0), 3.0)
    reference, negative = normal(*SHAPE, seed=1, dtype=torch.float64), normal(*SHAPE, seed=2, dtype=torch.float64)
    return before, step(before, 2.0, reference, normal(*SHAPE, seed=3, dtype=torch.float64)), reference, negative


def test_evidence_is_the_difference_of_squares(one_step):
    """Equation 12, with mean and variance of equation 2 in this scale."""
    before, now, reference, negative = one_step
    rho = (2.0 / 3.0) ** 2
    variance = 2.0**2 * (1 - rho)

    def square(denoised):
        return (now.x - (denoised + rho * (before.x - denoised))).square().flatten(1).sum(1)

    torch.testing.assert_close(evidence(before, now, reference, negative), -(square(negative) - square(reference)) / (2 * variance))


@pytest.mark.parametrize(("first", "second"), [(0.25, 0.6), (1 / math.sqrt(10), 1 / math.sqrt(5))], ids=["flow", "VP"])
def test_evidence_does_not_depend_on_how_the_picture_is_scaled(one_step, first, second):
    before, now, reference, negative = one_step
    torch.testing.assert_close(
        evidence(scaled(before, first), scaled(now, second), reference, negative), evidence(before, now, reference, negative)
    )


def test_the_first_step_of_a_flow_model_starts_without_signal(one_step):
    """As the limit of ever more noise."""
    _, now, reference, negative = one_step
    noise = normal(*SHAPE, seed=5, dtype=torch.float64)
    pure, nearly = Point(0.0, 1.0, noise), Point(1e-7, 1.0, noise)
    found = evidence(pure, now, reference, negative)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, evidence(nearly, now, reference, negative), rtol=1e-5, atol=1e-5)


def test_masked_elements_do_not_count(one_step):
    before, now, reference, negative = one_step
    weight = torch.zeros(1, 1, *SHAPE[2:], dtype=torch.float64)
    weight[..., :3] = 1
    cut = [Point(p.signal, p.noise, p.x[..., :3]) for p in (before, now)]
    torch.testing.assert_close(evidence(before, now, reference, negative, weight), evidence(*cut, reference[..., :3], negative[..., :3]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_predictions(one_step, dtype):
    before, now, reference, negative = one_step
    points = [Point(p.signal, p.noise, p.x.to(dtype)) for p in (before, now)]
    found = evidence(*points, reference.to(dtype), negative.to(dtype))
    assert found.dtype == torch.float32
    wide = [Point(p.signal, p.noise, p.x.double()) for p in points]
    torch.testing.assert_close(
        found.double(), evidence(*wide, reference.to(dtype).double(), negative.to(dtype).double()), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("sigma", [2.0, 0.3, 0.05])
def test_dynamic_negative_guidance_is_positive_guidance_on_the_rest(sigma):
    """Equation 17, for any scale."""
    x = torch.linspace(-6, 6, 201, dtype=torch.float64)
    whole, unwanted, rest = WORLD.denoised(x, sigma), WORLD.only(0).denoised(x, sigma), WORLD.only(1, 2).denoised(x, sigma)
    posterior = WORLD.posteriors(x, sigma)[:, 0]
    inside = (posterior > 1e-12) & (posterior < 1 - 1e-9)
    guided = whole - 2.5 * odds(posterior.log()) * (unwanted - whole)
    torch.testing.assert_close(guided[inside], (whole + 2.5 * (rest - whole))[inside], rtol=1e-6, atol=1e-6)


def test_odds():
    p = torch.tensor([1e-30, 1e-6, 0.2, 0.5, 0.99, 0.9999], dtype=torch.float64)
    torch.testing.assert_close(odds(p.log()), p / (1 - p))


def test_bounds():
    log = Bounds(0.01, 0.9).clamp(torch.tensor([-1e9, math.log(0.5), 3.0]))
    torch.testing.assert_close(log.exp(), torch.tensor([0.01, 0.5, 0.9]))


@pytest.mark.parametrize("steps", [4, 20, 137])
@pytest.mark.parametrize("kind", ["even in the logarithm", "late", "flow"])
def test_an_offset_is_what_a_whole_run_adds(steps, kind):
    """Whatever the scheduler and the number of steps, and however the model scales its pictures; and the same at the same place."""
    settings = DynamicNegativeGuidance(1.0, 0.01, 1.0, 2.5, 1e-9, 0.99)
    sigmas = {"late": [80.0, *levels(steps, 0.5)[:-1]]}.get(kind, levels(steps, lowest=0.01)[:-1])
    memory, same = None, torch.ones(1, 1, dtype=torch.float64)
    for sigma in [*sigmas, 0.3, 0.01] if kind == "late" else sigmas:
        point = Point(1 / (1 + sigma), sigma / (1 + sigma), same) if kind == "flow" else ve(same, sigma)
        if memory is not None and not point.below(memory.point):
            continue
        # Both predictions alike: nothing but the offset moves the posterior.
        memory = settings.step(moment(point, same, same), memory).memory
        assert memory.log_posterior.item() == pytest.approx(math.log(0.01) + 2.5 * offset_course(sigma), rel=1e-5)
    assert memory.log_posterior.item() == pytest.approx(math.log(0.01) + 2.5, rel=1e-5)


def test_the_offset_takes_the_papers_course():
    """delta / (2 beta~_t) of algorithm 2 over 50 steps of Stable Diffusion's schedule, written from DDPM's own quantities."""
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    times = [20 * i + 1 for i in reversed(range(50))]
    gained = 0.0
    for t, s in zip(times, times[1:], strict=False):
        gained += 0.004 / (2 * (1 - kept[s]) / (1 - kept[t]) * (1 - kept[t] / kept[s])).item()
        sigma = ((1 - kept[s]) / kept[s]).sqrt().item()
        assert paper_offset(0.004) * offset_course(sigma) == pytest.approx(gained, rel=1e-6)
    assert paper_offset(0.004) == pytest.approx(gained) == pytest.approx(3.07, abs=0.01)
    assert offset_course(math.inf) == 0 and offset_course(0.0) == 1


def track(settings, world: Mixture, unwanted: Mixture, x, schedule, seed=0):
    """Run the ancestral sampler on an exact mixture; x [B, 1]."""
    generator = torch.Generator().manual_seed(seed)
    memory, point = None, ve(x, schedule[0])
    for sigma, following in zip(schedule, schedule[1:], strict=False):
        outcome = settings.step(moment(point, world.denoised(point.x, sigma), unwanted.denoised(point.x, sigma)), memory)
        memory, denoised = outcome.memory, world.denoised(point.x, sigma) + outcome.change
        if not following:
            return denoised, memory
        point = step(point, following, denoised, torch.randn(x.shape, generator=generator, dtype=x.dtype))
    raise AssertionError


def start(count, highest=80.0):
    generator = torch.Generator().manual_seed(7)
    return WORLD.draw(count, generator)[:, None] + highest * torch.randn(count, 1, generator=generator, dtype=torch.float64)


def test_the_tracked_posterior_is_the_exact_one():
    """Figure 3a: without guidance, the finer the steps the closer."""
    errors = []
    for steps in (50, 200, 1000):
        schedule = levels(steps)
        settings = DynamicNegativeGuidance(0.0, 0.3, 1.0, 0.0, 1e-6, 0.99)
        _, memory = track(settings, WORLD, WORLD.only(0), start(4000), schedule)
        exact = WORLD.posteriors(memory.point.x, schedule[-2])[:, 0, 0]
        errors.append((memory.log_posterior.exp() - exact).abs().mean().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


def test_the_unwanted_mode_goes_and_the_others_keep_their_shares():
    """Figures 1 and 3b: [0, .571, .429] is left; without guidance [.3, .4, .3]."""
    final, _ = track(DNG, WORLD, WORLD.only(0), start(6000), levels(1000))
    shares = WORLD.posteriors(final, 0.0).mean((0, 1))
    torch.testing.assert_close(shares, torch.tensor([0.0, 4 / 7, 3 / 7], dtype=torch.float64), atol=0.02, rtol=0)


def test_each_sample_has_a_posterior_of_its_own():
    x, schedule = start(8), levels(12)
    x2, sigma = x + 0.1, schedule[0]
    together = DNG.step(moment(ve(x, sigma), x, -x), None)
    together = DNG.step(moment(ve(x2, schedule[1]), x2, -x2), together.memory)
    for row in range(8):
        part = slice(row, row + 1)
        memory = DNG.step(moment(ve(x[part], sigma), x[part], -x[part]), None).memory
        alone = DNG.step(moment(ve(x2[part], schedule[1]), x2[part], -x2[part]), memory)
        torch.testing.assert_close(alone.change, together.change[part])
        torch.testing.assert_close(alone.numbers["posterior"], together.numbers["posterior"][part])


def test_the_first_evaluation_has_the_prior():
    x = start(3)
    outcome = DNG.step(moment(ve(x, 5.0), x, -x), None)
    torch.testing.assert_close(outcome.numbers["posterior"], torch.full((3,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(outcome.change, -0.3 / 0.7 * (-2 * x), rtol=1e-6, atol=1e-5)


def test_a_repeated_noise_level_changes_nothing_and_a_higher_one_starts_again():
    x = start(3)
    known = Tracked(ve(x, 5.0), x, -x, x, torch.full((3,), math.log(0.7), dtype=torch.float64))
    again = DNG.step(moment(ve(x + 1, 5.0), x, -x), known)
    torch.testing.assert_close(again.numbers["posterior"], torch.full((3,), 0.7, dtype=torch.float64))
    restarted = DNG.step(moment(ve(x + 1, 9.0), x, -x), known)
    torch.testing.assert_close(restarted.numbers["posterior"], torch.full((3,), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("extreme", [1e4, -1e4, float("inf")])
def test_the_posterior_stays_in_its_bounds(extreme):
    x = start(3)
    known = Tracked(ve(x, 5.0), x, x, x, torch.full((3,), math.log(0.7), dtype=torch.float64))
    settings = DynamicNegativeGuidance(27.0, 0.3, 1.0, extreme if math.isfinite(extreme) else 1e30, 1e-6, 0.99)
    found = settings.step(moment(ve(x, 4.0), x, x), known)
    assert ((found.numbers["posterior"] >= 1e-6 * 0.999) & (found.numbers["posterior"] <= 0.991)).all()
    assert torch.isfinite(found.change).all()


def test_noisiness_tells_ancestral_from_deterministic_steps():
    x, denoised = normal(3, 16, 32, 32, scale=5.0), normal(3, 16, 32, 32, seed=1)
    before = ve(x, 5.0)
    noisy = step(before, 3.0, denoised, normal(3, 16, 32, 32, seed=2))
    torch.testing.assert_close(noisiness(before, noisy, denoised), torch.ones(3, dtype=torch.float64), atol=0.05, rtol=0)
    half = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    half[..., :3] = 1
    mixed = ve(torch.where(half > 0, noisy.x, x), 3.0)
    torch.testing.assert_close(noisiness(before, mixed, denoised, half), torch.ones(3, dtype=torch.float64), atol=0.15, rtol=0)
    euler = ve(denoised + 3.0 / 5.0 * (x - denoised), 3.0)
    assert (noisiness(before, euler, denoised) < 1e-3).all()
