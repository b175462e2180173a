"""Model families, found by what a model has, not by its name: subclasses and wrapped models are met on the way."""

from __future__ import annotations

from typing import Any

from .base import Family, Grid
from .flux import Flux
from .sd3 import SD3
from .unet import UNet
from .wan import Wan

FAMILIES: tuple[type[Family], ...] = (SD3, Flux, Wan, UNet)

__all__ = ["Family", "Grid", "find_family"]


def find_family(model: Any) -> Family:
    """Return the family of a host model (a BaseModel); raise an error that names it when there is none."""
    for family in FAMILIES:
        found = family.match(model.diffusion_model)
        if found is not None:
            return found
    raise ValueError(
        f"Avert's attention guidance does not support this model ({type(model).__name__}). "
        "It works with the usual SD1.5, SD2, SDXL, SD3, SD3.5, Flux.1, Wan 2.1 and Wan 2.2; for other models remove the Avert node."
    )
