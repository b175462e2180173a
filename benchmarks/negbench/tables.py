"""Write the results: JSON with everything, and Markdown to read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from .results import LEVELS, Results, at_level

COLUMNS = {
    "positive": "positive", "negative": "negative", "negative, hard": "negative, hard", "both": "both", "distance": "distance",
    "saturation ratio": "saturation", "unrelated pixel change": "unrelated: pixels", "unrelated content change": "unrelated: content", "Q": "Q",
    "time ratio": "time",
}  # fmt: skip
PERCENT = {"unrelated pixel change", "unrelated content change"}

EXPLAINED = """
- **positive**: share of pictures in which the judge sees the thing that was asked for. **negative**: share in which it sees nothing of what was to be
  avoided; **hard**: of the pairs with a part that nearly always comes (0.97), or a style. **both**: thing there and target gone.
- **distance**: Frechet distance of the judge's features to drawn pictures of the same prompts, with the target drawn where the judge saw it, so that
  taking something away costs nothing in itself. Lower is better.
- **saturation**: mean HSV saturation as a multiple of that without the negative, style pairs left out. Far from 1 is burnt or washed out. (The share of
  clipped pixels is in the JSON; a small autoencoder clips even good pictures, so it says less.)
- **unrelated**: how much the picture changes when the negative names what is not there: mean absolute difference of the pixels, and share of pictures in
  which the judge sees any label more or less. Both should be 0.
- **Q**: mean likeness (cosine of the judge's features, in place of CLIP) of guided and unguided picture for unrelated negatives, less that for related
  ones (DNG paper, equation 22). Higher is better.
- **time**: sampling a batch, as a multiple of none; the guided variant is another model with more steps.
"""


def write_json(results: Results, path: Path, about: dict[str, Any]) -> None:
    """Write all numbers and all pairs."""
    pairs = [{**dataclasses.asdict(pair), "positive": pair.positive} for pair in (*results.pairs, *results.unrelated)]
    content = {**about, "judge on drawn pictures": results.judge, "for comparison": results.other, "at equal positive score": levels(results),
               "runs": results.runs, "pairs": pairs}  # fmt: skip
    path.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if value == value else None
    return value


def levels(results: Results) -> dict[str, dict[str, float]]:
    """Give the best negative score of each group at the positive scores at which methods are compared."""
    groups = dict.fromkeys(run["group"] for run in results.runs)
    return {group: {f"{level:g}": at_level(results.runs, group, level) for level in LEVELS} for group in groups}


def write_markdown(results: Results, path: Path, about: dict[str, Any]) -> None:
    """Write the tables."""
    count = len(results.pairs) * results.seeds
    lines = ["# Negation in the demo world", ""]
    lines += [f"{len(results.pairs)} pairs ({sum(pair.hard for pair in results.pairs)} hard) and {len(results.unrelated)} unrelated ones, "
              f"{results.seeds} seeds, so {count} pictures for a line: two standard errors of a share are at most {count**-0.5:.2f}.", ""]  # fmt: skip
    lines += [f"{about['host']}, {about['machine']}; all in {about['seconds'] / 60:.1f} minutes. Made by `benchmarks/negation.py`.", ""]
    lines += ["## Best negative score at a positive score of at least", "", f"| | {' | '.join(f'{level:g}' for level in LEVELS)} |"]
    lines += ["|---|" + "---:|" * len(LEVELS)]
    lines += [f"| {group} | {' | '.join(_number(value) for value in values.values())} |" for group, values in levels(results).items()]
    lines += ["", "The best of all its settings, a straight line between two strengths; -: never.", "", "## All runs", ""]
    lines += [f"| method | strength | {' | '.join(COLUMNS.values())} |", "|---|---:|" + "---:|" * len(COLUMNS)]
    for run in results.runs:
        lines.append(f"| {run['method']} | {run['strength']:g} | {' | '.join(_cell(run, key) for key in COLUMNS)} |")
    drawn = results.judge
    lines += [EXPLAINED, f"The judge on the drawn pictures: sees the thing in {drawn['thing']:.3f}, the target gone in {drawn['gone, where it is']:.3f} where "
              f"it is gone, and there in {drawn['there, where it is']:.3f} where it is there.",
              *[f"For comparison, {name}: {value:.3g}." for name, value in results.other.items()]]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(run: dict[str, Any], key: str) -> str:
    value = run.get(key, float("nan"))
    return f"{100 * value:.1f} %" if key in PERCENT and value == value else _number(value)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}" if value < 10 else f"{value:.1f}"
