"""Turn pictures into latents and back: the tiny autoencoder that ComfyUI knows as TAESD, with its keys, so that one file serves both.

Source: comfy/taesd/taesd.py. Eight pixels to a side make one latent cell of 16 channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import CHANNELS, LATENT

WIDTH = 64


def _conv(channels: int, out_channels: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=bias)


class Clamp(nn.Module):
    """Keep latents within (-3, 3), smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class Block(nn.Module):
    """Three convolutions with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


def _encoder() -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, WIDTH), Block()]
    for _ in range(3):
        layers += [_conv(WIDTH, WIDTH, stride=2, bias=False), Block(), Block(), Block()]
    return nn.Sequential(*layers, _conv(WIDTH, CHANNELS))


def _decoder() -> nn.Sequential:
    layers: list[nn.Module] = [Clamp(), _conv(CHANNELS, WIDTH), nn.ReLU()]
    for _ in range(3):
        layers += [Block(), Block(), Block(), nn.Upsample(scale_factor=2), _conv(WIDTH, WIDTH, bias=False)]
    return nn.Sequential(*layers, Block(), _conv(WIDTH, 3))


class Autoencoder(nn.Module):
    """Encode pictures [B, 3, H, W] in [-1, 1] to latents [B, 16, H/8, W/8] in the scale of SD3's autoencoder, and decode them.

    Inside, latents have mean 0 and deviation 1: z = inside / vae_scale + vae_shift.
    """

    vae_scale: Tensor
    vae_shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.taesd_encoder, self.taesd_decoder = _encoder(), _decoder()
        self.register_buffer("vae_scale", torch.tensor(LATENT["scale"]))
        self.register_buffer("vae_shift", torch.tensor(LATENT["shift"]))

    def initialise(self) -> None:
        """Draw weights to train from: He's for rectified layers, and every block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Block):
                nn.init.zeros_(module.conv[4].weight)  # type: ignore[arg-type]

    def encode(self, pictures: Tensor) -> Tensor:
        return self.taesd_encoder(pictures * 0.5 + 0.5) / self.vae_scale + self.vae_shift

    def decode(self, latents: Tensor) -> Tensor:
        return (self.taesd_decoder((latents - self.vae_shift) * self.vae_scale) - 0.5) * 2
