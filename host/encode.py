"""Encode a negative prompt without padding and templates, and keep its weights apart from its embeddings.

Flipping the values of padding tokens ruins pictures (VSF, appendix C). T5 and UMT5 read in both directions and are not masked
by the host, so their padding is left out before they read; CLIP and language models read forwards only, so that what stands behind
the words, and for language models the template before them too, is cut from what they return, which is the same: a template in front
is what the words are understood in, as those of a positive prompt are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from .encoders.known import CLIPS, GLYPHS, KNOWN, LLMS, POOLED, T5S, WEIGHED_HERE, Chunk, Tokens, check_encoders, is_loaded, main_model
from .encoders.rows import cut_padding, ended_rows, fit, place
from .encoders.weighted import check_weights, pieces_of
from .encoders.words import Kept, Row, ended_words_of, quoted_of, read, split_lead, words_of
from .negative import Negative, Prompt


@dataclass(frozen=True)
class Line:
    """Hold a line as its encoders read it, what stays of it, and the tokens that CLIP Text Encode would take for it.

    main: the language model whose rows are the prompt, if it is one.
    """

    tokens: Tokens
    kept: dict[str, Kept]
    written: Tokens
    main: str | None = None


def encode_negative(clip: Any, text: str) -> Negative:
    """Encode each line of `text` as a negative of its own; no text at all is nothing to avoid."""
    prompts: list[Prompt] = []
    for line in text.splitlines():
        if line.strip():
            prompts += encode_line(clip, line)
    return Negative(tuple(prompts))


def encode_line(clip: Any, text: str) -> list[Prompt]:
    """Encode one negative; several prompts come back only when the CLIP has hooks with a schedule, one for each part of it."""
    text = text.strip()
    if not split_lead(text)[1]:
        return []
    line = _line(clip, text)
    bare = {key: [[(token[0], 1.0) for token in chunk] for chunk in chunks] for key, chunks in line.tokens.items()}
    prompts = []
    # Only when a node asks for it, and once.
    written = cache(partial(clip.encode_from_tokens_scheduled, line.written))
    for embedding, options in clip.encode_from_tokens_scheduled(bare):
        _check_whole(clip, options)
        # A word of weight 0 is as if it had not been written, and so is a negative without any other.
        rows = [row for row in place(line.kept, line.tokens, embedding.shape[1], line.main) if row.weight != 0]
        words = [row for row in rows if row.word]
        if not words:
            continue
        prompt = partial(_prompt, line, text, embedding, options, written)
        # What is made of the ids or layers of another encoder stays whole.
        apart = len(words) < len(rows) and not {"t5xxl_ids", "conditioning_llama3"} & set(options)
        alone = cache(partial(prompt, words, _counts(clip, line, words_only=True))) if apart else None
        prompts.append(replace(prompt(rows, _counts(clip, line)), words=alone))
    return prompts


def _counts(clip: Any, line: Line, words_only: bool = False) -> dict[str, int]:
    """Count the tokens of each encoder that act."""
    kept = {KNOWN[key].name: kept.rows for key, kept in line.kept.items() if key == line.main or is_loaded(clip, key)}
    return {name: sum(row.weight != 0 and (row.word or not words_only) for row in rows) for name, rows in kept.items()}


def _prompt(
    line: Line, text: str, embedding: Tensor, options: Mapping[str, Any], written: Any, rows: list[Row], tokens: Mapping[str, int]
) -> Prompt:
    """Make a prompt of some of a line's rows."""
    return Prompt(
        embedding=embedding[:, [row.index for row in rows]],
        options=fit(options, rows, embedding.shape[1], line.kept, line.tokens),
        weights=_weights(_weighed(rows, options, line.kept)),
        text=text,
        tokens=tokens,
        written=written,
    )


def _weighed(rows: list[Row], options: Mapping[str, Any], kept: Mapping[str, Kept]) -> list[Row]:
    """List what the model makes tokens of: Anima of T5's ids, HiDream of T5's rows and twice of Llama's."""
    if "t5xxl_ids" in options:
        return [row for row in kept["t5xxl"].rows if row.weight != 0]
    if "conditioning_llama3" in options:
        return rows + 2 * [row for row in kept["llama"].rows if row.weight != 0]
    return rows


def _check_whole(clip: Any, options: Mapping[str, Any]) -> None:
    """Refuse HiDream's encoders without the two that give rows: the host puts zeros in their place, which are no words."""
    missing = [KNOWN[key].name for key in ("t5xxl", "llama") if not is_loaded(clip, key)]
    if "conditioning_llama3" in options and missing:
        raise ValueError(
            f"HiDream's prompt is read by T5 and Llama, and this CLIP was loaded without {' and '.join(missing)}, so a part of the negative would be "
            "missing; load all of its text encoders (Quadruple CLIP Loader)."
        )


def check_known(clip: Any) -> None:
    """Refuse a text encoder whose padding is not known."""
    check_encoders(clip.tokenize("picture"))


def _line(clip: Any, text: str) -> Line:
    """Tokenize a line and find what stays of it."""
    tokens = clip.tokenize(text)
    check_encoders(tokens)
    if any(key in WEIGHED_HERE for key in tokens):
        return _line_of_words(clip, text, tokens)
    check_weights(token[1] for chunks in tokens.values() for chunk in chunks for token in chunk)
    cut = _without_padding(tokens)
    return Line(cut, {key: Kept(ended_rows(chunks, key)) for key, chunks in cut.items() if key in CLIPS or key in T5S}, tokens)


def _line_of_words(clip: Any, text: str, tokens: Tokens) -> Line:
    """Find the words among tokens that may stand in a template, and read their weights without the host."""
    lead, words = split_lead(text)
    reading = read(lambda part: clip.tokenize(lead + part), pieces_of(words))
    weighed = any(token[1] != 1.0 for key, chunks in tokens.items() if key not in CLIPS for chunk in chunks for token in chunk)
    cut = _without_padding(reading.tokens)
    kept: dict[str, Kept] = {}
    for key, chunks in cut.items():
        pad = _pad(clip.tokenizer, key)
        if key in LLMS:
            kept[key] = words_of(reading, key, pad)
        elif key in T5S:
            kept[key] = ended_words_of(reading, key, pad)
        elif key in GLYPHS:
            kept[key] = quoted_of(chunks)
        elif key not in POOLED:
            kept[key] = Kept(ended_rows(chunks, key))
    return Line(cut, kept, tokens if weighed else reading.tokens, main_model(clip, tokens))


def _pad(tokenizer: Any, key: str) -> Any:
    """Give an encoder's token for padding; AuraFlow's tokenizer is not named as its tokens are."""
    inner = getattr(tokenizer, key, None) or getattr(tokenizer, getattr(tokenizer, "clip", key), None)
    return getattr(inner, "pad_token", None)


def _without_padding(tokens: Tokens) -> Tokens:
    """Leave padding out of what T5 reads; the others read all of it."""

    def cut(chunk: Chunk, key: str) -> Chunk:
        return cut_padding(chunk, T5S[key].end) if key in T5S else chunk

    return {key: [cut(chunk, key) for chunk in chunks] for key, chunks in tokens.items()}


def _weights(rows: Sequence[Row]) -> torch.Tensor | None:
    """Collect the weights, float32 [L]; None when all are 1."""
    if all(row.weight == 1.0 for row in rows):
        return None
    return torch.tensor([row.weight for row in rows], dtype=torch.float32)
