"""A strip of pictures beside each other, with captions, and where they differ from the first."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.utils
import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from .drawing import INK, PAPER, font, heat, plain

# Pictures are shown as they are, but for those that are larger or smaller than one can look at.
TALLEST, SHORTEST = 1024, 256
GAP = 8
CAPTION_CHARACTERS = 200
DIFFERENT_COUNTS = "The pictures to compare come in batches of {counts}; give each as many pictures as the first has, or one, so that it is clear which belong together."


def compare(images: Sequence[Tensor], captions: Sequence[str], difference: bool) -> list[Image.Image]:
    """Draw a strip for each picture of the batch.

    images: [B, H, W, C] in 0..1 each, shown at the size of the first; one with a single picture stands beside all. difference: draw beside each further
    picture how far it is from the first, the mean absolute difference of its channels, yellow where it is largest in this strip.

    Raises ValueError when it is not clear which pictures belong together.
    """
    counts = [len(image) for image in images]
    if any(count not in (1, max(counts)) for count in counts):
        raise ValueError(DIFFERENT_COUNTS.format(counts=", ".join(map(str, counts))))
    height, width = images[0].shape[1:3]
    zoom = min(TALLEST / height, max(1.0, SHORTEST / height))
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    names = [plain(caption, CAPTION_CHARACTERS) for caption in captions]
    names += [str(number + 1) for number in range(len(names), len(images))]
    return [
        _strip([_pixels(image[i if len(image) > 1 else 0], (width, height)) for image in images], names, size, difference)
        for i in range(max(counts))
    ]


def _pixels(image: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Give a picture [H, W, C] as floats [h, w, 3] of this (width, height)."""
    shown = image[..., :3].float().clamp(0, 1).expand(-1, -1, 3)
    if (shown.shape[1], shown.shape[0]) != size:
        shown = comfy.utils.common_upscale(shown.movedim(-1, 0)[None], *size, "lanczos", "disabled")[0].movedim(0, -1)
    pixels: np.ndarray = shown.cpu().numpy()
    return pixels


def _strip(pictures: list[np.ndarray], names: list[str], size: tuple[int, int], difference: bool) -> Image.Image:
    columns = [(name, _image(pixels)) for name, pixels in zip(names, pictures, strict=True)]
    if difference:
        apart = [np.abs(pixels - pictures[0]).mean(axis=-1) for pixels in pictures[1:]]
        top = max((float(one.max()) for one in apart), default=0.0)
        shown = [(f"difference {one.mean():.1%}, yellow = {top:.0%}", heat(one / max(top, 1e-12))) for one in apart]
        columns = [columns[0], *(column for pair in zip(columns[1:], shown, strict=True) for column in pair)]
    letters = max(14, size[1] // 28)
    head = letters * 2
    sheet = Image.new("RGB", (len(columns) * (size[0] + GAP) - GAP, head + size[1]), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (name, picture) in enumerate(columns):
        left = number * (size[0] + GAP)
        sheet.paste(picture.resize(size, Image.Resampling.NEAREST if size[0] > picture.width else Image.Resampling.LANCZOS), (left, head))
        _caption(draw, name, left + 2, letters, size[0] - 4)
    return sheet


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def _caption(draw: ImageDraw.ImageDraw, text: str, left: int, size: int, width: int) -> None:
    """Write a caption over its picture, cut where the picture ends."""
    letters = font(text, size)
    while text and draw.textlength(text, font=letters) > width:
        text = text[:-4] + "..." if not text.endswith("...") else text[:-5] + "..."
        if len(text) <= 3:
            break
    draw.text((left, size // 3), text, fill=INK, font=letters)
