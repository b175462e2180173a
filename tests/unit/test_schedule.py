"""Pin when guidance is active: the start belongs to the window, the end does not, and 1 means the very end."""

import math

import pytest
from avert.guidance.schedule import Window


def flow(percent: float) -> float:
    """Translate as a flow model with shift 3 does: 0 is sigma 1, 1 is sigma 0."""
    time = 1.0 - percent
    return 3.0 * time / (1.0 + 2.0 * time)


def diffusion(percent: float) -> float:
    """Translate as the host's discrete models do: 0 is a number above every sigma, 1 is 0, between them exponential."""
    if percent <= 0.0:
        return 999999999.9
    return 0.0 if percent >= 1.0 else 14.6 * math.exp(-6.2 * percent)


TRANSLATIONS = [flow, diffusion]


@pytest.mark.parametrize("percent_to_sigma", TRANSLATIONS)
def test_the_default_is_always(percent_to_sigma):
    window = Window().sigmas(percent_to_sigma)
    for sigma in (percent_to_sigma(0.0), 1.0, 0.5, 0.03, 1e-6, 0.0):
        assert window.contains(sigma)


@pytest.mark.parametrize("percent_to_sigma", TRANSLATIONS)
def test_start_is_inclusive_and_end_exclusive(percent_to_sigma):
    window = Window(0.2, 0.6).sigmas(percent_to_sigma)
    start, end = percent_to_sigma(0.2), percent_to_sigma(0.6)
    assert window.contains(start) and window.contains(end * 1.0001) and window.contains((start + end) / 2)
    assert not window.contains(end) and not window.contains(start * 1.0001) and not window.contains(0.0)


@pytest.mark.parametrize("percent_to_sigma", TRANSLATIONS)
@pytest.mark.parametrize("cut", [0.25, 0.5, 0.9])
def test_adjacent_windows_share_no_step_and_miss_none(percent_to_sigma, cut):
    before, after = Window(0.0, cut).sigmas(percent_to_sigma), Window(cut, 1.0).sigmas(percent_to_sigma)
    for step in range(101):
        sigma = percent_to_sigma(step / 100)
        assert before.contains(sigma) != after.contains(sigma), step


@pytest.mark.parametrize("percent_to_sigma", TRANSLATIONS)
def test_end_percent_one_includes_the_last_step(percent_to_sigma):
    window = Window(0.5, 1.0).sigmas(percent_to_sigma)
    assert window.contains(0.0) and window.contains(percent_to_sigma(0.999))
    assert not Window(0.5, 0.999).sigmas(percent_to_sigma).contains(0.0)


@pytest.mark.parametrize("percent_to_sigma", TRANSLATIONS)
def test_start_percent_zero_includes_more_than_the_first_sigma(percent_to_sigma):
    """A sampler may begin above the sigma of percent 0 (an over-noised or exactly full start)."""
    assert Window(0.0, 0.5).sigmas(percent_to_sigma).contains(percent_to_sigma(0.0))
    assert Window(0.0, 0.5).sigmas(flow).contains(1.0)


def test_an_empty_window_holds_nothing():
    window = Window(0.4, 0.4).sigmas(flow)
    assert not any(window.contains(flow(step / 100)) for step in range(101))


@pytest.mark.parametrize(("start", "end"), [(0.6, 0.2), (-0.1, 1.0), (0.0, 1.1), (math.nan, 1.0), (0.0, math.nan)])
def test_bad_windows_are_refused(start, end):
    with pytest.raises(ValueError, match=r"(?i)percent"):
        Window(start, end)
