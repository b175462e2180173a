"""Write what was compared: a table for every model of every world, curves of the tuning, and everything as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .results import Compared

Results = Mapping[tuple[str, str], Sequence[Compared]]
SCORES = {
    "worth": "worth", "positive": "positive", "negative": "negative", "both": "both", "distance": "distance", "changed": "unrelated: content",
    "pixels": "unrelated: pixels",
}  # fmt: skip
EXPLAINED = (
    "positive: the thing that was asked for is there; negative: nothing of what was to be avoided is; both: both; distance: of the judge's features "
    "to those of drawn pictures (Frechet, lower is better; only comparable within a table); unrelated: share of pictures in which the judge sees something "
    "else, and mean change of the pixels, when the negative names what is not there anyway (lower is better); worth: both less unrelated content; time: "
    "sampling, over the same without a negative. In brackets: 95 % of 400 draws of the pairs. A strength in bold is the one that is worth most on the "
    "tuning half, the others are its neighbours; * marks a difference whose interval leaves out 0."
)


def known(file: Path) -> dict[tuple[str, str], list[Compared]]:
    """Read what was compared before; models that are not compared anew stay as they were."""
    kept = json.loads(file.read_text(encoding="utf-8"))["compared"] if file.exists() else {}
    return {(name.split("/")[0], name.split("/")[1]): [Compared(**one) for one in found] for name, found in kept.items()}


def write_json(results: Results, file: Path, about: Mapping[str, Any]) -> None:
    compared = {f"{world}/{variant}": [one._asdict() for one in found] for (world, variant), found in sorted(results.items())}
    file.write_text(json.dumps({"about": about, "compared": compared}, indent=1) + "\n", encoding="utf-8")


def write_markdown(results: Results, file: Path, about: Mapping[str, Any]) -> None:
    lines = ["# Forms of attention guidance, compared on what they were not tuned on", "", EXPLAINED, ""]
    lines += [f"{about['host']}, {about['machine']}; {about['minutes']:.0f} minutes. Made by `benchmarks/mechanisms.py`.", ""]
    for (world, variant), found in sorted(results.items()):
        lines += [f"## {world} world, {variant} model", "", *table(found), ""]
        for other in dict.fromkeys(name for one in found for name in one.difference):
            lines += [f"### Less {other}", "", *table(found, other), ""]
    file.write_text("\n".join(lines), encoding="utf-8")


def table(found: Sequence[Compared], other: str = "") -> list[str]:
    """Write the scores, or their difference from another entry's."""
    last = [] if other else ["time"]
    lines = [
        "| " + " | ".join(["mechanism", "strength", *SCORES.values(), *last]) + " |",
        "|---|---:" + "|---:" * (len(SCORES) + len(last)) + "|",
    ]
    for one in found:
        values = one.difference.get(other) if other else one.scores
        if values is not None:
            cells = [written(name, *values[name], compared=bool(other)) for name in SCORES]
            strength = f"**{one.strength:g}**" if one.tuned and one.entry != "none" else f"{one.strength:g}"
            lines.append("| " + " | ".join([one.entry, strength, *cells, *([] if other else [f"{one.cost:.2f}"])]) + " |")
    return lines


def written(name: str, value: float, low: float, high: float, compared: bool) -> str:
    digits = 0 if name == "distance" else 3
    sign = "+" if compared else ""
    text = f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
    return text + (" *" if compared and (low > 0 or high < 0) else "")
