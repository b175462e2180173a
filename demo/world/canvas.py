"""Draw flat shapes at four times the size and shrink them: smooth edges, and one place that knows the styles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
SCALE = 4
INK = (25, 25, 30)

Colour = tuple[int, int, int]
Point = tuple[float, float]


class Canvas:
    """A picture of SIZE x SIZE pixels that is drawn in float pixel coordinates, origin top left.

    `style` is "" or one of demo.world.things.STYLES: "outline" changes every shape, the others the finished picture.
    """

    def __init__(self, style: str) -> None:
        self.style = style
        self._image = Image.new("RGB", (SIZE * SCALE, SIZE * SCALE))
        self._draw = ImageDraw.Draw(self._image)

    def _fill(self, colour: Colour) -> Colour:
        if self.style != "outline":
            return colour
        red, green, blue = (int(255 - 0.3 * (255 - value)) for value in colour)
        return red, green, blue

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.polygon(scaled, fill=self._fill(colour))
        if self.style == "outline":
            self._draw.line([*scaled, scaled[0], scaled[1]], fill=INK, width=SCALE + 1, joint="curve")

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        box = [(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE]
        if self.style == "outline":
            self._draw.ellipse(box, fill=self._fill(colour), outline=INK, width=SCALE + 1)
        else:
            self._draw.ellipse(box, fill=colour)

    def circle(self, x: float, y: float, r: float, colour: Colour) -> None:
        self.ellipse(x, y, r, r, colour)

    def ring(self, x: float, y: float, r: float, colour: Colour, width: float) -> None:
        """Draw a circle's rim, `width` pixels wide inwards."""
        box = [(x - r) * SCALE, (y - r) * SCALE, (x + r) * SCALE, (y + r) * SCALE]
        self._draw.ellipse(box, outline=colour, width=max(1, round(width * SCALE)))

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def background(self, sky: Colour, ground: Colour, horizon: float) -> None:
        """Fill everything; without ink, so that backgrounds stay quiet in every style."""
        self._draw.rectangle([0, 0, SIZE * SCALE, SIZE * SCALE], fill=self._fill(sky))
        self._draw.rectangle([0, horizon * SCALE, SIZE * SCALE, SIZE * SCALE], fill=self._fill(ground))

    def picture(self) -> np.ndarray:
        """Return the finished picture, uint8 [SIZE, SIZE, 3]."""
        return _styled(np.asarray(self._image.reduce(SCALE), dtype=np.float32), self.style)


def _styled(picture: np.ndarray, style: str) -> np.ndarray:
    if style == "sepia":
        grey = picture @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
        picture = 40 + 0.78 * grey[..., None] * np.array([1.05, 0.82, 0.55], dtype=np.float32)
    elif style == "night":
        picture = picture * np.array([0.42, 0.46, 0.68], dtype=np.float32)
    elif style == "hatched":
        # The period divides the autoencoder's cell of 8 pixels: a texture that a small latent space can carry.
        rows, columns = np.indices(picture.shape[:2])
        picture = np.where(((rows + columns) % 8 < 3)[..., None], picture * 0.6, picture)
    return np.clip(picture, 0, 255).astype(np.uint8)
