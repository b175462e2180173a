"""Sample the few-step model as the host's KSampler does with "euler" and "simple", guided or not, without a host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import CHANNELS, LATENT, MULTIPLIER, PICTURE, SHIFT
from .config import DOWNSCALE as CELL
from .guided_attention import Guide, GuidedAttention
from .mmdit import MMDiT
from .text_encoder import TextEncoder
from .tokenizer import padded

TIMESTEPS = 1000


@dataclass(frozen=True)
class Settings:
    """Say how to sample; `cfg` 1 needs no `empty` prompt and evaluates the model once per step."""

    steps: int = 8
    seed: int = 0
    batch: int = 1
    height: int = PICTURE
    width: int = PICTURE
    cfg: float = 1.0
    shift: float = SHIFT


@dataclass(frozen=True)
class Sampled:
    """Hold what came out: latents [B, 16, h, w] for the autoencoder, and for each step the share of attention on the negatives.

    maps: [steps, B, h, w]; zero in steps that were not guided, None if none was.
    """

    latents: Tensor
    maps: Tensor | None


def shifted(time: Tensor, shift: float) -> Tensor:
    """Move noise levels towards noise: shift t / (1 + (shift - 1) t)."""
    return shift * time / (1 + (shift - 1) * time)


def sigmas(steps: int, shift: float = SHIFT) -> Tensor:
    """Give the host's "simple" schedule: steps + 1 noise levels from 1 to 0."""
    table = shifted(torch.arange(1, TIMESTEPS + 1) / TIMESTEPS, shift)
    chosen = [float(table[-(1 + int(i * TIMESTEPS / steps))]) for i in range(steps)]
    return torch.tensor([*chosen, 0.0])


def starting_noise(settings: Settings) -> Tensor:
    """Draw the noise that the host draws for a seed."""
    shape = (settings.batch, CHANNELS, settings.height // CELL, settings.width // CELL)
    return torch.randn(shape, generator=torch.Generator().manual_seed(settings.seed))


def prompt(text_encoder: TextEncoder, text: str) -> Tensor:
    """Encode a prompt as the host's CLIP Text Encode does, padding included: [1, 24, 128]."""
    return text_encoder(torch.tensor([padded(text)], device=next(text_encoder.parameters()).device))


@torch.no_grad()
def sample(
    model: MMDiT, positive: Tensor, guides: Sequence[Guide] = (), settings: Settings | None = None, empty: Tensor | None = None
) -> Sampled:
    """Sample pictures for a prompt [1 or B, L, 128], away from what the guides avoid.

    empty: with a cfg other than 1, the prompt that the host calls negative; it is never guided.
    """
    settings = settings or Settings()
    if settings.cfg != 1 and empty is None:
        raise ValueError("A cfg other than 1 needs a second prompt to compare with; give `empty`, the encoding of no text.")
    x = starting_noise(settings).to(positive)
    context = positive.expand(settings.batch, -1, -1)
    levels, maps = sigmas(settings.steps, settings.shift), []
    for now, after in zip(levels, levels[1:], strict=False):
        velocity, shares = _guided(model, x, now, context, _due(guides, float(now), settings.shift))
        if empty is not None and settings.cfg != 1:
            plain = model(x, _timesteps(x, now), empty.expand(settings.batch, -1, -1))
            velocity = plain + settings.cfg * (velocity - plain)
        x = x + velocity * float(after - now)
        maps.append(shares)
    return Sampled(x / LATENT["scale"] + LATENT["shift"], _joined(maps))


def _timesteps(x: Tensor, sigma: Tensor) -> Tensor:
    return (sigma * MULTIPLIER).to(x.device).expand(x.shape[0])


def _due(guides: Sequence[Guide], sigma: float, shift: float) -> list[Guide]:
    """List the guides that act at this noise level."""

    def to_sigma(percent: float) -> float:
        return float(shifted(torch.tensor(1.0 - percent, dtype=torch.float64), shift))

    return [guide for guide in guides if not guide.idle and guide.window.sigmas(to_sigma).contains(sigma)]


def _guided(model: MMDiT, x: Tensor, sigma: Tensor, context: Tensor, guides: Sequence[Guide]) -> tuple[Tensor, Tensor | None]:
    """Predict the velocity, and the map of attention to the negatives [B, h, w], None without any."""
    if not guides:
        return model(x, _timesteps(x, sigma), context), None
    height, width = x.shape[-2:]
    attention = GuidedAttention(context, height * width, guides)
    velocity = model(x, _timesteps(x, sigma), attention.text, attention)
    shares = attention.share_map()
    return velocity, None if shares is None else shares.unflatten(1, (height, width))


def _joined(maps: Sequence[Tensor | None]) -> Tensor | None:
    """Stack the steps' maps; a step without one has looked at no negative."""
    known = next((shares for shares in maps if shares is not None), None)
    return None if known is None else torch.stack([torch.zeros_like(known) if shares is None else shares for shares in maps])
