"""Run the tiny model of any family that has a spec, guided or not, for the tests of what stands beside the guidance."""

from __future__ import annotations

from typing import Any

import torch
from avert.guidance.attention.mechanism import Mechanism, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_spec import all_specs, flat, spec_params
from tiny import sample

SPECS = spec_params()
ALL = (0.0, 1.0)
VSF = ValueSignFlip(1.2, 0.0)


def run(name: str, model: Any, cfg: float = 1.0, **options: Any) -> Tensor:
    """Sample with a spec's prompts, the second of two steps unless told otherwise; one tensor, whatever streams the model has."""
    spec = all_specs()[name]
    # Some samplings begin at a noise beside which what guidance does is next to nothing.
    steps = {} if "steps" in options else {"steps": 2, "start_step": 1}
    settings = {"latent": spec.latent(1), **steps, **options}
    return flat(sample(model, spec.prompt(9, 1), spec.prompt(8, 2), cfg, **settings))


def guided(name: str, model: Any, mechanism: Mechanism = VSF, window: tuple[float, float] = ALL) -> Any:
    """Patch a model as the nodes do, away from a prompt of five tokens."""
    return guide(model, mechanism, all_specs()[name].prompt(5, 3), window, "")


def distance(a: Tensor, b: Tensor) -> float:
    """Measure |a - b|."""
    return float((a.double() - b.double()).norm())


def assert_guided(pictures: Tensor, plain: Tensor, least: float = 1e-3) -> None:
    """Check that a picture is finite and another one than without guidance."""
    assert torch.isfinite(pictures).all()
    assert distance(pictures, plain) > least * plain.norm()


def assert_same(a: Tensor, b: Tensor, plain: Tensor, closeness: float = 1e-3) -> None:
    """Check that two pictures are the same but for rounding, by the measure of what guidance does."""
    assert_guided(a, plain)
    assert distance(a, b) <= closeness * distance(a, plain), f"off by {distance(a, b) / distance(a, plain):.1e} of the effect"
