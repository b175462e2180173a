"""What was asked, answered and done about it in one run: to be shown, saved with the picture, and replayed without a vision-language model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .answer import bare_name

VERSION = 1
MOST_CHARACTERS, MOST_ENTRIES = 2_000_000, 100_000
# Of an answer, in a report and in a picture's metadata: that of a JPEG file, with the whole workflow in it, ends at 64 KB.
ANSWER_CHARACTERS, SAVED_CHARACTERS = 2000, 80


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
    """Hold a run's entries, and by what the run is known again when it is repeated.

    steps, pictures: how many; label: which source it was; sigmas: the first and the last noise level; noise: a mark of the noise that it began with;
    by: what guided with its words; sampler, watcher: the ids of the node that sampled and of the source's; number: how many runs that node had ended before in
    the same prompt ("" or 0: not known).
    """

    steps: int
    pictures: int
    entries: tuple[Entry, ...] = ()
    label: str = ""
    sigmas: tuple[float, float] = (0.0, 0.0)
    noise: str = ""
    by: str = ""
    sampler: str = ""
    number: int = 0
    watcher: str = ""

    @property
    def shape(self) -> tuple[float, ...]:
        """Give what a run must have to be repeated with it."""
        return (self.steps, self.pictures, *self.sigmas)

    @property
    def words(self) -> tuple[tuple[int, int, tuple[str, ...]], ...]:
        """Give all that it does when it is replayed: from which step on, of which picture, which negative acts."""
        return tuple((entry.used, entry.picture, entry.negative) for entry in self.entries if entry.used is not None)

    def at(self, step: int) -> dict[int, tuple[str, ...]]:
        """Give the negatives that begin to act in this step, by picture."""
        return {entry.picture: entry.negative for entry in self.entries if entry.used == step}

    def written(self) -> str:
        """Write JSON, the answers cut to a length that anyone reads."""
        about = {"avert_transcript": VERSION} | {field.name: getattr(self, field.name) for field in fields(self)}
        entries = [{**asdict(entry), "answer": entry.answer[:ANSWER_CHARACTERS]} for entry in self.entries]
        return json.dumps({**about, "entries": entries}, ensure_ascii=False)

    def plain(self) -> dict[str, Any]:
        """Give what is written, as it is read from JSON."""
        found: dict[str, Any] = json.loads(self.written())
        return found


def brief(told: dict[str, Any]) -> dict[str, Any]:
    """Cut the answers of a plain transcript to a length that a picture's metadata can carry; replay needs none."""
    return {**told, "entries": [{**entry, "answer": entry["answer"][:SAVED_CHARACTERS]} for entry in told["entries"]]}


def same_run(known: Sequence[Transcript], run: Transcript) -> list[Transcript]:
    """List the transcripts that may be of a run: of those with its steps, pictures and noise levels the ones that agree best with the rest.

    The noise tells most, and is the same in another workflow, where nodes may have other ids; then where and as which of a node's runs it was made, for which
    source, and what guided.
    """

    def agreeing(one: Transcript) -> tuple[bool, ...]:
        return (
            one.noise == run.noise, one.sampler == run.sampler, one.number == run.number, one.watcher == run.watcher, one.by == run.by,
        )  # fmt: skip

    counts = (run.steps, run.pictures)
    fitting = [
        one
        for one in known
        if (one.steps, one.pictures) == counts
        and all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-3) for a, b in zip(one.sigmas, run.sigmas, strict=True))
    ]
    best = max(map(agreeing, fitting), default=())
    return [one for one in fitting if agreeing(one) == best]


def read_transcripts(text: str, label: str = "") -> tuple[Transcript, ...]:
    """Read what `written` wrote, or a whole report, and of several sources in it those of this label.

    Raises ValueError with one sentence when it is something else.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"The transcript has {len(text)} characters; paste the `json` of Avert Report of a single run.")
    try:
        found = json.loads(text)
        return tuple(_transcript(one) for one in (_chosen(found["watched"], label) if "watched" in found else [found]))
    except (ValueError, KeyError, TypeError, IndexError, StopIteration, RecursionError):
        raise ValueError(
            "The transcript to replay cannot be read; paste the `json` of Avert Report, from its first { to its last }."
        ) from None


def _chosen(transcripts: Any, label: str) -> list[Any]:
    """Take all where there is but one source, or those with the label."""
    known = _listed(transcripts)
    labels = {one["label"] for one in known}
    if not labels or (len(labels) > 1 and label not in labels):
        raise ValueError
    return [one for one in known if len(labels) == 1 or one["label"] == label]


def _transcript(found: dict[str, Any]) -> Transcript:
    if found["avert_transcript"] != VERSION:
        raise ValueError
    first, last = (float(value) for value in _listed(found["sigmas"]))
    entries = tuple(_entry(one) for one in _listed(found["entries"]))
    counts = _count(found["steps"]), _count(found["pictures"])
    # Earlier versions did not write all of these.
    noise, by, sampler, watcher = (_words(found.get(name, "")) for name in ("noise", "by", "sampler", "watcher"))
    number = _count(found.get("number", 0))
    return Transcript(*counts, entries, _words(found["label"]), (first, last), noise, by, sampler, number, watcher)


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
