"""Put pictures of some pairs side by side, a column for each method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .results import Results

# (thing, target): easy and hard parts, a companion, styles.
SHOWN = (
    ("house", "chimney"), ("face", "glasses"), ("snowman", "hat"), ("tree", "apples"), ("boat", "sail"), ("car", "wheels"),
    ("balloon", "basket"), ("rocket", "moon"), ("castle", "hatched"), ("cup", "sepia"),
)  # fmt: skip
SIDE, GAP, LABEL, HEAD = 112, 6, 150, 40
PAPER, INK = (255, 255, 255), (40, 40, 46)


def write_strip(results: Results, path: Path) -> None:
    """Write the strip, with each group at the strength that has most pictures with the thing and without the target."""
    columns = best_of_groups(results.runs)
    rows = [place for target in SHOWN for place, pair in enumerate(results.pairs) if (pair.thing, *pair.targets) == target]
    firsts = list({results.pairs[place].targets + (results.pairs[place].thing,): place for place in reversed(rows)}.values())[::-1]
    size = LABEL + len(columns) * (SIDE + GAP) + GAP, HEAD + len(firsts) * (SIDE + GAP) + GAP
    sheet = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, run in enumerate(columns):
        x = LABEL + GAP + column * (SIDE + GAP)
        draw.multiline_text((x, 6), _head(run), fill=INK, font=font, spacing=2)
        for line, place in enumerate(firsts):
            picture = results.pictures[run["method"], run["strength"]][place]
            sheet.paste(_image(picture), (x, HEAD + GAP + line * (SIDE + GAP)))
    for line, place in enumerate(firsts):
        pair = results.pairs[place]
        words = f"{_wrapped(pair.positive)}\n\nnegative:\n{pair.negative}"
        draw.multiline_text((8, HEAD + GAP + line * (SIDE + GAP) + 22), words, fill=INK, font=font, spacing=2)
    sheet.save(path, quality=90)


def best_of_groups(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the run of each group with the most pictures that show the thing without the target."""
    groups = dict.fromkeys(run["group"] for run in runs)
    return [max((run for run in runs if run["group"] == group), key=lambda run: run["both"]) for group in groups]


def _head(run: dict[str, Any]) -> str:
    return run["group"] if run["group"] == "none" else f"{run['group']}\n{run['strength']:g}"


def _wrapped(text: str, width: int = 20) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(lines)


def _image(picture: Tensor) -> Image.Image:
    """Enlarge a picture, uint8 [3, 64, 64]."""
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
