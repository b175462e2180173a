"""A mixture of Gaussians on a line, where denoised predictions, posteriors and their diffusion are known exactly. In float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """Hold means, deviations and weights [N] of the modes; x: any shape; sigma: the noise level of x = x0 + sigma eps."""

    means: Tensor
    deviations: Tensor
    weights: Tensor

    @classmethod
    def of(cls, *modes: tuple[float, float, float]) -> Mixture:
        means, deviations, weights = torch.tensor(modes, dtype=torch.float64).T
        return cls(means, deviations, weights / weights.sum())

    def only(self, *modes: int) -> Mixture:
        """Give the mixture of some of the modes."""
        chosen = torch.tensor(modes)
        return Mixture(self.means[chosen], self.deviations[chosen], self.weights[chosen] / self.weights[chosen].sum())

    def log_parts(self, x: Tensor, sigma: float) -> Tensor:
        """Give log(weight * density) of every mode: x's shape and N."""
        variance = self.deviations**2 + sigma**2
        return self.weights.log() - 0.5 * (x[..., None] - self.means) ** 2 / variance - 0.5 * (2 * torch.pi * variance).log()

    def posteriors(self, x: Tensor, sigma: float) -> Tensor:
        """Give the probability of every mode."""
        return self.log_parts(x, sigma).softmax(-1)

    def denoised(self, x: Tensor, sigma: float) -> Tensor:
        """Give E[x0 | x]."""
        variance = self.deviations**2
        own = (self.means * sigma**2 + x[..., None] * variance) / (variance + sigma**2)
        return (self.posteriors(x, sigma) * own).sum(-1)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw samples [count]."""
        mode = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return self.means[mode] + self.deviations[mode] * torch.randn(count, generator=generator, dtype=torch.float64)


# The world of the DNG paper's figure 3; the first mode is unwanted.
WORLD = Mixture.of((-4.0, 0.4, 0.3), (0.0, 0.5, 0.4), (3.0, 0.6, 0.3))


def levels(steps: int, highest: float = 80.0, lowest: float = 0.02) -> list[float]:
    """Give noise levels evenly spaced in their logarithm, ending without noise."""
    return [*torch.logspace(math.log10(highest), math.log10(lowest), steps, dtype=torch.float64).tolist(), 0.0]
