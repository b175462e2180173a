"""What a vision-language model was shown and said during a run, drawn with Pillow: a row for each question."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

from .drawing import INK, font, plain
from .report import RunReport, Shown
from .report_text import what_came
from .thumbnail import SIDE

FRAME_HEIGHT = SIDE + 12
# As many as are read; the report's text has all.
MOST_FRAMES = 20
TEXT_COLUMNS, TEXT_LINES, LINE = 78, 6, 15


@dataclass(frozen=True)
class Frame:
    """Hold one question: the JPEG file that was shown (empty: a replayed run, which shows nothing), and what is written beside it."""

    picture: bytes
    lines: tuple[str, ...]


def frames(report: RunReport) -> list[Frame]:
    """List the questions of a run, the last ones where there were too many to draw."""
    asked = [
        _frame(entry, shown)
        for transcript, shown in zip(report.watched, report.shown, strict=True)
        for entry in transcript["entries"]
        if entry["kind"] not in ("unchanged", "busy")
    ]
    return asked[-MOST_FRAMES:]


def draw_film(picture: Image.Image, top: int, film: list[Frame]) -> None:
    """Draw the questions below each other, from `top` on."""
    draw = ImageDraw.Draw(picture)
    for number, frame in enumerate(film):
        upper = top + number * FRAME_HEIGHT
        if frame.picture:
            picture.paste(Image.open(BytesIO(frame.picture)), (12, upper))
        for row, line in enumerate(frame.lines):
            draw.text((24 + SIDE, upper + row * LINE), line, fill=INK, font=font(line))


def _frame(entry: dict, shown: Shown) -> Frame:
    said = what_came(entry["kind"], plain(entry["answer"], 240))
    used = (
        "" if entry["used"] is None else f"from step {entry['used'] + 1} away from: {plain(', '.join(entry['negative']), 160) or 'nothing'}"
    )
    head = f"step {entry['asked'] + 1}, picture {entry['picture'] + 1}, {entry['seconds']:.2f} s"
    lines = [head, *textwrap.wrap(said, TEXT_COLUMNS)[: TEXT_LINES - 3], *textwrap.wrap(used, TEXT_COLUMNS)[:2]]
    return Frame(shown.pictures.get((entry["asked"], entry["picture"]), b""), tuple(lines))
