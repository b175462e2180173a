"""The tokenizer: one token for each word that the world knows, and one for all others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from .config import TEXT_LENGTH, VOCABULARY
from .words import WORDS

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
LENGTH = TEXT_LENGTH
SIZE = VOCABULARY

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@cache
def vocabulary(words: tuple[str, ...] = WORDS) -> dict[str, int]:
    """Give each word, the special ones included, its id."""
    return {word: index for index, word in enumerate((*SPECIAL, *words))}


def split(text: str) -> list[str]:
    """Give the words of a text in lower case; digits and punctuation are left out."""
    return WORD.findall(text.lower())


def forms(word: str) -> Iterator[str]:
    """Yield what a word may be called in the vocabulary: itself, then its singular, then its plural."""
    word = word.removesuffix("'s")
    yield word
    if len(word) <= 3:
        return
    if word.endswith("ies"):
        yield word[:-3] + "y"
    if word.endswith("ves"):
        yield word[:-3] + "f"
        yield word[:-3] + "fe"
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("s"):
        yield word[:-1]
    yield word + "s"
    yield word + "es"
    if word.endswith("y"):
        yield word[:-1] + "ies"
    if word.endswith("f"):
        yield word[:-1] + "ves"


def word_id(word: str, words: tuple[str, ...] = WORDS) -> int:
    """Give the id of a lower-case word, in singular or plural; UNKNOWN for what the world has never seen."""
    ids = vocabulary(words)
    return next((ids[form] for form in forms(word) if form in ids), UNKNOWN)


def encode(text: str, words: tuple[str, ...] = WORDS) -> list[int]:
    """Give the ids of a text's words, without the special ones around them."""
    return [word_id(word, words) for word in split(text)]


def padded(text: str, words: tuple[str, ...] = WORDS) -> list[int]:
    """Give START, the text's ids, END, and PAD up to LENGTH; words beyond are cut off."""
    ids = [START, *encode(text, words)[: LENGTH - 2], END]
    return ids + [PAD] * (LENGTH - len(ids))
