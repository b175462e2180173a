"""A run's report as pictures, drawn with Pillow: curves over the steps, and the attention map."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .drawing import GRID, INK, PAPER, font, heat
from .report import RunReport
from .report_film import FRAME_HEIGHT, draw_film, frames
from .report_text import summary

WIDTH, HEIGHT, MARGIN = 640, 200, 46
COLUMNS, LINE = 98, 17
LINES = [(31, 119, 180), (214, 96, 20), (44, 140, 60), (170, 50, 130), (120, 90, 60), (20, 150, 160)]
MAP_SIDE = 384
CAPTION = 22
# Steps and values of a line.
Series = list[tuple[int, float]]


def to_image(pictures: list[Image.Image]) -> Tensor:
    """Stack pictures of one size as the host's IMAGE: [N, H, W, 3] in 0..1."""
    return torch.stack([torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0) for picture in pictures])


def draw_plot(report: RunReport) -> Image.Image:
    """Draw what the run was, its curves over the steps, a line for each picture of the batch, and what a vision-language model saw and said."""
    lines = [part for line in summary(report) for part in textwrap.wrap(line, COLUMNS, subsequent_indent="    ", drop_whitespace=False)]
    charts = _charts(report)
    top = 16 + LINE * len(lines)
    film = frames(report)
    bottom = top + HEIGHT * len(charts)
    picture = Image.new("RGB", (WIDTH, bottom + FRAME_HEIGHT * len(film)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.multiline_text((12, 10), "\n".join(lines), fill=INK, font=font(), spacing=LINE - 12)
    for row, (title, series) in enumerate(charts):
        _chart(draw, top + row * HEIGHT, title, series)
    draw_film(picture, bottom, film)
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
    draw.text((left, top + 8), title, fill=INK, font=font())
    highest = max((value for line in series for _, value in line), default=0.0) or 1.0
    for part in range(5):
        y = lower - (lower - upper) * part / 4
        draw.line([(left, y), (right, y)], fill=GRID)
        draw.text((4, y - 6), f"{highest * part / 4:.3g}", fill=INK, font=font())
    steps = sorted({step for line in series for step, _ in line})
    if not steps:
        draw.text((left + 8, upper + 8), "no step was guided", fill=INK, font=font())
        return
    span = max(steps[-1] - steps[0], 1)
    for step in steps[:: max(1, len(steps) // 12)]:
        draw.text((min(left + (right - left) * (step - steps[0]) / span, right - 12), lower + 6), str(step), fill=INK, font=font())
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
    height, width = values.shape
    zoom = MAP_SIDE / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    coloured = heat(values.numpy()).resize(size, Image.Resampling.NEAREST)
    picture = Image.new("RGB", (max(size[0], 190), size[1] + CAPTION), PAPER)
    picture.paste(coloured, (0, 0))
    ImageDraw.Draw(picture).text((4, size[1] + 5), caption, fill=INK, font=font())
    return picture


def _message(text: str) -> Image.Image:
    picture = Image.new("RGB", (MAP_SIDE, 64), PAPER)
    ImageDraw.Draw(picture).multiline_text((8, 12), text, fill=INK, font=font())
    return picture
