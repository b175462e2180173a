"""Small pictures to be sent and kept as JPEG files."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

SIDE, QUALITY = 80, 65


def thumbnail(picture: Tensor) -> bytes:
    """Shrink a picture, [H, W, 3] in 0..1, and write it as a JPEG file."""
    pixels = (picture.float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return as_jpeg(Image.fromarray(np.ascontiguousarray(pixels)))


def as_jpeg(image: Image.Image) -> bytes:
    """Write a picture, shrunk, as a JPEG file."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
