"""A run's report as pictures, drawn with Pillow: curves over the steps, and the attention map."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .report import RunReport
from .report_text import summary

WIDTH, HEIGHT, MARGIN = 640, 200, 46
COLUMNS, LINE = 98, 17
INK, PAPER, GRID = (60, 60, 66), (250, 250, 250), (224, 224, 228)
LINES = [(31, 119, 180), (214, 96, 20), (44, 140, 60), (170, 50, 130), (120, 90, 60), (20, 150, 160)]
# Dark blue to yellow, even in brightness, readable without colour.
COLOURS = np.array([[13, 8, 60], [74, 20, 110], [140, 42, 105], [205, 74, 70], [245, 135, 40], [252, 215, 90]], dtype=np.float32)
MAP_SIDE = 384
CAPTION = 22
# Steps and values of a line.
Series = list[tuple[int, float]]


def to_image(pictures: list[Image.Image]) -> Tensor:
    """Stack pictures of one size as the host's IMAGE: [N, H, W, 3] in 0..1."""
    return torch.stack([torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0) for picture in pictures])


def draw_plot(report: RunReport) -> Image.Image:
    """Draw what the run was, and the share of attention and the size of the change over its steps, a line for each picture of the batch."""
    lines = [part for line in summary(report) for part in textwrap.wrap(line, COLUMNS, subsequent_indent="    ", drop_whitespace=False)]
    charts = _charts(report)
    top = 16 + LINE * len(lines)
    picture = Image.new("RGB", (WIDTH, top + HEIGHT * len(charts)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.multiline_text((12, 10), "\n".join(lines), fill=INK, font=_font(), spacing=LINE - 12)
    for row, (title, series) in enumerate(charts):
        _chart(draw, top + row * HEIGHT, title, series)
    return picture


def _charts(report: RunReport) -> list[tuple[str, list[Series]]]:
    """List what there is to draw: a title, and a line for each picture of the batch and each negative."""
    charts = []
    if report.layers_total:
        for name, title in (("share", "share of attention on the negative, %"), ("change", "size of the change, %")):
            charts.append((title, _series(report.steps, name, 100.0)))
    for name, title in (("posterior", "posterior of the negative"), ("strength", "strength of the guidance")):
        series = [line for curve in report.curves for line in _series(curve["steps"], name, 1.0)]
        if series:
            charts.append((title, series))
    return charts or [("nothing was guided", [])]


def _series(steps: list[dict[str, Any]], name: str, factor: float) -> list[Series]:
    samples = max((len(step[name]) for step in steps if name in step), default=0)
    known = [(step["step"] + 1, step[name]) for step in steps if name in step]
    # Not a number: this picture had nothing to avoid then.
    return [[(step, factor * values[sample]) for step, values in known if math.isfinite(values[sample])] for sample in range(samples)]


def _chart(draw: ImageDraw.ImageDraw, top: int, title: str, series: list[Series]) -> None:
    left, right, upper, lower = MARGIN, WIDTH - 16, top + 30, top + HEIGHT - 26
    draw.text((left, top + 8), title, fill=INK, font=_font())
    highest = max((value for line in series for _, value in line), default=0.0) or 1.0
    for part in range(5):
        y = lower - (lower - upper) * part / 4
        draw.line([(left, y), (right, y)], fill=GRID)
        draw.text((4, y - 6), f"{highest * part / 4:.3g}", fill=INK, font=_font())
    steps = sorted({step for line in series for step, _ in line})
    if not steps:
        draw.text((left + 8, upper + 8), "no step was guided", fill=INK, font=_font())
        return
    span = max(steps[-1] - steps[0], 1)
    for step in steps[:: max(1, len(steps) // 12)]:
        draw.text((min(left + (right - left) * (step - steps[0]) / span, right - 12), lower + 6), str(step), fill=INK, font=_font())
    for number, line in enumerate(series):
        points = [(left + (right - left) * (step - steps[0]) / span, lower - (lower - upper) * max(v, 0.0) / highest) for step, v in line]
        colour = LINES[number % len(LINES)]
        draw.line(points, fill=colour, width=2)
        for x, y in points:
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)


def draw_maps(report: RunReport) -> list[Image.Image]:
    """Draw where the image attends to the negative, a picture for each step of each sample (video: the mean over frames).

    The scale is the same in all of them: dark is nothing, yellow the highest share of the run.
    """
    if report.maps is None:
        return [_message("no attention map was recorded: connect this node,\nchange the seed, and queue again")]
    maps = report.maps.mean(dim=2)
    highest = float(maps.max()) or 1.0
    steps, samples = maps.shape[:2]
    pictures = []
    for sample in range(samples):
        for index in range(steps):
            caption = (
                f"step {report.steps[index]['step'] + 1}" + (f", picture {sample + 1}" if samples > 1 else "") + f", yellow = {highest:.1%}"
            )
            pictures.append(_map(maps[index, sample] / highest, caption))
    return pictures


def _map(values: Tensor, caption: str) -> Image.Image:
    position = values.clamp(0, 1).numpy() * (len(COLOURS) - 1)
    low = np.floor(position).astype(int).clip(0, len(COLOURS) - 2)
    part = (position - low)[..., None]
    pixels = COLOURS[low] * (1 - part) + COLOURS[low + 1] * part
    height, width = values.shape
    zoom = MAP_SIDE / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    heat = Image.fromarray(pixels.round().astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    picture = Image.new("RGB", (max(size[0], 190), size[1] + CAPTION), PAPER)
    picture.paste(heat, (0, 0))
    ImageDraw.Draw(picture).text((4, size[1] + 5), caption, fill=INK, font=_font())
    return picture


def _message(text: str) -> Image.Image:
    picture = Image.new("RGB", (MAP_SIDE, 64), PAPER)
    ImageDraw.Draw(picture).multiline_text((8, 12), text, fill=INK, font=_font())
    return picture


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=12)
