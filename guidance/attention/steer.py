"""Guide the image tokens of one layer: what each mechanism makes of the partial attentions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from .mechanism import Steering, ValueSignFlip
from .partial import Partial, Parts, merge
from .strands import Attend, Effect, Segment, Strand
from .vsf import flip, negative_shares


@dataclass
class Image:
    """Gather the partial attentions that the image queries need."""

    positive: Partial  # Z+ and its log-sum-exp: over image and positive text, or positive text alone in cross-attention
    text: Partial  # A_P, over the positive text alone (with VSF alone in joint attention: not asked for, and the same as Z+)
    image: Partial | None  # A_I, for forms over the parts in joint attention


# Tokens looked at for `Effect.change`; all of them would cost a pass over the activations.
SAMPLED_TOKENS = 128


def guide_image(
    rows: Tensor, image: Image, q: Tensor, k: Tensor, v: Tensor, strands: Sequence[Strand], attend: Attend, with_map: bool
) -> Effect | None:
    """Write the guided image rows [B, H, I, D]: VSF strands share one softmax, every other strand adds its Z - Z+."""
    positive = image.positive
    flips = [
        (segment, strand.mechanism) for strand in strands if isinstance(strand.mechanism, ValueSignFlip) for segment in strand.segments
    ]
    others = [strand for strand in strands if not isinstance(strand.mechanism, ValueSignFlip)]
    shares: list[Tensor] = []
    if flips:
        partials = [_attend_flipped(segment, q, k, v, attend) for segment, _ in flips]
        own, shares = negative_shares(positive.lse, [p.lse for p in partials], [m.offset for _, m in flips])
        flip(positive.out, own, [p.out for p in partials], shares, [m.scale for _, m in flips], into=rows)
    elif len(others) != 1:
        rows.copy_(positive.out)
    for strand in others:
        mechanism = cast(Steering, strand.mechanism)
        parts = Parts(positive, image.text, _attend_negative(strand, q, k, v, attend), image.image)
        shares.append(torch.sigmoid(parts.negative.lse - mechanism.offset - positive.lse))
        alone = not flips and len(others) == 1
        steered = mechanism.steer(parts, into=rows if alone else None)
        free = _unguided(strand, q.shape[0])
        if free is not None:
            steered = torch.where(free, positive.out, steered)
        if not alone:
            rows.add_(steered - positive.out)
        elif free is not None:
            rows.copy_(steered)
    return _effect(rows, positive.out, shares, with_map) if shares else None


def _attend_flipped(segment: Segment, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Partial:
    """Attend to a negative for VSF: a token's weight multiplies its value, that is its own alpha."""
    values = v[:, :, segment.span]
    if segment.weights is not None:
        values = values * segment.weights.to(values)[:, None]
    return _for_its_rows(attend(q, k[:, :, segment.span], values), segment)


def _for_its_rows(attended: Partial, segment: Segment) -> Partial:
    """Pay no attention to a negative in pictures that it is not for."""
    mine = segment.of(attended.out.shape[0])
    return attended if mine is None else Partial(attended.out, attended.lse.masked_fill(~mine, -torch.inf))


def _attend_negative(strand: Strand, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Partial:
    """Return A_N over all negatives of a strand other than VSF."""
    negative: Partial | None = None
    for segment in strand.segments:
        # A token's weight multiplies its attention here: there is no alpha per token in a difference of averages.
        bias = None if segment.weights is None else segment.weights.to(q.device).log()[None]
        part = attend(q, k[:, :, segment.span], v[:, :, segment.span], key_bias=bias)
        part = _for_its_rows(part, segment)
        negative = part if negative is None else merge(negative, part)
    assert negative is not None
    return negative


def _unguided(strand: Strand, batch: int) -> Tensor | None:
    """Tell which rows none of a strand's negatives is for, bool [batch, 1, 1, 1]; None when each has one."""
    found = [segment.of(batch) for segment in strand.segments]
    if any(mine is None for mine in found):
        return None
    return ~torch.stack([mine for mine in found if mine is not None]).any(0)[..., None]


def _effect(rows: Tensor, plain: Tensor, shares: Sequence[Tensor], with_map: bool) -> Effect:
    """Measure the guidance per sample: mean share of the negatives, relative change over a sample of tokens."""
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    per_token = total.mean(dim=1)
    sample = _sampled(plain.shape[2], plain.device)
    before, after = plain[:, :, sample].float(), rows[:, :, sample].float()
    change = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1).clamp_min(1e-12)
    return Effect(per_token.mean(dim=1), change, per_token if with_map else None)


def _sampled(tokens: int, device: torch.device) -> Tensor:
    """Choose tokens spread evenly over the picture: steps of the golden ratio, so that no grid of rows and columns is met."""
    if tokens <= SAMPLED_TOKENS:
        return torch.arange(tokens, device=device)
    return ((torch.arange(SAMPLED_TOKENS, device=device) * 0.6180339887) % 1 * tokens).long()
