"""Draw the trade-off curves of the VSF paper's figure 7, as SVG: positive score and distance, both over the negative score."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

COLOURS = {
    "none": "#222222", "VSF": "#d1495b", "NAG": "#2e6fb7", "NASA": "#3a8f4a", "flip": "#9a7b4f", "NegPip": "#8e5bb5",
    "CFG, few steps": "#e08a1e", "guided, none": "#999999", "guided, CFG": "#1b9e9e",
    "guided, ancestral": "#bbbbbb", "static": "#6a7fdb", "DNG": "#c2185b", "SLD": "#7cb342", "Perp-Neg": "#ffb300",
}  # fmt: skip
SPARE = "#555555"
WIDTH, HEIGHT, PANEL, LEFT, TOP = 980, 470, 400, 62, 34
DASHES = ("", "6 4", "2 3")


def write_plot(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Write both panels and a legend; every curve starts at "none"."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 100}" font-family="sans-serif" font-size="12">']
    parts += ['<rect width="100%" height="100%" fill="white"/>']
    lowest = min(0.5, min(run["positive"] for run in runs) // 0.1 / 10)
    parts += _panel(runs, LEFT, "positive", (lowest, 1.0), "positive score")
    distances = [run["distance"] for run in runs]
    parts += _panel(runs, LEFT + PANEL + 80, "distance", (max(distances) * 1.05, 0.0), "distance to drawn pictures (up is better)")
    parts += _legend(runs)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _curves(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give each method's runs, with the unguided one in front where it is of the same model."""
    none = [run for run in runs if run["method"] == "none"]
    curves = {}
    for name in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == name]
        curves[name] = own if name == "none" or own[0]["variant"] != "few_step" else [*none, *own]
    return curves


def _style(runs: Sequence[dict[str, Any]], name: str) -> tuple[str, str]:
    """Give a method's colour, its group's, and its dashes, by its place in the group."""
    group = next(run["group"] for run in runs if run["method"] == name)
    names = list(dict.fromkeys(run["method"] for run in runs if run["group"] == group))
    return COLOURS.get(group, SPARE), DASHES[names.index(name) % len(DASHES)]


def _panel(runs: Sequence[dict[str, Any]], left: int, key: str, ends: tuple[float, float], title: str) -> list[str]:
    low, high = ends

    def place(run: dict[str, Any]) -> tuple[float, float]:
        return left + PANEL * run["negative"], TOP + PANEL * (high - run[key]) / (high - low)

    parts = [f'<text x="{left + PANEL / 2}" y="20" text-anchor="middle" font-size="14">{title}</text>']
    for i in range(6):
        x, y, value = left + PANEL * i / 5, TOP + PANEL * i / 5, high + (low - high) * i / 5
        parts.append(f'<path d="M{x:.1f} {TOP}v{PANEL}M{left} {y:.1f}h{PANEL}" stroke="#e3e3e6" fill="none"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + PANEL + 17}" text-anchor="middle">{i / 5:g}</text>')
        parts.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{value:.2g}</text>')
    parts.append(f'<text x="{left + PANEL / 2}" y="{TOP + PANEL + 34}" text-anchor="middle">negative score</text>')
    for name, own in _curves(runs).items():
        colour, dashes = _style(runs, name)
        points = [place(run) for run in own]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        for run, (x, y) in zip(own, points, strict=True):
            hint = escape(f"{run['method']} {run['strength']:g}: negative {run['negative']:.3f}, {key} {run[key]:.3f}")
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"><title>{hint}</title></circle>')
    return parts


def _legend(runs: Sequence[dict[str, Any]]) -> list[str]:
    parts = []
    for i, name in enumerate(_curves(runs)):
        colour, dashes = _style(runs, name)
        x, y = LEFT + (i % 4) * 225, HEIGHT + 8 + 18 * (i // 4)
        parts.append(f'<path d="M{x} {y}h26" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dashes}"/>')
        parts.append(f'<circle cx="{x + 13}" cy="{y}" r="3.5" fill="{colour}"/><text x="{x + 33}" y="{y + 4}">{escape(name)}</text>')
    return parts
