"""Find the kept tokens among the rows that an encoder returned, and let what came with those rows fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from .known import CLIPS, KNOWN, T5S, Chunk, Tokens
from .words import Kept, Row

# What else the host returns has an entry for each row of the embedding, in this dimension,
ALIKE = {"attention_mask": 1, "minimax_token_tags": 0}
# or for each token of another encoder: HiDream's layers, Anima's ids, what HunyuanImage and HunyuanVideo 1.5 are to write.
BESIDE = {
    "conditioning_llama3": ("llama", 2),
    "t5xxl_ids": ("t5xxl", 0),
    "t5xxl_weights": ("t5xxl", 0),
    "conditioning_byt5small": ("byt5", 1),
}
UNTOLD = "use CLIP Text Encode and connect its CONDITIONING to `negative` instead."


def cut_padding(chunk: Chunk, end: int | None) -> Chunk:
    """Keep a chunk up to and with its first end token. Embeddings of textual inversion are tensors, never an end token."""
    for i, token in enumerate(chunk):
        if isinstance(token[0], int) and token[0] == end:
            return chunk[: i + 1]
    return chunk


def ended_rows(chunks: Sequence[Chunk], key: str) -> list[Row]:
    """List the rows of real tokens, from a start token, if there is one, to the end token, over all chunks of an encoder."""
    encoder = KNOWN[key]
    rows: list[Row] = []
    offset = 0
    for chunk in chunks:
        for i, token in enumerate(cut_padding(chunk, encoder.end)):
            special = isinstance(token[0], int) and token[0] in (encoder.start, encoder.end)
            rows.append(Row(offset + i, float(token[1]), word=not special))
        offset += len(chunk)
    return rows


def place(kept: Mapping[str, Kept], tokens: Tokens, length: int, main: str | None) -> list[Row]:
    """Find the kept tokens among the `length` rows of a prompt; main: the language model that they are of, if any."""
    if main is not None:
        return place_words(kept[main], sum(map(len, tokens[main])), length)
    return _place_ended(kept, tokens, length)


def place_words(kept: Kept, tokens: int, length: int) -> list[Row]:
    """Find words among the rows of a language model, of which the host may have cut off the template at the front, or all of it.

    It always cuts off padding at the front; LTX-2's first files then fill up what is left with tokens of their own.
    """
    missing = tokens - kept.before - length
    if kept.before and missing < 0:
        missing = 0
    if missing == kept.first + kept.tail:
        missing = kept.first
    if missing > kept.first or missing < 0 or any(row.index - kept.before - missing >= length for row in kept.rows):
        raise ValueError(
            f"This text encoder returned {length} rows for {tokens} tokens, so that of the negative's words cannot be told; {UNTOLD}"
        )
    return [replace(row, index=row.index - kept.before - missing) for row in kept.rows]


def _place_ended(kept: Mapping[str, Kept], tokens: Tokens, length: int) -> list[Row]:
    """Find tokens of CLIP and T5: CLIP's rows come first, T5's after them, either of them possibly absent."""
    clips = [key for key in tokens if key in CLIPS]
    t5s = [key for key in tokens if key in T5S]
    clip_length = min((sum(map(len, tokens[key])) for key in clips), default=0)
    t5_length = sum(len(chunk) for key in t5s for chunk in tokens[key])
    # Both CLIPs of a pair split words alike; where they differ, the longer one has the real token.
    clip_rows = max((kept[key].rows for key in clips), key=len, default=[])
    t5_rows = [row for key in t5s for row in kept[key].rows]
    if length == clip_length + t5_length:
        return clip_rows + [replace(row, index=clip_length + row.index) for row in t5_rows]
    if length == t5_length:
        return t5_rows
    if length == clip_length:
        return clip_rows
    raise ValueError(
        f"This CLIP returned {length} tokens where {clip_length} + {t5_length} were expected, so the padding of the negative cannot be told; {UNTOLD}"
    )


def fit(options: Mapping[str, Any], rows: Sequence[Row], length: int, kept: Mapping[str, Kept], tokens: Tokens) -> dict[str, Any]:
    """Let what came with `length` rows fit those that stay; a mask of anything else would be wrong, and all that stays is seen."""
    fitted = dict(options)
    for name, dim in ALIKE.items():
        value = fitted.get(name)
        if isinstance(value, torch.Tensor):
            if value.ndim > dim and value.shape[dim] == length:
                fitted[name] = _taken(value, dim, rows)
            else:
                del fitted[name]
    for name, (key, dim) in BESIDE.items():
        value = fitted.get(name)
        if isinstance(value, torch.Tensor) and key in kept:
            placed = place_words(kept[key], sum(map(len, tokens[key])), value.shape[dim])
            fitted[name] = _taken(value, dim, [row for row in placed if row.weight != 0])
    return fitted


def _taken(value: torch.Tensor, dim: int, rows: Sequence[Row]) -> torch.Tensor:
    return value.index_select(dim, torch.tensor([row.index for row in rows], dtype=torch.long, device=value.device))
