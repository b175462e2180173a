"""The scores' mathematics, on what the judge says: pure torch, no model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Judged(NamedTuple):
    """Hold what the judge says of N pictures: seen, bool [N, labels], and features, float64 [N, F]."""

    seen: Tensor
    features: Tensor


class Spread(NamedTuple):
    """Hold mean [F] and covariance [F, F] of features."""

    mean: Tensor
    covariance: Tensor


def shows(seen: Tensor, labels: Sequence[int]) -> Tensor:
    """Tell of every picture whether its label is seen, bool [N]."""
    return seen[torch.arange(len(labels)), torch.tensor(labels, dtype=torch.long)]


def all_gone(seen: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """Tell of every picture whether none of its targets is seen, bool [N]."""
    return torch.tensor([not bool(row[list(labels)].any()) for row, labels in zip(seen, targets, strict=True)], dtype=torch.bool)


def share(yes: Tensor, where: Sequence[bool] | None = None) -> float:
    """Give the share of pictures of which something holds (of those in `where`); NaN of none at all."""
    chosen = yes if where is None else yes[torch.tensor(list(where), dtype=torch.bool)]
    return float(chosen.double().mean()) if chosen.numel() else float("nan")


def spread(features: Tensor) -> Spread:
    """Measure mean and unbiased covariance of features [N, F], in float64."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return Spread(mean, centred.T @ centred / max(1, len(features) - 1))


def frechet(a: Spread, b: Spread) -> float:
    """Give the Frechet distance of two Gaussians: |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)."""
    root = _root(a.covariance)
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp_min(0).sqrt().sum()
    trace = a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(0.0, float((a.mean - b.mean).square().sum() + trace))


def _root(matrix: Tensor) -> Tensor:
    """Give the square root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def saturation(pictures: Tensor) -> Tensor:
    """Give each picture's mean HSV saturation, (max - min) / max of a pixel's channels; pictures: uint8 [N, 3, H, W]."""
    high, low = pictures.amax(1).double(), pictures.amin(1).double()
    return ((high - low) / high.clamp_min(1)).mean((1, 2))


def clipped(pictures: Tensor) -> Tensor:
    """Give each picture's share of pixels of which a channel is at an end of its range; pictures: uint8 [N, 3, H, W]."""
    return ((pictures == 0) | (pictures == 255)).any(1).double().mean((1, 2))


def pixel_change(pictures: Tensor, reference: Tensor) -> Tensor:
    """Give each picture's mean absolute difference, as a share of the range; uint8 [N, 3, H, W]."""
    return (pictures.double() - reference.double()).abs().mean((1, 2, 3)) / 255


def content_changed(seen: Tensor, reference: Tensor) -> Tensor:
    """Tell of every picture whether the judge sees any label more or less, bool [N]."""
    return (seen != reference).any(1)


def likeness(features: Tensor, reference: Tensor, centre: Tensor) -> Tensor:
    """Give the cosine of each pair of features, both taken from `centre`, [N]: in place of the DNG paper's CLIP score between pictures."""
    return torch.nn.functional.cosine_similarity(features - centre, reference - centre, dim=1)


def q_metric(unrelated: Tensor, related: Tensor) -> float:
    """Give Q of the DNG paper (equation 22): mean likeness to the unguided picture with an unrelated negative, less that with a related one."""
    return float(unrelated.mean() - related.mean())


def best_negative(points: Sequence[tuple[float, float]], positive: float) -> float:
    """Give the highest negative score that a curve reaches at a positive score of at least `positive`; NaN if it never has that.

    points: (positive, negative) in the order of rising strength; between two of them the curve is a straight line.
    """
    found = [n for p, n in points if p >= positive]
    for (p, n), (next_p, next_n) in pairwise(points):
        if (p - positive) * (next_p - positive) < 0:
            found.append(n + (next_n - n) * (p - positive) / (p - next_p))
    return max(found, default=float("nan"))
