"""Draw the guidance fields of the DNG paper's figures 7 to 9: three points of which the lowest is unwanted, at one noise level.

    python benchmarks/fields.py --out docs/fields.png

Positive guidance towards the two others, static negative guidance away from the third, and DNG, which is to look like the first but is made of what the second
has. Arrows: the direction of what guidance adds to the score; colour: its size, the same scale in all three.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
POINTS = torch.tensor([[-1.0, 0.7], [1.0, 0.7], [0.0, -1.0]], dtype=torch.float64)
UNWANTED, SIGMA, REACH = 2, 0.6, 2.4
SIDE, ARROWS, MARGIN = 340, 17, 34
# Light to dark.
COLOURS = torch.tensor([[250, 250, 250], [251, 222, 170], [244, 158, 98], [214, 80, 90], [120, 30, 100], [40, 10, 60]], dtype=torch.float64)


def denoised(x: Tensor, points: Tensor) -> Tensor:
    """Give E[x0 | x] of equally likely points; x: [..., 2]."""
    return posterior(x, points) @ points


def posterior(x: Tensor, points: Tensor) -> Tensor:
    """Give the probability of each point: [..., points]."""
    return (-(x[..., None, :] - points).square().sum(-1) / (2 * SIGMA**2)).softmax(-1)


def fields(x: Tensor) -> dict[str, Tensor]:
    """Give what each guidance of strength 1 adds to the score at x [N, 2]."""
    from avert.guidance.score.combine import NegativeGuidance
    from avert.guidance.score.point import Moment, Point
    from avert.guidance.score.posterior import odds

    whole, unwanted, rest = denoised(x, POINTS), denoised(x, POINTS[[UNWANTED]]), denoised(x, POINTS[[0, 1]])
    moment = Moment(Point(1.0, SIGMA, x), whole, whole, unwanted, None, 1.0)
    static = NegativeGuidance(1.0, "positive").step(moment, None).change
    strength = odds(posterior(x, POINTS)[:, UNWANTED].log())
    changes = {"positive guidance to the others": rest - whole, "static negative guidance": static, "DNG": strength[:, None] * static}
    return {name: change / SIGMA**2 for name, change in changes.items()}


def grid(count: int, part: float = 1.0) -> Tensor:
    """Lay a grid over the picture or its middle part, row by row from the top."""
    line = torch.linspace(-REACH * part, REACH * part, count, dtype=torch.float64)
    y, x = torch.meshgrid(-line, line, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2)


def place(point: Tensor, left: int) -> tuple[float, float]:
    x, y = point.tolist()
    return left + SIDE * (x + REACH) / (2 * REACH), MARGIN + SIDE * (REACH - y) / (2 * REACH)


def draw(out: Path) -> None:
    """Draw the three panels."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=15)
    fine, coarse = fields(grid(SIDE)), fields(grid(ARROWS, 0.93))
    highest = max(float(field.norm(dim=1).max()) for field in list(fine.values())[:1])
    picture = Image.new("RGB", (MARGIN + len(fine) * (SIDE + MARGIN), SIDE + 2 * MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    for number, (name, field) in enumerate(fine.items()):
        left = MARGIN + number * (SIDE + MARGIN)
        size = (field.norm(dim=1) / highest).clamp(0, 1).view(SIDE, SIDE, 1) * (len(COLOURS) - 1)
        low = size.floor().clamp(max=len(COLOURS) - 2)
        index = low.long()[..., 0]
        pixels = COLOURS[index] * (1 - (size - low)) + COLOURS[index + 1] * (size - low)
        picture.paste(Image.fromarray(pixels.round().byte().numpy()), (left, MARGIN))
        for at, arrow in zip(grid(ARROWS, 0.93), coarse[name], strict=True):
            length = float(arrow.norm())
            if length > 1e-3 * highest:
                start, end = place(at - 0.09 * arrow / length, left), place(at + 0.09 * arrow / length, left)
                pen.line([start, end], fill=(120, 120, 135), width=1)
                pen.ellipse([end[0] - 2, end[1] - 2, end[0] + 2, end[1] + 2], fill=(120, 120, 135))
        for i, point in enumerate(POINTS):
            x, y = place(point, left)
            pen.ellipse([x - 6, y - 6, x + 6, y + 6], fill=(200, 30, 40) if i == UNWANTED else (30, 110, 200), outline="white", width=2)
        pen.text((left, 8), name, fill=(40, 40, 46), font=font)
    pen.text((MARGIN, SIDE + MARGIN + 8), "blue: wanted, red: unwanted; dark: strong", fill=(40, 40, 46), font=font)
    picture.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "fields.png")
    package = types.ModuleType("avert")
    package.__path__ = [str(ROOT)]
    sys.modules["avert"] = package
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
