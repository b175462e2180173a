"""What was measured, as numbers and as a table. Nothing in it says where or when it ran: the same verdicts give the same table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .intervals import Estimate, difference, mean, paired, share
from .judge import Verdict
from .pairs import Pair
from .trouble import short
from .verdicts import Judged

Value = Callable[[Verdict], float | None]


def _positive(verdict: Verdict) -> float | None:
    return None if verdict.positive is None else float(verdict.positive)


def _negative(verdict: Verdict) -> float | None:
    return None if verdict.negative is None else float(not verdict.negative)


def _both(verdict: Verdict) -> float | None:
    """Tell whether all is as asked. One answer that says no is enough to know."""
    scores = (_positive(verdict), _negative(verdict))
    return 0.0 if 0.0 in scores else None if None in scores else 1.0


def _quality(verdict: Verdict) -> float | None:
    return verdict.quality


SCORES: dict[str, Value] = {"positive": _positive, "negative": _negative, "both": _both, "quality": _quality}
EXPLAINED = """
**positive**: share of pictures that show what was asked for; **negative**: share that do not show what was to be avoided (higher is better); **both**: share
of which both holds; **quality**: mean of the judge's marks, 0 to 1. In brackets: 95 % intervals. Shares: Wilson's, with the number of pictures divided by
the design effect where a pair has several; their differences, taken picture by picture: Bonett and Price's over pairs; quality: bootstrap over pairs. They
hold the chance of pairs and seeds, not the judge's mistakes. **no answer**: answers of the judge that could not be read, which count nowhere else.
"""


@dataclass(frozen=True)
class About:
    """Say what was compared."""

    judge: str
    way: str
    seeds: int


class Results:
    """Hold all verdicts: for each workflow, for each pair, its pictures in turn."""

    def __init__(self, judged: Sequence[Judged], pairs: Sequence[Pair], about: About) -> None:
        self.pairs, self.about = list(pairs), about
        self.names = list(dict.fromkeys(one.shown.job.workflow.name for one in judged))
        found: dict[str, dict[int, dict[int, Verdict]]] = {name: {} for name in self.names}
        for one in judged:
            job = one.shown.job
            found[job.workflow.name].setdefault(job.pair.number, {})[job.turn] = one.verdict
        self.verdicts = {
            name: [[turns[turn] for turn in sorted(turns)] for turns in (by_pair[pair.number] for pair in self.pairs)]
            for name, by_pair in found.items()
        }

    def values(self, name: str, score: str, category: str | None = None) -> list[list[float | None]]:
        """List one score of all pictures of a workflow, for each pair (of a category)."""
        chosen = zip(self.pairs, self.verdicts[name], strict=True)
        return [[SCORES[score](verdict) for verdict in turns] for pair, turns in chosen if category in (None, pair.category)]

    def estimate(self, name: str, score: str, category: str | None = None) -> Estimate:
        groups = [[value for value in values if value is not None] for values in self.values(name, score, category)]
        return mean(groups) if score == "quality" else share(groups)

    def apart(self, name: str, score: str) -> Estimate:
        """Estimate how much higher a score is than the first workflow's."""
        groups = paired(self.values(self.names[0], score), self.values(name, score))
        return mean(groups) if score == "quality" else difference(groups)

    def silent(self, name: str, score: str) -> int:
        """Count the pictures without an answer."""
        return sum(value is None for values in self.values(name, score) for value in values)

    def pictures(self, name: str) -> int:
        return sum(map(len, self.verdicts[name]))

    @property
    def categories(self) -> list[str]:
        return list(dict.fromkeys(pair.category for pair in self.pairs))

    @property
    def scores(self) -> list[str]:
        """List the scores that this way of asking gives."""
        return [score for score in SCORES if score != "quality" or self.about.way == "questions"]


def markdown(results: Results) -> str:
    """Write the tables."""
    about, scores = results.about, results.scores
    asked = "questions" if about.way == "questions" else "naming what is there"
    seeds = f"{about.seeds} seed{'s' * (about.seeds > 1)}"
    lines = ["# Negation, judged", "", f"{len(results.pairs)} pairs, {seeds} each. Judge: {_cell(about.judge)}, by {asked}.", ""]
    lines += [f"| workflow | pictures | {' | '.join(scores)} | no answer |", "|---|---:|" + "---|" * len(scores) + "---|"]
    for name in results.names:
        silent = ", ".join(f"{score} {results.silent(name, score)}" for score in scores if score != "both" and results.silent(name, score))
        found = " | ".join(_share(results.estimate(name, score)) for score in scores)
        lines.append(f"| {_cell(name)} | {results.pictures(name)} | {found} | {silent or 'none'} |")
    if len(results.names) > 1:
        lines += [
            "",
            f"## Higher than {_cell(results.names[0])} by",
            "",
            f"| workflow | {' | '.join(scores)} |",
            "|---|" + "---|" * len(scores),
        ]
        lines += [f"| {_cell(name)} | {' | '.join(_apart(results.apart(name, score)) for score in scores)} |" for name in results.names[1:]]
    if len(results.categories) > 1:
        lines += ["", "## Negative score by category", "", f"| category | pairs | {' | '.join(map(_cell, results.names))} |"]
        lines += ["|---|---:|" + "---|" * len(results.names)]
        for category in results.categories:
            found = " | ".join(_share(results.estimate(name, "negative", category)) for name in results.names)
            lines.append(f"| {_cell(category)} | {sum(pair.category == category for pair in results.pairs)} | {found} |")
    return "\n".join(lines) + "\n" + EXPLAINED


def as_json(results: Results) -> str:
    """Write all numbers, and the verdict of every picture."""
    runs = {
        name: {
            "pictures": results.pictures(name),
            **{score: _numbers(results.estimate(name, score)) for score in results.scores},
            "no answer": {score: results.silent(name, score) for score in results.scores},
            "higher than the first": {score: _numbers(results.apart(name, score)) for score in results.scores},
            "negative by category": {category: _numbers(results.estimate(name, "negative", category)) for category in results.categories},
        }
        for name in results.names
    }
    pairs = [
        {"number": pair.number, "category": pair.category, "positive": pair.positive, "negative": pair.negative,
         "verdicts": {name: [_told(verdict) for verdict in results.verdicts[name][place]] for name in results.names}}
        for place, pair in enumerate(results.pairs)
    ]  # fmt: skip
    content = {"judge": results.about.judge, "ask": results.about.way, "seeds": results.about.seeds, "workflows": runs, "pairs": pairs}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _told(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict; `positive` and `negative` say what is there."""
    return {"positive": verdict.positive, "negative": verdict.negative, "quality": verdict.quality, "said": list(verdict.said)}


def _numbers(found: Estimate) -> dict[str, float | int | None]:
    named = {"value": found.value, "low": found.low, "high": found.high}
    return {**{key: None if math.isnan(value) else round(value, 5) for key, value in named.items()}, "of": found.count}


def _share(found: Estimate) -> str:
    return "-" if not found.count else f"{found.value:.3f} [{found.low:.2f}, {found.high:.2f}]"


def _apart(found: Estimate) -> str:
    return "-" if not found.count else f"{found.value:+.3f} [{found.low:+.2f}, {found.high:+.2f}]"


def _cell(text: str) -> str:
    """Write text that others chose so that it stays in its cell."""
    return short(text, 80).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
