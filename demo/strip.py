"""Lay pictures out as a strip: a row for each prompt, a column for each way of guiding, and the attention map beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, LABEL, HEAD = 192, 8, 210, 30
INK, PAPER = (50, 50, 56), (250, 250, 250)
# Dark blue to yellow, even in brightness.
COLOURS = np.array([[13, 8, 60], [74, 20, 110], [140, 42, 105], [205, 74, 70], [245, 135, 40], [252, 215, 90]], dtype=np.float32)


def heat(shares: np.ndarray) -> Image.Image:
    """Colour a map [h, w]: dark is its least value, yellow its greatest."""
    spread = float(shares.max() - shares.min()) or 1.0
    place = (shares - shares.min()) / spread * (len(COLOURS) - 1)
    channels = [np.interp(place, np.arange(len(COLOURS)), COLOURS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def strip(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """Draw rows of (label, one picture for each column); a label may have several lines."""
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", (LABEL + len(columns) * (SIDE + GAP), HEAD + len(rows) * (SIDE + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, name in enumerate(columns):
        draw.text((LABEL + place * (SIDE + GAP), 6), name, fill=INK, font=font)
    for index, (label, pictures) in enumerate(rows):
        top = HEAD + index * (SIDE + GAP)
        draw.multiline_text((10, top + 60), label, fill=INK, font=font, spacing=8)
        for place, picture in enumerate(pictures):
            sheet.paste(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST), (LABEL + place * (SIDE + GAP), top))
    return sheet
