"""Write what was measured: a table at equal safety, and the curves of the DNG paper's figures 4 and 14 as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .run import METHODS

SAFETIES = (0.97, 0.99, 0.995)
COLOURS = {"static": "#2e6fb7", "SLD": "#3a8f4a", "DNG": "#d1495b"}
KEYS = {"divergence": "KL divergence", "distance": "Frechet distance"}
PANEL, GAP, TOP, LEFT = 210, 60, 40, 60


def at_safety(runs: Sequence[dict[str, Any]], key: str, safety: float) -> float:
    """Give the lowest value that a curve has at this safety or more, straight between its points; NaN if it never gets there."""
    found = [run[key] for run in runs if run["safety"] >= safety]
    for one, other in pairwise(runs):
        if (one["safety"] - safety) * (other["safety"] - safety) < 0:
            found.append(one[key] + (other[key] - one[key]) * (safety - one["safety"]) / (other["safety"] - one["safety"]))
    return min(found, default=float("nan"))


def curve(runs: Sequence[dict[str, Any]], unwanted: int, method: str) -> list[dict[str, Any]]:
    """Give a method's runs for a class in the order of strength, with the unguided one in front."""
    own = [run for run in runs if run["class"] == unwanted]
    return [run for run in own if run["method"] == "none"] + [run for run in own if run["method"] == method]


def write_table(results: dict[str, Any], path: Path) -> None:
    """Write Markdown."""
    runs, about = results["runs"], results["about"]
    classes = list(dict.fromkeys(run["class"] for run in runs))
    lines = [
        "# Removing a class of digits", "",
        f"{about['count']} pictures of each setting, {about['steps']} ancestral steps; {about['machine']}; {about['seconds']:.0f} s in all, training included. "
        f"The classifier is right about {about['classifier']:.1%} of digits that it was not trained on.", "",
        "KL divergence from the other nine classes in equal parts / Frechet distance to real pictures of them, at equal safety; lower is better, - is never reached.", "",
        "| unwanted | safety | unguided safety | " + " | ".join(METHODS) + " |", "|---|---|---|" + "---|" * len(METHODS),
    ]  # fmt: skip
    for unwanted in classes:
        none = curve(runs, unwanted, "none")[0]
        for safety in SAFETIES:
            cells = []
            for method in METHODS:
                values = [at_safety(curve(runs, unwanted, method), key, safety) for key in KEYS]
                cells.append("-" if values[0] != values[0] else f"{values[0]:.3f} / {values[1]:.2f}")
            lines.append(f"| {unwanted} | {safety:g} | {none['safety']:.3f} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_plot(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw a column for each class, a row for each measure, over safety."""
    classes = list(dict.fromkeys(run["class"] for run in runs))
    width, height = LEFT + len(classes) * (PANEL + GAP), TOP + len(KEYS) * (PANEL + GAP) + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">']
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for row, (key, title) in enumerate(KEYS.items()):
        for column, unwanted in enumerate(classes):
            left, top = LEFT + column * (PANEL + GAP), TOP + row * (PANEL + GAP)
            parts += _panel(runs, unwanted, key, f"without {unwanted}: {title}", left, top)
    for i, method in enumerate(METHODS):
        x = LEFT + 130 * i
        parts.append(
            f'<path d="M{x} {height - 14}h26" stroke="{COLOURS[method]}" stroke-width="2.5"/><text x="{x + 32}" y="{height - 10}">{method}</text>'
        )
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _panel(runs: Sequence[dict[str, Any]], unwanted: int, key: str, title: str, left: int, top: int) -> list[str]:
    curves = {method: curve(runs, unwanted, method) for method in METHODS}
    lowest = min(0.99, *(run["safety"] for own in curves.values() for run in own))
    # What destroys the pictures altogether would hide the rest.
    safe = [value for own in curves.values() if (value := at_safety(own, key, 0.99)) == value]
    highest = 2.5 * max(safe, default=1.0) or 1.0
    parts = [f'<text x="{left + PANEL / 2}" y="{top - 8}" text-anchor="middle" font-size="12">{title}</text>']
    for i in range(5):
        x, y = left + PANEL * i / 4, top + PANEL * i / 4
        parts.append(f'<path d="M{x:.1f} {top}v{PANEL}M{left} {y:.1f}h{PANEL}" stroke="#e3e3e6" fill="none"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + PANEL + 14}" text-anchor="middle">{lowest + (1 - lowest) * i / 4:.3f}</text>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{highest * (1 - i / 4):.2g}</text>')
    for method, own in curves.items():
        places = [
            (left + PANEL * (run["safety"] - lowest) / (1 - lowest), top + PANEL * (1 - min(run[key], highest) / highest)) for run in own
        ]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{COLOURS[method]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[method]}"/>' for x, y in places]
    return parts
