"""Chroma and Chroma Radiance: Flux's blocks with one network that makes the modulation of them all (comfy/ldm/chroma/model.py,
comfy/ldm/chroma_radiance/model.py). Only late versions of Radiance give text positions."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from .base import Family, Laid, positions_restarted
from .flux import Flux, has_flux_blocks


class Chroma(Flux):
    name = "Chroma"
    encoders = frozenset({"t5xxl"})

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        parts = ("distilled_guidance_layer", "pe_embedder", "get_modulations")
        known = has_flux_blocks(diffusion_model) and all(hasattr(diffusion_model, part) for part in parts)
        return cls(diffusion_model) if known else None

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        # A node may also switch Radiance's positions on for a run (chroma_radiance_options), so that the model does not tell.
        return positions_restarted(diffusion_model.pe_embedder, plan)
