"""Build and run a few families' tiny models for the tests of how the host keeps weights: in part, quantised, dynamic, on several devices."""

from __future__ import annotations

from typing import Any

from avert.guidance.attention.mechanism import Mechanism
from torch import Tensor

import company_runs
import guided_runs
from family_spec import all_specs
from tiny import FACTORIES, conditioning, sample

# Joint attention, cross-attention, a UNet; and models that need something changed in themselves for each evaluation.
FAMILIES = ("sd3", "flux", "wan", "sd15", "qwen_image", "lumina2", "hunyuan_video")
SOME = ("flux", "wan", "sd15", "lumina2")


def build(name: str) -> Any:
    """Build a model of its own, which nobody else uses."""
    return FACTORIES[name]() if name in FACTORIES else all_specs()[name].build()


def picture(name: str, model: Any, cfg: float = 1.0, **options: Any) -> Tensor:
    """Sample with the family's two prompts, two steps unless told otherwise."""
    return guided_runs.run(model, name, cfg, **options) if name in FACTORIES else company_runs.run(name, model, cfg, **options)


def prompt(name: str, length: int, seed: int) -> list:
    """Make one of the family's prompts."""
    return conditioning(name, length, seed) if name in FACTORIES else all_specs()[name].prompt(length, seed)


def sampled(name: str, model: Any, positive: list, negative: list, cfg: float = 1.0) -> Tensor:
    """Sample with other prompts than `picture` does."""
    latent = None if name in FACTORIES else all_specs()[name].latent(1)
    return sample(model, positive, negative, cfg, steps=2, latent=latent)


def away(name: str, model: Any, mechanism: Mechanism = company_runs.VSF) -> Any:
    """Patch a model as the nodes do."""
    if name in FACTORIES:
        return guided_runs.guided(model, guided_runs.avoid(name), mechanism)
    return company_runs.guided(name, model, mechanism)
