"""The attention map of an evaluation: where the image looks at the negative, averaged over the layers."""

from __future__ import annotations

import torch
from torch import Tensor

from ..guidance.attention.strands import Effect
from .families import Grid


def per_sample(value: Tensor, batch: int) -> Tensor:
    """Average over conditionings (areas): [conditionings * B] -> [B]."""
    return value.view(-1, batch).mean(0)


def mean_map(effects: list[Effect], grid: Grid, batch: int) -> Tensor:
    """Average the maps of all layers on the finest grid: [B, frames, h, w]."""
    total: Tensor | None = None
    for effect in effects:
        assert effect.map is not None
        levels = _unfold(effect.map, grid)
        if levels.shape[-2:] != (grid.height, grid.width):
            levels = torch.nn.functional.interpolate(levels, size=(grid.height, grid.width), mode="nearest")
        levels = levels.view(-1, batch, *levels.shape[1:]).mean(0)
        total = levels if total is None else total + levels
    assert total is not None
    return total / len(effects)


def _unfold(flat: Tensor, grid: Grid) -> Tensor:
    """Shape [rows, tokens] as [rows, frames, h, w]; a UNet's coarser levels halve each side, rounding up."""
    height, width = grid.height, grid.width
    while grid.frames * height * width > flat.shape[1]:
        height, width = (height + 1) // 2, (width + 1) // 2
    if grid.frames * height * width != flat.shape[1]:
        # Other nodes may merge or tile tokens; their places are not known then, only their mean.
        return flat.mean(dim=1)[:, None, None, None].expand(-1, grid.frames, 1, 1)
    return flat.view(-1, grid.frames, height, width)


def whole_pictures(maps: list[list[Tensor]]) -> Tensor | None:
    """Average the maps of each step: [steps, B, frames, h, w], on the CPU.

    Prompts for an area are evaluated on a crop; their maps cover a part of the picture and are left out beside those of the whole.
    """
    maps = [[m.float().cpu() for m in step] for step in maps]
    every = [m for step in maps for m in step]
    if not every:
        return None
    shape = max((m.shape for m in every), key=torch.Size.numel)
    steps = [[m for m in step if m.shape == shape] for step in maps]
    return torch.stack([torch.stack(step).mean(0) if step else every[0].new_zeros(shape) for step in steps])
