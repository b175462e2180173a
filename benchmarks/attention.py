"""Compare one attention layer with and without a negative, at the shapes of real models. Needs PyTorch alone.

    python benchmarks/attention.py            # CUDA if there is one, else the CPU with fewer heads
    python benchmarks/attention.py --rounds 50 --model flux

plain: no guidance, PyTorch's scaled_dot_product_attention in the host's layout.
VSF, NAG, NASA: ours. dense mask: VSF as its paper does it. two passes: what CFG costs, and what NAG does elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as sdpa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guidance.attention.kernels import attend, kernel_name
from guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from guidance.attention.nag import normalized_attention_guidance
from guidance.attention.strands import Segment, Strand
from guidance.attention.streams import Lengths, cross_attention, joint_attention
from measure import compare, machine, table


@dataclass(frozen=True)
class Shape:
    """Say what one layer looks like: heads and head width, image, positive and negative tokens."""

    title: str
    heads: int
    width: int
    image: int
    positive: int
    negative: int
    joint: bool

    def on_cpu(self) -> Shape:
        """Shrink to what a CPU does in a reasonable time: fewer heads and, for video, fewer tokens; the rest stays."""
        image = min(self.image, 4096)
        return Shape(f"{self.title}, 4 of its {self.heads} heads", 4, self.width, image, self.positive, self.negative, self.joint)


SHAPES = {
    "sd35": Shape("SD3.5 Large 1024x1024, joint attention", 38, 64, 4096, 154, 20, True),
    "flux": Shape("Flux 1024x1024, joint attention", 24, 128, 4096, 256, 12, True),
    "wan": Shape("Wan 14B 480x832, 81 frames, cross-attention", 40, 128, 32760, 512, 12, False),
}
MECHANISMS = {
    "VSF": ValueSignFlip(0.94, -0.6),
    "VSF, offset 0": ValueSignFlip(1.0, 0.0),
    "NAG": NormalizedGuidance(5.0, 2.5, 0.25),
    "NASA": NegativeAway(0.15),
}


def heads_of(x: Tensor, heads: int) -> Tensor:
    """View the host's (B, L, H*D) as [B, H, L, D]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def plain(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Do what the host does without us."""
    return sdpa(heads_of(q, heads), heads_of(k, heads), heads_of(v, heads)).transpose(1, 2).flatten(2)


def dense_mask(shape: Shape, device: torch.device, dtype: torch.dtype, offset: float) -> Tensor:
    """Make the paper's mask for queries [N, P, I] and keys [N, P, I, flipped copy of N]."""
    n, text = shape.negative, shape.negative + shape.positive
    length = text + shape.image
    mask = torch.zeros(length, length + n, device=device, dtype=dtype)
    mask[n:, :n] = mask[:n, n:text] = -torch.inf
    mask[:text, length:] = -torch.inf
    mask[text:, length:] = -offset
    return mask


