"""What was asked, answered and done about it in one run: to be shown, saved with the picture, and replayed without a vision-language model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .answer import bare_name

VERSION = 1
MOST_CHARACTERS, MOST_ENTRIES = 2_000_000, 100_000
ANSWER_CHARACTERS = 2000


@dataclass(frozen=True)
class Entry:
    """Hold one question about one picture of the batch, or why none was asked.

    asked: the step whose prediction was looked at; used: the step from whose beginning the new negative acts, if not before (None: nothing changed);
    negative: the phrases in force from then on; kind: what the answer was ("phrases", "nothing", "refused", "unreadable"), or "failed", or "unchanged" or
    "busy" (not asked: the picture had not changed, or an answer was still being made); seconds: what it cost.
    """

    asked: int
    picture: int
    kind: str
    answer: str
    negative: tuple[str, ...]
    used: int | None
    seconds: float


@dataclass(frozen=True)
class Transcript:
    """Hold a run's entries, with the run's number of steps and of pictures; label: which source it was; sigmas: the first and the last noise level."""

    steps: int
    pictures: int
    entries: tuple[Entry, ...] = ()
    label: str = ""
    sigmas: tuple[float, float] = (0.0, 0.0)

    def at(self, step: int) -> dict[int, tuple[str, ...]]:
        """Give the negatives that begin to act in this step, by picture."""
        return {entry.picture: entry.negative for entry in self.entries if entry.used == step}

    def written(self) -> str:
        """Write JSON, the answers cut to a length that a picture's metadata can carry."""
        about = {"avert_transcript": VERSION, "label": self.label, "steps": self.steps, "pictures": self.pictures, "sigmas": self.sigmas}
        entries = [{**asdict(entry), "answer": entry.answer[:ANSWER_CHARACTERS]} for entry in self.entries]
        return json.dumps({**about, "entries": entries}, ensure_ascii=False)


def read_transcript(text: str, label: str = "") -> Transcript:
    """Read what `written` wrote, or a whole report, and of several transcripts in it the one with this label.

    Raises ValueError with one sentence when it is something else.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"The transcript has {len(text)} characters; paste the `json` of Avert Report of a single run.")
    try:
        found = json.loads(text)
        found = _chosen(found["watched"], label) if "watched" in found else found
        if found["avert_transcript"] != VERSION:
            raise ValueError
        first, last = (float(value) for value in _listed(found["sigmas"]))
        entries = tuple(_entry(one) for one in _listed(found["entries"]))
        return Transcript(_count(found["steps"]), _count(found["pictures"]), entries, _words(found["label"]), (first, last))
    except (ValueError, KeyError, TypeError, IndexError, StopIteration, RecursionError):
        raise ValueError(
            "The transcript to replay cannot be read; paste the `json` of Avert Report, from its first { to its last }."
        ) from None


def _chosen(transcripts: Any, label: str) -> Any:
    """Take the only one, or the one with the label."""
    known = _listed(transcripts)
    return known[0] if len(known) == 1 else next(one for one in known if one["label"] == label)


def _entry(one: dict[str, Any]) -> Entry:
    known = {field.name for field in fields(Entry)}
    values = {key: value for key, value in one.items() if key in known}
    used = values["used"]
    names = (bare_name(_words(phrase)) for phrase in _listed(values["negative"]))
    return Entry(
        asked=_count(values["asked"]),
        picture=_count(values["picture"]),
        kind=_words(values["kind"]),
        answer=_words(values["answer"]),
        negative=tuple(name for name in names if name),
        used=None if used is None else _count(used),
        seconds=float(values["seconds"]),
    )


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        raise ValueError
    return value


def joined(phrases: Iterable[str]) -> str:
    """Write phrases as one prompt."""
    return ", ".join(phrases)
