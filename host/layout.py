"""The shapes in which the host passes attention, and which rows of a batch belong to whom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Rows = slice | list[int]
# Beginnings and ends.
Spans = Sequence[tuple[int, int]]


def to_heads(x: Tensor, width: int, skip_reshape: bool) -> Tensor:
    """View q, k or v as [B, H, L, D]: hosts pass (B, H, L, D) with skip_reshape, else (B, L, H*D), or (B, L, H, D) for SD3's values."""
    if skip_reshape:
        return x
    if x.ndim == 4:
        return x.transpose(1, 2)
    return x.unflatten(-1, (-1, width)).transpose(1, 2)


def from_heads(x: Tensor, skip_output_reshape: bool) -> Tensor:
    """Give [B, L, H, D] the shape that the host asked for: (B, H, L, D), or (B, L, H*D)."""
    return x.transpose(1, 2) if skip_output_reshape else x.flatten(2)


def dropped(x: Tensor, spans: Spans, dim: int) -> Tensor:
    """Drop spans of tokens, which are given in their order."""
    starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), x.shape[dim]]
    kept = [x.narrow(dim, start, end - start) for start, end in zip(starts, ends, strict=True) if start < end]
    return kept[0] if len(kept) == 1 else torch.cat(kept, dim)


def with_nothing(x: Tensor, spans: Spans, dim: int) -> Tensor:
    """Undo `dropped`, with zeros for what was dropped."""
    pieces, at, length = [], 0, 0
    for start, end in spans:
        pieces += [x.narrow(dim, at, start - length), x.new_zeros(*x.shape[:dim], end - start, *x.shape[dim + 1 :])]
        at, length = at + start - length, end
    return torch.cat([*pieces, x.narrow(dim, at, x.shape[dim] - at)], dim)


def without(mask: Tensor, spans: Spans, length: int) -> Tensor:
    """Drop spans of tokens from a mask over `length` keys, and from its rows where it has them."""
    mask = dropped(mask, spans, mask.ndim - 1)
    return dropped(mask, spans, mask.ndim - 2) if mask.ndim > 1 and mask.shape[-2] == length else mask


def chunk_rows(chunks: Sequence[int], batch: int, total: int, repeats: int = 1) -> Rows:
    """List the batch rows of some of the `total` chunks (conditionings); a slice, which copies nothing, wherever they are neighbours.

    Tiling nodes evaluate several crops at once, each with all conditionings: the whole pattern then stands `repeats` times.
    """
    if repeats > 1:
        return [(turn * total + chunk) * batch + row for turn in range(repeats) for chunk in chunks for row in range(batch)]
    if list(chunks) == list(range(chunks[0], chunks[-1] + 1)):
        return slice(chunks[0] * batch, (chunks[-1] + 1) * batch)
    return [chunk * batch + row for chunk in chunks for row in range(batch)]


def mask_rows(mask: Tensor | None, rows: Rows, batch: int) -> Tensor | None:
    """Take the rows of a mask that has a batch dimension of its own; one that is shared stays whole."""
    if mask is None or mask.ndim < 3 or mask.shape[0] != batch or batch == 1:
        return mask
    return mask[rows]


def with_copies(mask: Tensor | None, copies: int) -> Tensor | None:
    """Widen a mask of [P, I, R] by tokens in front that it says nothing about (the released layout's copies): they are seen and see all."""
    if mask is None or copies == 0:
        return mask
    rows = 0 if mask.shape[-2] == 1 else copies
    return torch.nn.functional.pad(mask, (copies, 0, rows, 0), value=mask.dtype == torch.bool)
