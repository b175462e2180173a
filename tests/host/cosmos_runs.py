"""Run the tiny models of Cosmos and Anima, with and without guidance, and beside the dense reference."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from avert.guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_reference import Reference
from family_spec import Conditioning, all_specs, model_of
from reference.branches import Nag
from tiny import sample

NAMES = ("cosmos", "cosmos_predict2", "anima")
VSF, NAG = ValueSignFlip(1.0, 0.0), NormalizedGuidance(5.0, 2.5, 0.25)
DENSE_NAG = Nag(0, 5.0, 2.5, 0.25)
WINDOW = (0.0, 1.0)


def prompt(name: str, length: int, seed: int) -> Conditioning:
    return all_specs()[name].prompt(length, seed)


def run(name: str, model: Any, cfg: float = 1.0, length: int = 9, own: Any = None, **options: Any) -> Tensor:
    latent = all_specs()[name].latent(1)
    own = prompt(name, 6, 2) if own is None else own
    return sample(model, prompt(name, length, 1), own, cfg, **{"steps": 2, "latent": latent} | options)


def avert(name: str, negative: Any, mechanism: Any = VSF, base: Any = None) -> Any:
    return guide(model_of(name) if base is None else base, mechanism, negative, WINDOW, "")


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm())


@contextmanager
def seen(model: Any) -> Iterator[list[dict[str, Any]]]:
    """Collect what the diffusion model is called with."""
    calls: list[dict[str, Any]] = []
    hook = model.model.diffusion_model.register_forward_pre_hook(lambda _, args, kwargs: calls.append(kwargs), with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


def assert_is_reference(name: str, negative: Conditioning, base: Any = None, reference_base: Any = None, **options: Any) -> None:
    """Compare NAG with the dense reference; cross-attention is told by its turn, after each self-attention, as lengths may be equal."""
    base = model_of(name) if base is None else base
    turns = itertools.cycle([False, True])
    spec = replace(all_specs()[name], cross_call=lambda *_: next(turns))
    guided, plain = run(name, avert(name, negative, NAG, base), **options), run(name, base, **options)
    with Reference(spec, DENSE_NAG, negative).on(base if reference_base is None else reference_base) as patched:
        expected = run(name, patched, **options)
    assert distance(expected, plain) > 0.003 * plain.norm()
    assert distance(guided, expected) < 1e-3 * distance(expected, plain)