def joint_ways(shape: Shape, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    n, text = shape.negative, shape.negative + shape.positive
    q, k, v = (torch.randn(1, text + shape.image, shape.heads * shape.width, device=device, dtype=dtype) for _ in range(3))
    q0, k0, v0 = (x[:, n:].contiguous() for x in (q, k, v))
    q2, k2, v2 = (torch.cat([x[:, :n], x[:, text:]], dim=1) for x in (q, k, v))
    lengths, segment = Lengths(n, shape.positive, shape.image), Segment(0, n)
    mask = dense_mask(shape, device, dtype, -0.6)

    def masked() -> Tensor:
        flipped = -0.94 * v[:, :n]
        keys, values = torch.cat([k, k[:, :n]], dim=1), torch.cat([v, flipped], dim=1)
        out = sdpa(heads_of(q, shape.heads), heads_of(keys, shape.heads), heads_of(values, shape.heads), attn_mask=mask)
        return out.transpose(1, 2).flatten(2)

    def guided(strand: Strand) -> Callable[[], Tensor]:
        def way() -> Tensor:
            heads = [heads_of(x, shape.heads) for x in (q, k, v)]
            return joint_attention(*heads, lengths, [segment], [strand], attend)[0].flatten(2)

        return way

    def two_passes() -> Tensor:
        positive, negative = plain(q0, k0, v0, shape.heads), plain(q2, k2, v2, shape.heads)
        return negative.lerp(positive[:, shape.positive - n :], 5.0)

    def two_passes_nag() -> Tensor:
        positive, negative = plain(q0, k0, v0, shape.heads), plain(q2, k2, v2, shape.heads)
        image = [heads_of(x, shape.heads) for x in (positive[:, shape.positive :], negative[:, n:])]
        return normalized_attention_guidance(*image, 5.0, 2.5, 0.25)

    ways: dict[str, Callable[[], object]] = {"plain": lambda: plain(q0, k0, v0, shape.heads)}
    ways |= {name: guided(Strand(mechanism, (segment,))) for name, mechanism in MECHANISMS.items()}
    return ways | {"dense mask (VSF's paper)": masked, "two passes (CFG)": two_passes, "two passes (other NAG)": two_passes_nag}


def cross_ways(shape: Shape, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    n = shape.negative
    q = torch.randn(1, shape.image, shape.heads * shape.width, device=device, dtype=dtype)
    k, v = (torch.randn(1, n + shape.positive, shape.heads * shape.width, device=device, dtype=dtype) for _ in range(2))
    k0, v0, k2, v2 = k[:, n:].contiguous(), v[:, n:].contiguous(), k[:, :n].contiguous(), v[:, :n].contiguous()
    lengths, segment = Lengths(n, shape.positive), Segment(0, n)
    bias = torch.zeros(1, 1, 1, n + shape.positive, device=device, dtype=dtype)
    bias[..., :n] = 0.6

    def masked() -> Tensor:
        values = torch.cat([-0.94 * v[:, :n], v[:, n:]], dim=1)
        mask = bias.expand(1, 1, shape.image, -1)
        out = sdpa(heads_of(q, shape.heads), heads_of(k, shape.heads), heads_of(values, shape.heads), attn_mask=mask)
        return out.transpose(1, 2).flatten(2)

    def guided(strand: Strand) -> Callable[[], Tensor]:
        def way() -> Tensor:
            heads = [heads_of(x, shape.heads) for x in (q, k, v)]
            return cross_attention(*heads, lengths, [strand], attend)[0].flatten(2)

        return way

    def two_passes() -> Tensor:
        return plain(q, k2, v2, shape.heads).lerp(plain(q, k0, v0, shape.heads), 5.0)

    def two_passes_nag() -> Tensor:
        outs = [heads_of(plain(q, keys, values, shape.heads), shape.heads) for keys, values in ((k0, v0), (k2, v2))]
        return normalized_attention_guidance(*outs, 5.0, 2.5, 0.25)

    ways: dict[str, Callable[[], object]] = {"plain": lambda: plain(q, k0, v0, shape.heads)}
    ways |= {name: guided(Strand(mechanism, (segment,))) for name, mechanism in MECHANISMS.items()}
    return ways | {"dense mask (VSF's paper)": masked, "two passes (CFG)": two_passes, "two passes (other NAG)": two_passes_nag}


def with_self_attention(
    shape: Shape, ways: dict[str, Callable[[], object]], device: torch.device, dtype: torch.dtype
) -> dict[str, Callable[[], object]]:
    """Add the self-attention that comes with every cross-attention of a block."""
    q, k, v = (torch.randn(1, shape.image, shape.heads * shape.width, device=device, dtype=dtype) for _ in range(3))

    def both(way: Callable[[], object], passes: int) -> Callable[[], object]:
        def run() -> object:
            for _ in range(passes):
                plain(q, k, v, shape.heads)
            return way()

        return run

    return {name: both(way, 2 if name.endswith("(CFG)") else 1) for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[*SHAPES, "all"], default="all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    device = torch.device(options.device)
    cuda = device.type == "cuda"
    dtype = getattr(torch, options.dtype or ("bfloat16" if cuda else "float32"))
    rounds = options.rounds or (50 if cuda else 9)
    print(f"{machine(device)}, {dtype}, median of {rounds}\n")
    for name in SHAPES if options.model == "all" else [options.model]:
        shape = SHAPES[name] if cuda else SHAPES[name].on_cpu()
        ways = (joint_ways if shape.joint else cross_ways)(shape, device, dtype)
        counts = f"{shape.image} image, {shape.positive} positive, {shape.negative} negative tokens, {shape.heads} heads of {shape.width}"
        sample = torch.empty(1, shape.heads, 8, shape.width, device=device, dtype=dtype)
        print(table(f"{shape.title}: {counts}; kernel {kernel_name(sample, sample, sample)}", compare(ways, device, rounds), "plain"))
        if not shape.joint:
            block = with_self_attention(shape, ways, device, dtype)
            print(table(f"{shape.title}, with the self-attention of the same block", compare(block, device, max(5, rounds // 5)), "plain"))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
