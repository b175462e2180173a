"""Guide the attention of our MMDiT with the pack's own mechanisms: what host/ does inside ComfyUI, for one model and without a host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...guidance.attention.kernels import attend
from ...guidance.attention.mechanism import Mechanism, ValueSignFlip
from ...guidance.attention.strands import Effect, Segment, Strand
from ...guidance.attention.streams import Lengths, joint_attention
from ...guidance.schedule import Window
from .text_encoder import TextEncoder
from .tokenizer import END, LENGTH, START, encode


@dataclass(frozen=True)
class Guide:
    """Say what to avoid, how, when, and in which blocks (None: all).

    negatives: embeddings [1, L, 128], each one prompt without padding.
    """

    mechanism: Mechanism
    negatives: tuple[Tensor, ...]
    window: Window = field(default_factory=Window)
    layers: frozenset[int] | None = None

    @property
    def idle(self) -> bool:
        """Tell whether it never does anything: the model then runs as if it were not there."""
        return self.mechanism.neutral or not self.negatives or self.window.start_percent == self.window.end_percent


def encode_negatives(text_encoder: TextEncoder, text: str, words_only: bool = False) -> tuple[Tensor, ...]:
    """Encode each line as a negative of its own, without padding (words_only: nor start and end); lines without words are left out.

    Every word counts the same: the host's syntax for weights is not read here.
    """
    device = next(text_encoder.parameters()).device
    lines = [ids for line in text.splitlines() if (ids := encode(line)[: LENGTH - 2])]
    encoded = (text_encoder(torch.tensor([[START, *ids, END]], device=device)) for ids in lines)
    return tuple(whole[:, 1:-1] if words_only else whole for whole in encoded)


class GuidedAttention:
    """Replace the attention of one evaluation: `text` goes in as the model's context, the object itself as its attention."""

    def __init__(self, context: Tensor, image_tokens: int, guides: Sequence[Guide]) -> None:
        self._guides = guides
        self._strands: list[Strand] = []
        self.effects: list[Effect] = []
        pieces: list[Tensor] = []
        copies: list[Tensor] = []
        start = 0
        for guide in guides:
            segments = []
            for negative in guide.negatives:
                segments.append(Segment(start, negative.shape[1]))
                start += negative.shape[1]
                pieces.append(negative.to(context).expand(context.shape[0], -1, -1))
            if isinstance(guide.mechanism, ValueSignFlip) and guide.mechanism.layout == "released":
                copies += pieces[-len(segments) :]
            self._strands.append(Strand(guide.mechanism, tuple(segments)))
        self.text = torch.cat([*pieces, *copies, context], dim=1)
        self._lengths = Lengths(start, self.text.shape[1] - start, image_tokens)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, layer: int) -> Tensor:
        """Attend over [N, P, I]: N sees N and I, P sees P and I, and I sees all, guided."""
        strands = [
            strand for strand, guide in zip(self._strands, self._guides, strict=True) if guide.layers is None or layer in guide.layers
        ]
        segments = [segment for strand in self._strands for segment in strand.segments]
        out, effect = joint_attention(q, k, v, self._lengths, segments, strands, attend, with_map=True)
        if effect is not None:
            self.effects.append(effect)
        return out.transpose(1, 2)

    def share_map(self) -> Tensor | None:
        """Give the share of attention that went to the negatives, per image token [B, I], averaged over heads and guided blocks."""
        maps = [effect.map for effect in self.effects if effect.map is not None]
        return torch.stack(maps).mean(0) if maps else None
