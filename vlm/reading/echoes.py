"""Tell an answer from the question: what only says our own instruction again, and what is in its words."""

from __future__ import annotations

import re

from ..instructions import Instruction
from .words import denial_in

# So many words in our order are no answer; fewer may be: "extra or fused fingers".
_FEWEST_WORDS = 5
_BEGINNING_WORDS = 4
_SHORTEST_WORD = 3
_NO_WORD_OF_IT = frozenset({"the", "and", "not", "too", "that"})


def echoes(sentence: str, asked: Instruction) -> bool:
    """Tell what begins as a sentence of ours, or stands in one; words of the user are a right answer."""
    beginnings = (_words(ours)[:_BEGINNING_WORDS] for ours in re.split(r"[.!?]\s", asked.ours))
    return _words(sentence)[:_BEGINNING_WORDS] in beginnings or repeats(sentence, asked)


def repeats(said: str, asked: Instruction) -> bool:
    """Tell what stands in our instruction word by word, but for "there is nothing of the kind"."""
    listed = _words(said)
    denies = denial_in(" ".join(listed[:_BEGINNING_WORDS]))
    return len(listed) >= _FEWEST_WORDS and not denies and f" {' '.join(listed)} " in f" {' '.join(_words(asked.ours))} "


def asked_for(name: str, asked: Instruction) -> bool:
    """Tell a name with a word of what was to be looked for."""
    task = {_folded(word) for word in _words(asked.task)}
    return any(_folded(word) in task for word in _words(name) if len(word) >= _SHORTEST_WORD and word not in _NO_WORD_OF_IT)


def in_question(name: str, asked: Instruction) -> bool:
    """Tell what stands in the instruction exactly so."""
    return f" {' '.join(_words(name))} " in f" {' '.join(_words(asked.system))} "


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _folded(word: str) -> str:
    return word.removesuffix("s")
