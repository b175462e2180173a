"""Encode a negative prompt without padding, and keep its weights apart from its embeddings.

Flipping the values of padding tokens ruins pictures (VSF, appendix C). T5 and UMT5 read in both directions and are not masked
by the host, so their padding is left out before they read; CLIP reads forwards only, and needs all of its 77 positions, so its
padding is cut from what it returns, which is the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch

from ..demo.model.tokenizer import END, START
from .negative import Negative, Prompt


@dataclass(frozen=True)
class Encoder:
    """Name a text encoder as the host does, and its special tokens."""

    name: str
    end: int
    start: int | None = None


# The host's key of a text encoder's tokens -> the encoder. "avert" is the demo world's, a CLIP with words of its own.
CLIPS = {key: Encoder(f"clip_{key}", end=49407, start=49406) for key in ("l", "g", "h")} | {"avert": Encoder("clip_avert", END, START)}
T5S = {key: Encoder(key, end=1) for key in ("t5xxl", "umt5xxl")}

Chunk = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Row:
    """Name one token that stays: its row in the encoder's output, and its weight."""

    index: int
    weight: float
    # False for start and end tokens.
    word: bool = True


def encode_negative(clip: Any, text: str) -> Negative:
    """Encode each line of `text` as a negative of its own; no text at all is nothing to avoid."""
    prompts: list[Prompt] = []
    for line in text.splitlines():
        if line.strip():
            prompts += encode_line(clip, line.strip())
    return Negative(tuple(prompts))


def encode_line(clip: Any, text: str) -> list[Prompt]:
    """Encode one negative; several prompts come back only when the CLIP has hooks with a schedule, one for each part of it."""
    tokens = clip.tokenize(text)
    _check_encoders(tokens)
    # What is left of T5's chunks is what it reads; CLIP reads all of them, padding too.
    read = {key: [_cut_padding(chunk, T5S[key].end) for chunk in chunks] if key in T5S else chunks for key, chunks in tokens.items()}
    bare = {key: [[(token[0], 1.0) for token in chunk] for chunk in chunks] for key, chunks in read.items()}
    _check_weights(token[1] for chunks in tokens.values() for chunk in chunks for token in chunk)
    kept = {key: _real_rows(chunks, CLIPS.get(key) or T5S[key]) for key, chunks in read.items()}
    prompts = []
    # Only when a node asks for it, and once.
    written = cache(partial(clip.encode_from_tokens_scheduled, tokens))
    for embedding, options in clip.encode_from_tokens_scheduled(bare):
        # A word of weight 0 is as if it had not been written, and so is a negative without any other.
        rows = [row for row in _place(kept, bare, embedding.shape[1]) if row.weight != 0]
        if not any(row.word for row in rows):
            continue
        prompts.append(
            Prompt(
                embedding=embedding[:, [row.index for row in rows]],
                options=dict(options),
                weights=_weights(rows),
                text=text,
                tokens={_name(key): len(kept[key]) for key in kept if _is_loaded(clip, key)},
                written=written,
            )
        )
    return prompts


def check_known(clip: Any) -> None:
    """Refuse a text encoder whose padding is not known."""
    _check_encoders(clip.tokenize("picture"))


def _check_encoders(tokens: dict[str, Any]) -> None:
    unknown = [key for key in tokens if key not in CLIPS and key not in T5S]
    if unknown:
        raise ValueError(
            f"Avert does not know this text encoder ({', '.join(unknown)}) and where its padding is; it knows CLIP, CLIP with T5, T5 and UMT5. Use CLIP "
            "Text Encode and connect its CONDITIONING to `negative`, or, for a vision-language model that watches, a node that works on predictions."
        )


def _name(key: str) -> str:
    return (CLIPS.get(key) or T5S[key]).name


def _is_loaded(clip: Any, key: str) -> bool:
    """Tell whether the host's text model has this encoder; SD3 keeps tokens for encoders that were not loaded."""
    return getattr(clip.cond_stage_model, _name(key), None) is not None


def _cut_padding(chunk: Chunk, end: int) -> Chunk:
    """Keep a chunk up to and with its first end token. Embeddings of textual inversion are tensors, never an end token."""
    for i, token in enumerate(chunk):
        if isinstance(token[0], int) and token[0] == end:
            return chunk[: i + 1]
    return chunk


def _real_rows(chunks: Sequence[Chunk], encoder: Encoder) -> list[Row]:
    """List the rows of real tokens, from a start token, if there is one, to the end token, over all chunks of an encoder."""
    rows: list[Row] = []
    offset = 0
    for chunk in chunks:
        for i, token in enumerate(_cut_padding(chunk, encoder.end)):
            special = isinstance(token[0], int) and token[0] in (encoder.start, encoder.end)
            rows.append(Row(offset + i, float(token[1]), word=not special))
        offset += len(chunk)
    return rows


def _place(kept: dict[str, list[Row]], tokens: dict[str, list[Chunk]], length: int) -> list[Row]:
    """Find the kept tokens among the rows that came back: CLIP first, T5 after it, either of them possibly absent."""
    clips = [key for key in tokens if key in CLIPS]
    t5s = [key for key in tokens if key in T5S]
    clip_length = min((sum(map(len, tokens[key])) for key in clips), default=0)
    t5_length = sum(len(chunk) for key in t5s for chunk in tokens[key])
    # Both CLIPs of a pair split words alike; where they differ, the longer one has the real token.
    clip_rows = max((kept[key] for key in clips), key=len, default=[])
    t5_rows = [row for key in t5s for row in kept[key]]
    if length == clip_length + t5_length:
        return clip_rows + [replace(row, index=clip_length + row.index) for row in t5_rows]
    if length == t5_length:
        return t5_rows
    if length == clip_length:
        return clip_rows
    raise ValueError(
        f"This CLIP returned {length} tokens where {clip_length} + {t5_length} were expected, so the padding of the negative cannot be told; "
        "use CLIP Text Encode and connect its CONDITIONING to `negative` instead."
    )


def _check_weights(weights: Iterable[Any]) -> None:
    """Refuse weights that have no meaning in a negative."""
    for weight in weights:
        if not math.isfinite(weight) or weight < 0:
            raise ValueError(
                f"A weight in the negative prompt is {float(weight):g}, below 0 or no number; write (word:1.4) for more and (word:0.5) for less, "
                "or move the word to the positive prompt."
            )


def _weights(rows: Sequence[Row]) -> torch.Tensor | None:
    """Collect the weights, float32 [L]; None when all are 1."""
    if all(row.weight == 1.0 for row in rows):
        return None
    return torch.tensor([row.weight for row in rows], dtype=torch.float32)
