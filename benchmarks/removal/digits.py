"""The digits that ship inside scikit-learn, a small diffusion model of them that can leave the class open, and a classifier. Trained in a minute."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES, OPEN, PIXELS = 10, 10, 64
HIGHEST, LOWEST = 20.0, 0.03


class Digits(NamedTuple):
    """Hold pictures [N, 1, 8, 8] in [-1, 1] and their classes [N]."""

    pictures: Tensor
    classes: Tensor


def load_digits() -> Digits:
    """Read the 1797 pictures."""
    from sklearn.datasets import load_digits as load

    data = load()
    return Digits(torch.tensor(data.images, dtype=torch.float32)[:, None] / 8 - 1, torch.tensor(data.target))


class Denoiser(nn.Module):
    """Predict the clean picture from a noisy one (x = x0 + sigma noise) and its class, or `OPEN`: EDM's scalings around an MLP."""

    def __init__(self, width: int = 512, depth: int = 4) -> None:
        super().__init__()
        self.classes = nn.Embedding(CLASSES + 1, width)
        self.level = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.first = nn.Linear(PIXELS, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(depth)
        )
        self.shifts = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, PIXELS))

    def forward(self, x: Tensor, sigma: Tensor, classes: Tensor) -> Tensor:
        """x: [B, 1, 8, 8]; sigma, classes: [B], or [1] for all alike."""
        scale = 0.5 / (sigma**2 + 0.25).sqrt()
        angles = sigma.log()[:, None] / 4 * 2 ** torch.arange(16)
        told = functional.silu(self.level(torch.cat([angles.sin(), angles.cos()], 1)) + self.classes(classes))
        h = self.first(x.flatten(1) * (2 * scale)[:, None])
        for block, shift in zip(self.blocks, self.shifts, strict=True):
            h = h + block(h + shift(told))
        kept = (0.25 / (sigma**2 + 0.25))[:, None]
        return (kept * x.flatten(1) + (sigma * scale)[:, None] * self.last(h)).view_as(x)


class Classifier(nn.Module):
    """Tell the class, from features [B, 64] that distances are measured in."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(1024, 64),
            nn.SiLU(),
        )
        self.last = nn.Linear(64, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.last(self.features(pictures))


def train_denoiser(digits: Digits, steps: int = 6000, batch: int = 256, seed: int = 1) -> Denoiser:
    """Train with the class left open in a third of the cases; loss: EDM's."""
    torch.manual_seed(seed)
    model = Denoiser()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    course = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.05)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
    for _ in range(steps):
        rows = torch.randint(len(digits.classes), (batch,))
        clean = digits.pictures[rows]
        classes = torch.where(torch.rand(batch) < 1 / 3, torch.full((batch,), OPEN), digits.classes[rows])
        sigma = torch.exp(torch.randn(batch) * 1.4 - 0.7).clamp(LOWEST, HIGHEST)
        noisy = clean + sigma.view(-1, 1, 1, 1) * torch.randn_like(clean)
        weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        loss = (weight.view(-1, 1, 1, 1) * (model(noisy, sigma, classes) - clean).square()).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        course.step()
        average.update_parameters(model)
    trained: Denoiser = average.module
    return trained.eval().requires_grad_(False)


def train_classifier(digits: Digits, steps: int = 1500, batch: int = 128, seed: int = 2) -> tuple[Classifier, float]:
    """Train on four fifths of the pictures, with a little noise; return it with its accuracy on the rest."""
    torch.manual_seed(seed)
    order = torch.randperm(len(digits.classes))
    train, rest = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
    model = Classifier()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    for _ in range(steps):
        rows = train[torch.randint(len(train), (batch,))]
        pictures = digits.pictures[rows] + 0.2 * torch.rand(batch, 1, 1, 1) * torch.randn(batch, 1, 8, 8)
        loss = functional.cross_entropy(model(pictures), digits.classes[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval().requires_grad_(False)
    return model, float((model(digits.pictures[rest]).argmax(1) == digits.classes[rest]).float().mean())
