"""What pictures drawn with Pillow have in common: colours, letters, heat."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

INK, PAPER, GRID = (60, 60, 66), (250, 250, 250), (224, 224, 228)
# Dark blue to yellow, even in brightness, readable without colour.
COLOURS = np.array([[13, 8, 60], [74, 20, 110], [140, 42, 105], [205, 74, 70], [245, 135, 40], [252, 215, 90]], dtype=np.float32)
# Pillow's own letters are Latin; these are where systems have others.
WIDER_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "msyh.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
)
LATIN_END = 0x250


def font(text: str = "", size: int = 12) -> Font:
    """Give letters that can write a text, as far as this machine has them."""
    wider = max(map(ord, text), default=0) >= LATIN_END
    return (_wider_font(size) if wider else None) or ImageFont.load_default(size=size)


@cache
def _wider_font(size: int) -> Font | None:
    for name in WIDER_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


def plain(text: str, most: int) -> str:
    """Make one line of any text: without control characters and changes of direction, and not longer than `most`."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def heat(values: np.ndarray) -> Image.Image:
    """Colour a map [h, w] of values in 0..1: dark is 0, yellow 1."""
    place = np.clip(values, 0, 1) * (len(COLOURS) - 1)
    channels = [np.interp(place, np.arange(len(COLOURS)), COLOURS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
