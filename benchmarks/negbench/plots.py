"""Draw the trade-off curves of the VSF paper's figure 7, as SVG: positive score and distance, both over the negative score."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

COLOURS = {
    "VSF, words only": "#ff8fa3", "guided, VSF": "#c9a0dc",
    "none": "#222222", "VSF": "#d1495b", "NAG": "#2e6fb7", "NASA": "#3a8f4a", "flip": "#9a7b4f", "NegPip": "#8e5bb5",
    "CFG, few steps": "#e08a1e", "guided, none": "#999999", "guided, CFG": "#1b9e9e",
    "VL-DNP, static strength": "#1a237e", "DNG, static words": "#f48fb1", "VL-DNP, DNG": "#880e4f", "VSF, static words": "#f2a19a",
    "VL-DNP, VSF": "#b71c1c", "NAG, static words": "#90c3f0", "VL-DNP, NAG": "#0d3c78",
    "guided, ancestral": "#bbbbbb", "static": "#6a7fdb", "DNG": "#c2185b", "SLD": "#7cb342", "Perp-Neg": "#ffb300",
}  # fmt: skip
SPARE = "#555555"
WIDTH, HEIGHT, PANEL, LEFT, TOP = 980, 470, 400, 62, 34
DASHES = ("", "6 4", "2 3")


class Panel(NamedTuple):
    """Say what a panel shows over the negative score, and the lowest value that it must have room for (None: it falls, from its highest to 0)."""

    key: str
    title: str
    lowest: float | None


PANELS = (Panel("positive", "positive score", 0.5), Panel("distance", "distance to drawn pictures (up is better)", None))


def write_plot(runs: Sequence[dict[str, Any]], path: Path, panels: Sequence[Panel] = PANELS, across: str = "negative score") -> None:
    """Write two panels and a legend; every curve starts at the unguided run of its model, if there is one."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 100}" font-family="sans-serif" font-size="12">']
    parts += ['<rect width="100%" height="100%" fill="white"/>']
    for place, panel in enumerate(panels):
        parts += _panel(runs, LEFT + place * (PANEL + 80), panel, across)
    parts += _legend(runs)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _curves(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give each method's runs, with the unguided one of the few-step model in front."""
    none = [run for run in runs if run["method"] == "none"]
    curves = {}
    for name in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == name]
        curves[name] = own if name == "none" or own[0]["variant"] != "few_step" else [*none, *own]
    return curves


def _ends(runs: Sequence[dict[str, Any]], panel: Panel) -> tuple[float, float]:
    """Give the values at the bottom and at the top of a panel."""
    values = [run[panel.key] for run in runs]
    return (max(values) * 1.05, 0.0) if panel.lowest is None else (min(panel.lowest, min(values) // 0.1 / 10), 1.0)


def _style(runs: Sequence[dict[str, Any]], name: str) -> tuple[str, str]:
    """Give a method's colour, its group's, and its dashes, by its place in the group."""
    group = next(run["group"] for run in runs if run["method"] == name)
    names = list(dict.fromkeys(run["method"] for run in runs if run["group"] == group))
    return COLOURS.get(group, SPARE), DASHES[names.index(name) % len(DASHES)]


def _panel(runs: Sequence[dict[str, Any]], left: int, panel: Panel, across: str) -> list[str]:
    low, high = _ends(runs, panel)
    key = panel.key

    def place(run: dict[str, Any]) -> tuple[float, float]:
        return left + PANEL * run["negative"], TOP + PANEL * (high - run[key]) / (high - low)

    parts = [f'<text x="{left + PANEL / 2}" y="20" text-anchor="middle" font-size="14">{panel.title}</text>']
    for i in range(6):
        x, y, value = left + PANEL * i / 5, TOP + PANEL * i / 5, high + (low - high) * i / 5
        parts.append(f'<path d="M{x:.1f} {TOP}v{PANEL}M{left} {y:.1f}h{PANEL}" stroke="#e3e3e6" fill="none"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + PANEL + 17}" text-anchor="middle">{i / 5:g}</text>')
        parts.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{value:.2g}</text>')
    parts.append(f'<text x="{left + PANEL / 2}" y="{TOP + PANEL + 34}" text-anchor="middle">{across}</text>')
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
