"""Find out which tokens belong to which words, by looking at which change when the words do: it takes a tokenizer, and no knowledge of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .known import KNOWN, Chunk, Tokens
from .weighted import Piece

# Common words, of which no two begin or end alike: where tokens for both are the same, they are not of the words.
PROBES = ("cat", "dog")
# As the host puts what is quoted into a sentence for byT5 (comfy/text_encoders/hunyuan_image.py).
QUOTED = re.compile(rb'Text "(.*?)"\. ', re.DOTALL)
BYTE = 3  # The token of byte 0; those before are special.
# Lumina 2 and NewBie have no template of the host's: a system prompt and this stand in the text itself (CLIPTextEncodeLumina2).
LEAD = re.compile(r".*<Prompt Start>\s*", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """Name one token that stays: its place among the tokens that the encoder reads, and its weight."""

    index: int
    weight: float
    # False for start and end tokens.
    word: bool = True


@dataclass(frozen=True)
class Kept:
    """List the tokens of one encoder that stay. before, first, tail: tokens of padding before all others, from there on before the words, after them."""

    rows: list[Row]
    before: int = 0
    first: int = 0
    tail: int = 0


@dataclass(frozen=True)
class Reading:
    """Hold a line's tokens, those of other words in its place, and those with other words in the place of each weighted piece."""

    tokens: Tokens
    others: list[Tokens]
    weighted: list[tuple[float, list[Tokens]]]


def split_lead(text: str) -> tuple[str, str]:
    """Split a system prompt from the words, where it is written before them."""
    lead = LEAD.match(text)
    end = lead.end() if lead is not None else 0
    return text[:end], text[end:]


def read(tokenize: Callable[[str], Tokens], pieces: Sequence[Piece]) -> Reading:
    """Tokenize a line without its brackets, and what is compared with it."""
    texts = [piece.text for piece in pieces]
    weighted = []
    for i, piece in enumerate(pieces):
        if piece.weight != 1.0 and piece.text.strip():
            changed = ["".join([*texts[:i], piece.replaced(word), *texts[i + 1 :]]) for word in PROBES]
            weighted.append((piece.weight, [tokenize(text) for text in changed]))
    return Reading(tokenize("".join(texts)), [tokenize(word) for word in PROBES], weighted)


def words_of(reading: Reading, key: str, pad: Any) -> Kept:
    """Keep the words of a language model's tokens, without its template."""
    tokens = _real(reading.tokens, key, pad)
    ids = [token for _, token in tokens]
    others = [_ids(other, key, pad) for other in reading.others]
    first, tail = _alike(*others), _alike(*(other[::-1] for other in others))
    end = len(ids) - tail
    if end < first or _alike(ids, others[0]) < first or _alike(ids[::-1], others[0][::-1]) < tail:
        raise ValueError(
            "Avert cannot tell which tokens are the negative's own words: the text brings a chat template of its own, or is too long for this text "
            "encoder. Write only what to avoid, or use CLIP Text Encode and connect its CONDITIONING to `negative`."
        )
    weights = _weights(reading, key, pad)
    rows = [Row(tokens[i][0], weights[i]) for i in range(first, end)]
    return Kept(rows, tokens[0][0] if tokens else 0, first, tail)


def ended_words_of(reading: Reading, key: str, pad: Any) -> Kept:
    """Keep the words and the end token of an encoder that has one."""
    weights = _weights(reading, key, pad)
    tokens = zip(_real(reading.tokens, key, pad), weights, strict=True)
    return Kept([Row(index, weight, word=not _same(token, KNOWN[key].end)) for (index, token), weight in tokens])


def quoted_of(chunks: Sequence[Chunk]) -> Kept:
    """Keep what is quoted of byT5's tokens, which are bytes."""
    tokens = [token[0] for chunk in chunks for token in chunk]
    written = bytes(token - BYTE if BYTE <= token < BYTE + 256 else 0 for token in tokens)
    return Kept([Row(i, 1.0) for found in QUOTED.finditer(written) for i in range(*found.span(1))])


def _real(tokens: Tokens, key: str, pad: Any) -> list[tuple[int, Any]]:
    """List the tokens that are not padding, with their places."""
    flat = [token[0] for chunk in tokens[key] for token in chunk]
    return [(i, token) for i, token in enumerate(flat) if not _same(token, pad)]


def _ids(tokens: Tokens, key: str, pad: Any) -> list[Any]:
    return [token for _, token in _real(tokens, key, pad)]


def _weights(reading: Reading, key: str, pad: Any) -> list[float]:
    """Give each token the weight of the piece that it changes with; a token of two pieces has the later one's."""
    ids = _ids(reading.tokens, key, pad)
    weights = [1.0] * len(ids)
    for weight, changed in reading.weighted:
        others = [_ids(other, key, pad) for other in changed]
        # A piece may begin or end as one of the words in its place does, not as both.
        start = min(_alike(ids, other) for other in others)
        end = len(ids) - min(_alike(ids[::-1], other[::-1]) for other in others)
        weights[start:end] = [weight] * max(0, end - start)
    return weights


def _alike(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Count the tokens with which both begin."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if not _same(a, b)), min(len(one), len(other)))


def _same(a: Any, b: Any) -> bool:
    """Compare tokens; those of textual inversion are tensors."""
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and torch.equal(a, b)
    return bool(a == b)
