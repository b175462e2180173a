"""Read what a vision-language model answered: short phrases to avoid, whatever form it chose, and nothing that could steer more than the prompt."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Literal

from .instructions import Instruction
from .reading.echoes import repeats
from .reading.heard import Heard
from .reading.languages import english
from .reading.lists import read_lines
from .reading.names import MOST_CHARACTERS, MOST_WIDE, MOST_WORDS, bare_name, hidden
from .reading.refusal import refuses
from .reading.spoken import READ_CHARACTERS, spoken, unadorned
from .reading.structured import plain_rest, read_structured
from .reading.tables import read_table

__all__ = ["MOST_CHARACTERS", "MOST_WIDE", "MOST_WORDS", "READ_CHARACTERS", "Kind", "Reading", "bare_name", "read_answer", "spoken"]

log = logging.getLogger(__name__)

Kind = Literal["phrases", "nothing", "refused", "unreadable"]


@dataclass(frozen=True)
class Reading:
    """Hold what an answer said: phrases to avoid; or that there is nothing; or that it refused; or that it cannot be read."""

    phrases: tuple[str, ...]
    kind: Kind


def read_answer(answer: str, most: int, asked: Instruction) -> Reading:
    """Read an answer to what was `asked` into at most `most` short phrases: from JSON, a table, lines with or without bullets, a list with commas, or short sentences.

    What was denied is never named, and of sentences that are no lists nothing is; what merely describes the picture names something only where whatever is in it
    was asked for, and what says our own instruction again never does. Thinking, tags, prompt weights, names of embeddings and control characters
    are left out, so that an answer can name things and do nothing else. "nothing" is sure: in doubt an answer is unreadable, and what was avoided goes on.
    It never raises: a mistake in here must not end a run for what a model happened to say, so that it is logged and the answer is unreadable.
    """
    try:
        return _read(answer, most, asked)
    except Exception:
        log.exception("Avert: an answer of the vision-language model could not be read; the last negative goes on.")
        return Reading((), "unreadable")


def _read(answer: str, most: int, asked: Instruction) -> Reading:
    said = spoken(answer)
    said = said if said is None else unadorned(said)
    if said is None:
        return Reading((), "unreadable")
    said = english(said).strip()
    if refuses(said):
        return Reading((), "refused")
    if not said or repeats(said, asked):
        return Reading((), "unreadable")
    heard = Heard(asked)
    if not (read_structured(said, heard) or read_table(hidden(said), heard)):
        read_lines(hidden(plain_rest(said)), heard)
    return _weighed(heard, most)


def _weighed(heard: Heard, most: int) -> Reading:
    """Decide between what was named and what was denied."""
    denied = {_folded(one) for one in heard.denied}
    named = heard.named or ([] if heard.denied or heard.nothing or heard.asked.sought != "contents" else heard.described)
    phrases: dict[str, str] = {}
    for one in named:
        if _folded(one) not in denied:
            phrases.setdefault(one.casefold(), one)
    *before, last = phrases or [""]
    if len(named) - len(phrases) >= 2 and any(one.startswith(last) for one in before):
        # An answer that went round in circles was cut off in the middle of a name.
        del phrases[last]
    if phrases and not heard.doubted:
        return Reading(tuple(phrases.values())[:most], "phrases")
    understood = not (heard.named or heard.described or heard.unclear)
    if not heard.doubted and not heard.named and (heard.nothing or (heard.denied and understood)):
        return Reading((), "nothing")
    return Reading((), "unreadable")


def _folded(name: str) -> str:
    """Write a name so that one hat and two hats are the same."""
    return re.sub(r"s$", "", name.casefold())
