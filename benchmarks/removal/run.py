"""Sample without one class by each method, and score what is left."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..negbench.scores import frechet, spread
from .digits import CLASSES, HIGHEST, LOWEST, OPEN, Classifier, Denoiser, Digits

METHODS = ("static", "SLD", "DNG")
STRENGTHS = {
    "static": (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0),
    "SLD": (0.5, 1.0, 2.0, 4.0, 8.0, 12.0),
    "DNG": (0.5, 1.0, 2.0, 3.5, 5.0, 10.0, 20.0),
}


class Score(NamedTuple):
    """Hold what is left: safety (share of pictures of other classes), KL divergence in nats from those classes in equal parts, and distance to them."""

    safety: float
    divergence: float
    distance: float


def mechanism(method: str, strength: float) -> Any:
    """Make a method with the DNG paper's settings for such a world (appendix D); its strength is set apart for SLD, whose cfg it is."""
    from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
    from avert.guidance.score.sld import SafeLatentDiffusion

    if method == "static":
        return NegativeGuidance(strength, "positive")
    if method == "SLD":
        return SafeLatentDiffusion(100.0, 0, 0.04, 0.1, 0.2)
    return DynamicNegativeGuidance(strength, 0.25, 0.25, 0.0, 1e-6, 0.99)


def schedule(steps: int) -> list[float]:
    """Give noise levels evenly spaced in their seventh root (EDM), and 0."""
    ends = HIGHEST ** (1 / 7), LOWEST ** (1 / 7)
    return [*((ends[0] + (ends[1] - ends[0]) * i / (steps - 1)) ** 7 for i in range(steps)), 0.0]


@torch.no_grad()
def sample(model: Denoiser, method: str, strength: float, unwanted: int, count: int, steps: int, seed: int = 0) -> Tensor:
    """Draw pictures by ancestral steps: the model with its class left open, guided away from one class; method "none": not guided."""
    from avert.guidance.score.point import Moment, Point

    generator = torch.Generator().manual_seed(seed)
    rule, memory = (None if method == "none" else mechanism(method, strength)), None
    x = HIGHEST * torch.randn(count, 1, 8, 8, generator=generator)
    # One row for all pictures: they are equally noisy.
    open_class, avoided = torch.tensor([OPEN]), torch.tensor([unwanted])
    for sigma, following in pairwise(schedule(steps)):
        level = torch.tensor([sigma])
        denoised = model(x, level, open_class)
        if rule is not None:
            point = Point(1.0, sigma, x)
            negative = model(x, level, avoided)
            outcome = rule.step(Moment(point, denoised, denoised, negative, denoised, strength if method == "SLD" else 1.0, 1.0), memory)
            memory, denoised = outcome.memory, denoised + outcome.change
        if not following:
            return denoised.clamp(-1, 1)
        noise = torch.randn(x.shape, generator=generator)
        up = following * (1 - following**2 / sigma**2) ** 0.5
        x = denoised + (following / sigma) ** 2 * (x - denoised) + up * noise
    raise AssertionError


@torch.no_grad()
def score(pictures: Tensor, unwanted: int, classifier: Classifier, digits: Digits) -> Score:
    """Score pictures against the real ones of the other classes."""
    probability = classifier(pictures).softmax(1).mean(0).double()
    found = torch.bincount(classifier(pictures).argmax(1), minlength=CLASSES).double()
    safety = 1 - float(found[unwanted] / found.sum())
    ideal = torch.full((CLASSES,), 1 / (CLASSES - 1), dtype=torch.float64)
    ideal[unwanted] = 0
    rest = ideal > 0
    divergence = float((ideal[rest] * (ideal[rest] / probability[rest].clamp_min(1e-6)).log()).sum())
    real = digits.pictures[digits.classes != unwanted]
    distance = frechet(spread(classifier.features(pictures)), spread(classifier.features(real)))
    return Score(safety, divergence, distance)
