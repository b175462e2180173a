"""Attention of image, positive and negative tokens, composed from partial attentions: no mask, and the big part only once.

Order of tokens in a joint sequence: [padding, N_1 .. N_k, P, I, R], in cross-attention keys: [padding, N_1 .. N_k, P].

    I  image tokens, the only ones that are guided
    P  positive text (with the "released" layout of VSF, the extra unflipped copies of the negative come first in it)
    N  negative prompts: each sees itself and the image; nobody sees it but the image tokens that it guides
    R  reference-image tokens: seen like image tokens, never guided
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from .nag import normalized_attention_guidance
from .nasa import negative_away_steer
from .partial import Partial, merge
from .vsf import flip, negative_shares


class Attend(Protocol):
    """Attend with a log-sum-exp: the tensors of `kernels.attend`."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, key_bias: Tensor | None = None, mask: Tensor | None = None) -> Partial: ...


@dataclass(frozen=True)
class Segment:
    """Say where one negative prompt's tokens are, and how much each of them counts (None: all 1; else float32 [length])."""

    start: int
    length: int
    weights: Tensor | None = None

    @property
    def span(self) -> slice:
        return slice(self.start, self.start + self.length)


@dataclass(frozen=True)
class Strand:
    """Join one node's mechanism with its negatives."""

    mechanism: Mechanism
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Lengths:
    """Count the tokens of each kind, in the order of the sequence; `negative` includes any padding in front."""

    negative: int
    positive: int
    image: int = 0
    reference: int = 0


@dataclass
class Effect:
    """Collect what a layer's guidance did, per sample. Nothing here waits for the device."""

    share: Tensor  # [B] mean share of attention on the negatives, (1 - W) of VSF's equation 8
    change: Tensor  # [B] size of Z - Z+ against Z+, over a sample of the image tokens
    map: Tensor | None = None  # [B, I] the share per image token, mean over heads


@dataclass
class _Image:
    """Gather the partial attentions that the image queries need."""

    positive: Partial  # Z+ and its log-sum-exp: over image and positive text, or positive text alone in cross-attention
    image: Partial | None  # A_I, for mechanisms that replace the positive by the negative in joint attention


# Tokens looked at for `Effect.change`; all of them would cost a pass over the activations.
SAMPLED_TOKENS = 128


def needs_image_alone(strands: Sequence[Strand]) -> bool:
    """Tell whether a joint layer must attend to the image keys apart (NAG and NASA need Z- = merge(A_I, A_N))."""
    return any(not isinstance(strand.mechanism, ValueSignFlip) for strand in strands)


def joint_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Lengths,
    segments: Sequence[Segment],
    strands: Sequence[Strand],
    attend: Attend,
    mask: Tensor | None = None,
    with_map: bool = False,
) -> tuple[Tensor, Effect | None]:
    """Attend jointly over [N, P, I, R] with the guidance of `strands` on the image rows.

    q: [B, H, L, D], k and v: [B, Hkv, L, D]; mask, if any, is for the [P, I, R] part, as the host made it.
    `segments` are all negatives in the sequence, also those whose strand rests in this layer: their own rows go on.
    Returns [B, L, H, D] and the effect (None without strands).
    """
    n, first = lengths.negative, lengths.negative + lengths.positive
    last = first + lengths.image
    out = torch.empty(q.shape[0], q.shape[2], q.shape[1], v.shape[-1], dtype=q.dtype, device=q.device)
    rows = out.transpose(1, 2)
    if needs_image_alone(strands):
        over_image = attend(q, k[:, :, first:], v[:, :, first:], mask=_columns(mask, lengths, lengths.positive, None, pad_rows=n))
        text_mask = _columns(mask, lengths, 0, lengths.positive)
        over_text = attend(q[:, :, n:], k[:, :, n:first], v[:, :, n:first], mask=text_mask)
        plain = merge(over_image.rows(n), over_text)
        image = _Image(plain.rows(lengths.positive, last - n), over_image.rows(first, last))
        negative_rows = over_image.rows(0, n)
    else:
        plain = attend(q[:, :, n:], k[:, :, n:], v[:, :, n:], mask=mask)
        image = _Image(plain.rows(lengths.positive, last - n), None)
        negative_rows = attend(q[:, :, :n], k[:, :, first:], v[:, :, first:])
    rows[:, :, n:first] = plain.out[:, :, : lengths.positive]
    rows[:, :, last:] = plain.out[:, :, last - n :]
    _write_negative_rows(rows, negative_rows, q, k, v, segments, attend)
    effect = _guide(rows[:, :, first:last], image, q[:, :, first:last], k, v, strands, attend, with_map)
    return out, effect


