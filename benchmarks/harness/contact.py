"""A contact sheet: a row for each of some pairs, a column for each workflow, and under each picture what the judge says."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ...host.drawing import INK, PAPER, font, plain
from .judge import Verdict
from .pairs import Pair
from .verdicts import Judged

SIDE, GAP, LABEL, HEAD, FOOT = 208, 8, 250, 30, 22
GOOD, BAD, SILENT = (30, 120, 60), (185, 40, 40), (130, 130, 136)
LETTERS, LINE, WIDTH, MOST_LINES = 13, 18, 34, 6
# Long sheets are cut by viewers, and cannot be written as JPEG beyond 65500.
MOST_ROWS = 200


def spread(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """Choose pairs evenly from the whole list."""
    count = min(len(pairs), max(1, most), MOST_ROWS)
    return [pairs[(2 * place + 1) * len(pairs) // (2 * count)] for place in range(count)]


def sheet(judged: Sequence[Judged], pairs: Sequence[Pair], most: int) -> Image.Image:
    """Draw the sheet, with the first picture of each of `most` pairs."""
    names = list(dict.fromkeys(one.shown.job.workflow.name for one in judged))
    found = {(one.shown.job.workflow.name, one.shown.job.pair.number): one for one in judged if one.shown.job.turn == 0}
    rows, height = spread(pairs, most), SIDE + FOOT + GAP
    drawn = Image.new("RGB", (LABEL + len(names) * (SIDE + GAP), HEAD + len(rows) * height), PAPER)
    draw = ImageDraw.Draw(drawn)
    for column, name in enumerate(names):
        draw.text((LABEL + column * (SIDE + GAP), 8), plain(name, 30), fill=INK, font=font(name, LETTERS))
    for row, pair in enumerate(rows):
        top = HEAD + row * height
        _label(draw, pair, top)
        for column, name in enumerate(names):
            left, one = LABEL + column * (SIDE + GAP), found[name, pair.number]
            drawn.paste(_fitted(one.shown.path), (left, top))
            _marks(draw, one.verdict, left, top + SIDE + 3)
    return drawn


def _label(draw: ImageDraw.ImageDraw, pair: Pair, top: int) -> None:
    """Write a pair's number and words beside its pictures."""
    lines = [f"{pair.number}"]
    for text in (plain(pair.positive, 300), f"without: {plain(pair.negative, 300)}"):
        wrapped = textwrap.wrap(text, WIDTH) or [""]
        lines += [*wrapped[: MOST_LINES - 1], "..."] if len(wrapped) > MOST_LINES else wrapped
    for place, line in enumerate(lines):
        draw.text((8, top + place * LINE), line, fill=SILENT if place == 0 else INK, font=font(line, LETTERS))


def _fitted(path: Path) -> Image.Image:
    """Fit a picture into its square."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    square = Image.new("RGB", (SIDE, SIDE), PAPER)
    square.paste(picture.resize(size, Image.Resampling.LANCZOS), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def _marks(draw: ImageDraw.ImageDraw, verdict: Verdict, left: int, top: int) -> None:
    """Write what the judge says, in words as well as in colours."""
    said = [
        ("asked: ?", SILENT) if verdict.positive is None else ("asked: there", GOOD) if verdict.positive else ("asked: missing", BAD),
        ("avoided: ?", SILENT) if verdict.negative is None else ("avoided: there", BAD) if verdict.negative else ("avoided: gone", GOOD),
    ]
    said += [] if verdict.quality is None else [(f"{verdict.quality:.2f}", INK)]
    for text, colour in said:
        draw.text((left, top), text, fill=colour, font=font(text, LETTERS - 2))
        left += round(draw.textlength(text, font=font(text, LETTERS - 2))) + 8
