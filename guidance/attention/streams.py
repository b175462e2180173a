"""Attention of image, positive and negative tokens, composed from partial attentions: no mask, and the big part only once.

Order of tokens in a joint sequence: [padding, N_1 .. N_k, P, I, R], in cross-attention: queries [I, R], keys [padding, N_1 .. N_k, P].

    I  image tokens, the only ones that are guided
    P  positive text (with the "released" layout of VSF, the extra unflipped copies of the negative come first in it)
    N  negative prompts: each sees itself and the image; nobody sees it but the image tokens that it guides
    R  reference-image tokens: seen like image tokens, never guided
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .mechanism import ValueSignFlip
from .partial import Partial, merge
from .steer import Image, guide_image
from .strands import Attend, Effect, Segment, Strand


@dataclass(frozen=True)
class Lengths:
    """Count the tokens of each kind, in the order of the sequence; `negative` includes any padding in front."""

    negative: int
    positive: int
    image: int = 0
    reference: int = 0


def needs_image_alone(strands: Sequence[Strand]) -> bool:
    """Tell whether a joint layer must attend to image and positive text apart: all but VSF are forms over the parts."""
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

    q: [B, H, L, D], k and v: [B, Hkv, L, D]; mask, if any, is for the [P, I, R] part, as the host made it. R may be among the keys alone.
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
        image = Image(plain.rows(lengths.positive, last - n), over_text.rows(lengths.positive, last - n), over_image.rows(first, last))
        negative_rows = over_image.rows(0, n)
    else:
        plain = attend(q[:, :, n:], k[:, :, n:], v[:, :, n:], mask=mask)
        whole = plain.rows(lengths.positive, last - n)
        image = Image(whole, whole, None)
        negative_rows = attend(q[:, :, :n], k[:, :, first:], v[:, :, first:])
    rows[:, :, n:first] = plain.out[:, :, : lengths.positive]
    rows[:, :, last:] = plain.out[:, :, last - n :]
    _write_negative_rows(rows, negative_rows, q, k, v, segments, attend)
    effect = guide_image(rows[:, :, first:last], image, q[:, :, first:last], k, v, strands, attend, with_map)
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
    """Attend from queries [I, R] over text keys [N, P], I guided; only the first `lengths.positive` keys of P are read.

    A host that repeats the text to a common length (UNet) repeats it whole, so the first copy is all of it.
    Returns [B, Lq, H, D] and the effect (None without strands).
    """
    span = slice(lengths.negative, lengths.negative + lengths.positive)
    out = torch.empty(q.shape[0], q.shape[2], q.shape[1], v.shape[-1], dtype=q.dtype, device=q.device)
    plain = attend(q, k[:, :, span], v[:, :, span], mask=mask)
    rows, last = out.transpose(1, 2), q.shape[2] - lengths.reference
    rows[:, :, last:] = plain.out[:, :, last:]
    effect = guide_image(
        rows[:, :, :last], Image(plain.rows(0, last), plain.rows(0, last), None), q[:, :, :last], k, v, strands, attend, with_map
    )
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
