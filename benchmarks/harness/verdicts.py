"""The second phase: have every picture judged, each once, also after an interruption."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .judge import Judge, Verdict
from .pictures import Shown
from .progress import Progress, Tell
from .records import Record, Records

NEEDS = ("key", "positive", "negative", "quality", "said")


@dataclass(frozen=True)
class Judged:
    """Hold a picture and what the judge says of it."""

    shown: Shown
    verdict: Verdict


def key_of(shown: Shown, judge: Judge) -> str:
    """Name a verdict by all that it follows from: the picture, the judge, and what it is asked."""
    text = json.dumps([shown.digest, judge.identity, judge.asks(shown.job.pair)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def judge_all(pictures: Sequence[Shown], judge: Judge, out: Path, before: Callable[[], None], tell: Tell) -> list[Judged]:
    """Have all pictures judged that are not yet; `before` is called if there are any. Raises UserError; what is judged stays."""
    records = Records(out / "verdicts.jsonl", NEEDS)
    known = {str(record["key"]): record for record in records.lines}
    keys = [key_of(shown, judge) for shown in pictures]
    missing = [(key, shown) for key, shown in zip(keys, pictures, strict=True) if key not in known]
    progress = Progress("verdicts", len(pictures), len(pictures) - len(missing), tell)
    if missing:
        before()
    for key, shown in missing:
        job = shown.job
        if key not in known:
            with Image.open(shown.path) as picture:
                verdict = judge.look(picture.convert("RGB"), job.pair)
            known[key] = {
                "key": key, "workflow": job.workflow.name, "pair": job.pair.number, "turn": job.turn, "judge": judge.name,
                "positive": verdict.positive, "negative": verdict.negative, "quality": verdict.quality, "said": list(verdict.said),
            }  # fmt: skip
            records.add(known[key])
        progress.step(f"{job.workflow.name}, pair {job.pair.number}")
    return [Judged(shown, verdict_of(known[key])) for key, shown in zip(keys, pictures, strict=True)]


def verdict_of(record: Record) -> Verdict:
    """Read a verdict from its line."""
    positive, negative = (record[name] if isinstance(record[name], bool) else None for name in ("positive", "negative"))
    quality = float(record["quality"]) if isinstance(record["quality"], int | float) else None
    return Verdict(positive, negative, quality, tuple(map(str, record["said"])) if isinstance(record["said"], list) else ())
