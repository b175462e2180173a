"""Write what was measured: JSON with everything, Markdown to read, and the trade-off as SVG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..negbench.plots import Panel, write_plot
from ..negbench.scores import best_negative
from .run import Results

COLUMNS = ("gone", "things gone", "never: content", "never: pixels", "positive", "distance", "named", "named in vain")
PERCENT = {"never: content", "never: pixels"}
# How often the content of pictures that never had anything may change, where ways are compared.
LEVELS = (0.05, 0.1, 0.2)
PANELS = (Panel("kept", "unchanged pictures of those that never had it", 0.0), Panel("positive", "positive score", 0.5))

EXPLAINED = """
Each list names eight things that must be kept out whatever is asked for, and every prompt is run under every list. Static: the negative prompt is the whole list.
VL-DNP: the demo's vision-language model is asked for the list at the paper's steps, and what it sees is the negative; accumulated: what was seen once stays;
late: answers come three steps of twenty after the question, as from a model on another device that takes as long as the paper's.

- **gone**: of the pictures that show something listed without a negative, the share that shows nothing listed. **things gone**: the share of the listed
  things, counted one by one.
- **never: content**, **pixels**: of the pictures that show nothing listed without a negative, the share in which the judge sees any label more or less, and the
  mean absolute difference of the pixels. Both should be 0.
- **positive**: the thing that was asked for is there. **distance**: Frechet distance to drawn pictures of the prompts, with what is listed drawn where it was seen.
- **named**: of the pictures that would have had something listed, the share for which the vision-language model named it at some step; **named in vain**: of the
  others, the share for which it named anything.
"""


def best_at(runs: Sequence[dict[str, Any]], method: str, changed: float) -> float:
    """Give the highest share gone that a way reaches while it changes at most this share of the others; a straight line between two strengths."""
    own = [(1 - run["never: content"], run["gone"]) for run in runs if run["method"] == method]
    return best_negative([(1.0, 0.0), *own], 1 - changed)


def dominated(runs: Sequence[dict[str, Any]], static: str) -> dict[float, list[str]]:
    """Give for each strength of a static negative what dominates it (the paper's figure 2): the same mechanism watched, at some strength with at least as much
    gone and as many pictures left alone, and more of one of them.
    """
    rivals = [run for run in runs if run["rival"] == static]
    found: dict[float, list[str]] = {}
    for one in (run for run in runs if run["method"] == static):
        better = [
            f"{run['method']} {run['strength']:g}"
            for run in rivals
            if (run["gone"], -run["never: content"]) != (one["gone"], -one["never: content"])
            and run["gone"] >= one["gone"]
            and run["never: content"] <= one["never: content"]
        ]
        found[one["strength"]] = better
    return found


def _domination(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Check the paper's claim that watching dominates every static point."""
    tables = {static: dominated(runs, static) for static in dict.fromkeys(run["rival"] for run in runs if run["rival"])}
    points = [better for table in tables.values() for better in table.values()]
    lines = ["", "## Static points that a watched one dominates", ""]
    lines += [
        f"{sum(map(bool, points))} of {len(points)}: with the same mechanism at least as much is gone, and at least as many of the others stay."
    ]
    lines += ["", "| static | strength | dominated by |", "|---|---:|---|"]
    for static, table in tables.items():
        lines += [f"| {static} | {strength:g} | {', '.join(better) or '-'} |" for strength, better in table.items()]
    return lines


def write_json(results: Results, path: Path, about: dict[str, Any]) -> None:
    """Write all numbers."""
    runs = [{key: round(value, 5) if isinstance(value, float) else value for key, value in run.items()} for run in results.runs]
    path.write_text(json.dumps({**about, "pictures": len(results.rows), "runs": runs}, indent=1) + "\n", encoding="utf-8")


def write_markdown(results: Results, path: Path, about: dict[str, Any]) -> None:
    """Write the tables."""
    count = len(results.rows)
    had = {run["variant"]: run["had"] for run in results.runs}
    lines = ["# A vision-language model against lists", ""]
    lines += [f"{count} pictures for a line; something listed is in {', '.join(f'{share:.0%} ({name})' for name, share in had.items())} of them without a "
              f"negative. {about['host']}, {about['machine']}; all in {about['seconds'] / 60:.1f} minutes. Made by `benchmarks/negation.py --watched`.", ""]  # fmt: skip
    lines += ["## Best share gone while at most this share of the others changes", ""]
    lines += [f"| | {' | '.join(f'{level:.0%}' for level in LEVELS)} |", "|---|" + "---:|" * len(LEVELS)]
    for method in dict.fromkeys(run["method"] for run in results.runs if run["gone"] > 0 or run["strength"] > 0):
        lines.append(f"| {method} | {' | '.join(f'{best_at(results.runs, method, level):.2f}' for level in LEVELS)} |")
    lines += _domination(results.runs)
    lines += ["", "## All runs", "", f"| way | strength | {' | '.join(COLUMNS)} |", "|---|---:|" + "---:|" * len(COLUMNS)]
    for run in results.runs:
        cells = [
            f"{run[key]:.1%}" if key in PERCENT else "" if key.startswith("named") and not run["watched"] else f"{run[key]:.3g}"
            for key in COLUMNS
        ]
        lines.append(f"| {run['method']} | {run['strength']:g} | {' | '.join(cells)} |")
    path.write_text("\n".join([*lines, EXPLAINED]), encoding="utf-8")


def write_curves(results: Results, path: Path) -> None:
    """Draw figure 2 of the paper: what is kept out over what is left as it was."""
    runs = [{**run, "kept": 1 - run["never: content"], "negative": run["gone"], "group": _group(run["method"])} for run in results.runs]
    write_plot(runs, path, PANELS, "share gone")


def _group(way: str) -> str:
    """Give the way of which this is a variant: they share a colour."""
    return way.removesuffix(", accumulated").removesuffix(", late")