def cross_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Lengths,
    strands: Sequence[Strand],
    attend: Attend,
    mask: Tensor | None = None,
    with_map: bool = False,
) -> tuple[Tensor, Effect | None]:
    """Attend from image queries over text keys [N, P], guided; only the first `lengths.positive` keys of P are read.

    A host that repeats the text to a common length (UNet) repeats it whole, so the first copy is all of it.
    Returns [B, Lq, H, D] and the effect (None without strands).
    """
    span = slice(lengths.negative, lengths.negative + lengths.positive)
    out = torch.empty(q.shape[0], q.shape[2], q.shape[1], v.shape[-1], dtype=q.dtype, device=q.device)
    image = _Image(attend(q, k[:, :, span], v[:, :, span], mask=mask), None)
    effect = _guide(out.transpose(1, 2), image, q, k, v, strands, attend, with_map)
    return out, effect


def _columns(mask: Tensor | None, lengths: Lengths, start: int, stop: int | None, pad_rows: int = 0) -> Tensor | None:
    """Cut a [P, I, R] mask to some of its keys; `pad_rows` rows without any mask go in front, for the negatives."""
    if mask is None:
        return None
    mask = mask[..., start:stop]
    if pad_rows == 0:
        return mask
    if mask.shape[-2] == 1:
        mask = mask.expand(*mask.shape[:-2], lengths.positive + lengths.image + lengths.reference, mask.shape[-1])
    free = torch.ones if mask.dtype == torch.bool else torch.zeros
    front = free((*mask.shape[:-2], pad_rows, mask.shape[-1]), dtype=mask.dtype, device=mask.device)
    return torch.cat([front, mask], dim=-2)


def _write_negative_rows(
    rows: Tensor, over_image: Partial, q: Tensor, k: Tensor, v: Tensor, segments: Sequence[Segment], attend: Attend
) -> None:
    """Write each negative's own rows: it sees the image and itself, as a prompt of its own would."""
    rows[:, :, : over_image.out.shape[2]] = over_image.out
    for segment in segments:
        own = attend(q[:, :, segment.span], k[:, :, segment.span], v[:, :, segment.span])
        rows[:, :, segment.span] = merge(over_image.rows(segment.span.start, segment.span.stop), own).out


def _guide(
    rows: Tensor, image: _Image, q: Tensor, k: Tensor, v: Tensor, strands: Sequence[Strand], attend: Attend, with_map: bool
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
        negative, share = _attend_negative(image, strand, q, k, v, attend)
        shares.append(share)
        if flips or len(others) > 1:
            rows.add_(_steer(strand.mechanism, positive.out, negative) - positive.out)
        else:
            _steer(strand.mechanism, positive.out, negative, into=rows)
    return _effect(rows, positive.out, shares, with_map) if shares else None


def _attend_flipped(segment: Segment, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Partial:
    """Attend to a negative for VSF: a token's weight multiplies its value, that is its own alpha."""
    values = v[:, :, segment.span]
    if segment.weights is not None:
        values = values * segment.weights.to(values)[:, None]
    return attend(q, k[:, :, segment.span], values)


def _attend_negative(image: _Image, strand: Strand, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> tuple[Tensor, Tensor]:
    """Return Z- over all negatives of a NAG or NASA strand, and their share of attention [B, H, I]."""
    negative: Partial | None = None
    for segment in strand.segments:
        # A token's weight multiplies its attention here: there is no alpha per token in a difference of two averages.
        bias = None if segment.weights is None else segment.weights.to(q.device).log()[None]
        part = attend(q, k[:, :, segment.span], v[:, :, segment.span], key_bias=bias)
        negative = part if negative is None else merge(negative, part)
    assert negative is not None
    share = torch.sigmoid(negative.lse - image.positive.lse)
    return (negative if image.image is None else merge(image.image, negative)).out, share


def _steer(mechanism: Mechanism, positive: Tensor, negative: Tensor, into: Tensor | None = None) -> Tensor:
    if isinstance(mechanism, NormalizedGuidance):
        return normalized_attention_guidance(positive, negative, mechanism.nag_scale, mechanism.nag_tau, mechanism.nag_alpha, into)
    assert isinstance(mechanism, NegativeAway)
    return negative_away_steer(positive, negative, mechanism.scale, into)


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
