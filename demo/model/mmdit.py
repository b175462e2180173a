"""The few-step model: an MMDiT equal to the host's SD3 (comfy/ldm/modules/diffusionmodules/mmdit.py) for our configuration, with its keys.

Text and image have weights of their own and one attention over [text, image].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from .config import CHANNELS, MMDIT, TEXT_WIDTH

HEAD = 64
FREQUENCIES = 256
EPS = 1e-6

# (q, k, v, layer) -> attended, all [B, H, text + image, D]
JointAttention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def plain_attention(q: Tensor, k: Tensor, v: Tensor, layer: int) -> Tensor:
    """Attend without guidance."""
    return scaled_dot_product_attention(q, k, v)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Give x * (1 + scale) + shift for x [B, L, C] and shift, scale [B, C]."""
    return torch.addcmul(shift[:, None], x, 1 + scale[:, None])


def time_frequencies(timesteps: Tensor) -> Tensor:
    """Give cosines and sines [B, 256] of timesteps [B]."""
    half = FREQUENCIES // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * rates
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def position_table(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Give sines and cosines [height * width, channels] of positions; the shorter side runs from 0 to 15 about 7.5, whatever the size."""

    def waves(positions: Tensor) -> Tensor:
        rates = 10000 ** -(torch.arange(channels // 4, device=device, dtype=torch.float32) / (channels / 4))
        angles = positions.reshape(-1, 1) * rates
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)

    small = min(height, width)
    sides = [torch.linspace(7.5 - 7.5 * side / small, 7.5 + 7.5 * side / small, side, device=device) for side in (height, width)]
    rows, columns = torch.meshgrid(*sides, indexing="ij")
    return torch.cat([waves(columns), waves(rows)], dim=1)


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * self.weight


class SelfAttention(nn.Module):
    """Hold the projections of one stream; the attention itself is over both."""

    def __init__(self, width: int, pre_only: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        if not pre_only:
            self.proj = nn.Linear(width, width)
        self.ln_q = RMSNorm(HEAD)
        self.ln_k = RMSNorm(HEAD)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries, keys and values [B, H, L, D]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, HEAD)).unbind(2)
        return self.ln_q(q).transpose(1, 2), self.ln_k(k).transpose(1, 2), v.transpose(1, 2)


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x), approximate="tanh"))


class StreamBlock(nn.Module):
    """Transform one stream, modulated by the time; `pre_only`: it gives queries, keys and values only (the text, in the last block)."""

    def __init__(self, width: int, pre_only: bool) -> None:
        super().__init__()
        self.pre_only = pre_only
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=EPS)
        self.attn = SelfAttention(width, pre_only)
        if not pre_only:
            self.mlp = Mlp(width, int(width * MMDIT["mlp_ratio"]))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, (2 if pre_only else 6) * width))

    def before(self, x: Tensor, time: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
        """Give (q, k, v), and what `after` needs of the modulation."""
        shift, scale, *rest = self.adaLN_modulation(time).chunk(2 if self.pre_only else 6, dim=1)
        return self.attn.project(modulate(self.norm(x), shift, scale)), tuple(rest)

    def after(self, x: Tensor, attended: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Add what was attended [B, H, L, D], then the MLP."""
        gate, mlp_shift, mlp_scale, mlp_gate = modulation
        x = x + gate[:, None] * self.attn.proj(attended.transpose(1, 2).flatten(2))
        return x + mlp_gate[:, None] * self.mlp(modulate(self.norm(x), mlp_shift, mlp_scale))


class JointBlock(nn.Module):
    def __init__(self, width: int, last: bool) -> None:
        super().__init__()
        self.context_block = StreamBlock(width, pre_only=last)
        self.x_block = StreamBlock(width, pre_only=False)

    def forward(self, text: Tensor, image: Tensor, time: Tensor, attention: JointAttention, layer: int) -> tuple[Tensor, Tensor]:
        of_text, text_modulation = self.context_block.before(text, time)
        of_image, image_modulation = self.x_block.before(image, time)
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(of_text, of_image, strict=True))
        attended = attention(q, k, v, layer)
        length = text.shape[1]
        if not self.context_block.pre_only:
            text = self.context_block.after(text, attended[:, :, :length], text_modulation)
        return text, self.x_block.after(image, attended[:, :, length:], image_modulation)


class FinalLayer(nn.Module):
    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(width, elementwise_affine=False, eps=EPS)
        self.linear = nn.Linear(width, channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(time).chunk(2, dim=1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class TimeEmbedder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
        return self.mlp(time_frequencies(timesteps).to(dtype))


class PatchEmbedder(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class MMDiT(nn.Module):
    """Predict the velocity (noise - picture) of noisy latents x [B, 16, h, w] at timesteps [B] (1000 sigma) for a text [B, L, 128]."""

    def __init__(self) -> None:
        super().__init__()
        width, blocks = HEAD * MMDIT["depth"], MMDIT["num_blocks"]
        self.width = width
        self.x_embedder = PatchEmbedder(CHANNELS, width)
        self.t_embedder = TimeEmbedder(width)
        self.context_embedder = nn.Linear(TEXT_WIDTH, width)
        self.joint_blocks = nn.ModuleList(JointBlock(width, last=i == blocks - 1) for i in range(blocks))
        self.final_layer = FinalLayer(width, CHANNELS)
        self.initialise()

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, attention: JointAttention = plain_attention) -> Tensor:
        """Give the velocity [B, 16, h, w]; `attention` is called once in each block and may guide."""
        height, width = x.shape[-2:]
        image = self.x_embedder(x) + position_table(height, width, self.width, x.device).to(x.dtype)
        time, text = self.t_embedder(timesteps, x.dtype), self.context_embedder(context)
        for layer, block in enumerate(self.joint_blocks):
            text, image = block(text, image, time, attention, layer)
        return self.final_layer(image, time).transpose(1, 2).unflatten(2, (height, width))

    @torch.no_grad()
    def initialise(self) -> None:
        """Draw the weights to start training from, as DiT does: every block begins as the identity, the output as zero."""
        for name, layer in self.named_modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_uniform_(layer.weight.flatten(1))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
                if "adaLN_modulation" in name or name == "final_layer.linear":
                    nn.init.zeros_(layer.weight)
                elif name.startswith("t_embedder"):
                    nn.init.normal_(layer.weight, std=0.02)
