"""Draw what was compared, as SVG: for every model of every world what a fitting negative does, over what an unrelated one changes, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from .results import Compared

COLOURS = {
    "none": "#222222", "VSF": "#d1495b", "VSF, offset -0.6": "#e08a8f", "NAG": "#2e6fb7", "NASA": "#3a8f4a", "all: contrast": "#8fd3bf",
    "words: VSF": "#8e5bb5", "words: NAG": "#7fb2e5", "words: contrast": "#00a07a", "words: whole": "#c2a000",
}  # fmt: skip
SPARE = "#555555"
WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 300, 60, 40, 90
ACROSS, UP = "changed", "both"


def write_curves(results: Mapping[tuple[str, str], Sequence[Compared]], path: Path) -> None:
    """Write a panel for each model, two in a row, and a legend."""
    models = sorted(results)
    rows = (len(models) + 1) // 2
    wide, high = LEFT + 2 * (WIDTH + GAP), TOP + rows * (HEIGHT + GAP) + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="12">']
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for place, model in enumerate(models):
        corner = LEFT + place % 2 * (WIDTH + GAP), TOP + place // 2 * (HEIGHT + GAP)
        parts += _panel(f"{model[0]} world, {model[1]}", results[model], *corner)
    parts += _legend(list(dict.fromkeys(one.entry for found in results.values() for one in found)), high - 50)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _panel(title: str, found: Sequence[Compared], left: float, top: float) -> list[str]:
    most = max(one.scores[ACROSS][2] for one in found), max(one.scores[UP][2] for one in found)
    parts = [f'<text x="{left}" y="{top - 10}" font-weight="bold">{escape(title)}</text>']
    parts.append(f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbbbbb"/>')
    for i in range(5):
        x, y = left + i / 4 * WIDTH, top + HEIGHT - i / 4 * HEIGHT
        parts.append(f'<text x="{x}" y="{top + HEIGHT + 16}" text-anchor="middle">{most[0] * i / 4:.2f}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{most[1] * i / 4:.2f}</text>')
    middle = left + WIDTH / 2
    parts.append(f'<text x="{middle}" y="{top + HEIGHT + 34}" text-anchor="middle">changed by an unrelated negative</text>')
    parts.append(
        f'<text transform="translate({left - 42} {top + HEIGHT / 2}) rotate(-90)" text-anchor="middle">thing there and unwanted gone</text>'
    )

    def at(across: float, up: float) -> tuple[float, float]:
        return left + across / most[0] * WIDTH, top + HEIGHT - up / most[1] * HEIGHT

    for entry in dict.fromkeys(one.entry for one in found):
        parts += _curve([one for one in found if one.entry == entry], at)
    return parts


def _curve(own: Sequence[Compared], at: object) -> list[str]:
    """Draw an entry's strengths, joined; what was tuned is filled."""
    assert callable(at)
    colour, parts = COLOURS.get(own[0].entry, SPARE), []
    points = [at(one.scores[ACROSS][0], one.scores[UP][0]) for one in sorted(own, key=lambda one: one.strength)]
    parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for one in own:
        x, y = at(one.scores[ACROSS][0], one.scores[UP][0])
        (low_x, high_x), (low_y, high_y) = ([at(*pair) for pair in pairs] for pairs in _ends(one))
        if one.tuned:
            for start, end in ((low_x, high_x), (low_y, high_y)):
                parts.append(
                    f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="{colour}" stroke-opacity=".45"/>'
                )
        fill = colour if one.tuned else "white"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}"/>')
    return parts


def _ends(one: Compared) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Give the ends of both intervals."""
    (across, left, right), (up, low, high) = one.scores[ACROSS], one.scores[UP]
    return [(left, up), (right, up)], [(across, low), (across, high)]


def _legend(names: Sequence[str], top: float) -> list[str]:
    parts = []
    for place, name in enumerate(names):
        x, y = LEFT + place % 5 * 170, top + place // 5 * 20
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{COLOURS.get(name, SPARE)}"/>')
        parts.append(f'<text x="{x + 10}" y="{y + 4}">{escape(name)}</text>')
    return parts
