"""Help the tests of guided runs: settings, a spy on the model's calls, and pictures of everything that a run may not change."""

from __future__ import annotations

import functools
import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from avert.host.negative import Negative, Prompt, as_negative
from torch import Tensor

from tiny import FACTORIES, conditioning, sample

MECHANISMS: dict[str, Mechanism] = {
    "vsf": ValueSignFlip(1.0, -0.5),
    "nag": NormalizedGuidance(5.0, 2.5, 0.25),
    "nasa": NegativeAway(0.3),
}
VSF = MECHANISMS["vsf"]
# Relative change below which two pictures are the same but for rounding.
CLOSE = 1e-5

# The host collects garbage whenever a clone of a model that lives on was dropped (comfy.model_management.cleanup_models_gc), which tests do
# all the time; what the libraries made at import need not be looked at each time.
gc.collect()
gc.freeze()


@functools.cache
def model(family: str) -> Any:
    """Give the tiny model of a family; all tests share it, so whatever stays behind in it shows."""
    return FACTORIES[family]()


def prompts(family: str, positive: int = 20, negative: int = 11) -> tuple[list, list]:
    """Make the sampler's two conditionings."""
    return conditioning(family, positive, 1), conditioning(family, negative, 3)


def avoid(family: str, length: int = 7, seed: int = 2, **fields: Any) -> Negative:
    """Make a negative without padding, as Avert Negative Prompt does."""
    embedding, options = conditioning(family, length, seed, pad_to=0)[0]
    return Negative((Prompt(embedding, options, tokens={"random": length}, text="random", **fields),))


def unpadded(cond: list) -> Negative:
    """Take a conditioning as a negative with known padding."""
    return Negative(tuple(Prompt(p.embedding, p.options, tokens={"random": p.length}) for p in as_negative(cond).prompts))


def guided(base: Any, negative: Any, mechanism: Mechanism = VSF, window: tuple[float, float] = (0.0, 1.0), blocks: str = "") -> Any:
    """Patch a model as the nodes do."""
    return guide(base, mechanism, negative, window, blocks)


def change(a: Tensor, b: Tensor) -> float:
    """Measure |a - b| / |a|."""
    return ((a.double() - b.double()).norm() / a.double().norm()).item()


def run(patcher: Any, family: str = "sd15", cfg: float = 1.0, **options: Any) -> Tensor:
    """Sample with the family's prompts, two steps unless told otherwise."""
    return sample(patcher, *prompts(family), cfg, **{"steps": 2, **options})


def assert_both_act(both: Tensor, *alone: Tensor) -> None:
    """Check that a picture differs from those in which something was left out."""
    assert torch.isfinite(both).all()
    assert all(change(one, both) > 1e-3 for one in alone)


def host_node(module: str, name: str) -> Any:
    """Give a node class of the host's extras, or skip when this host has none of that name."""
    try:
        return getattr(importlib.import_module(f"comfy_extras.{module}"), name)
    except ImportError:
        pytest.skip(f"this host has no {name}")


@contextmanager
def spy(patcher: Any) -> Iterator[list[tuple[int, int]]]:
    """Collect (rows, text tokens) of every call of the diffusion model, whatever called it."""
    calls: list[tuple[int, int]] = []

    def note(_: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        calls.append((args[0].shape[0], kwargs["context"].shape[1]))

    hook = patcher.model.diffusion_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


def run_with_spy(patcher: Any, family: str, cfg: float = 1.0, **options: Any) -> tuple[Tensor, list[tuple[int, int]]]:
    """Sample with the family's prompts; return the picture and the model's calls."""
    with spy(patcher) as calls:
        return sample(patcher, *prompts(family), cfg, **options), calls


def outline(value: Any) -> Any:
    """Copy the shape of nested containers; what is not a container is named by its identity."""
    if isinstance(value, dict):
        return {key: outline(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [outline(entry) for entry in value]
    if callable(value) and hasattr(value, "__self__"):
        # Bound methods are made anew at each look.
        return id(value.__self__), value.__func__.__qualname__
    return value if isinstance(value, str | int | float | bool | type(None)) else id(value)


def patcher_outline(patcher: Any) -> dict[str, Any]:
    """Describe what a ModelPatcher holds."""
    names = ("model_options", "wrappers", "callbacks", "attachments", "object_patches", "patches", "additional_models", "injections")
    return {name: outline(getattr(patcher, name)) for name in names}


def module_outline(patcher: Any) -> dict[str, Any]:
    """Describe the modules of a model: their attributes, hooks, and whether one has a forward of its own."""
    found = {}
    for name, module in patcher.model.named_modules():
        hooks = {key: len(value) for key, value in module.__dict__.items() if "hooks" in key}
        found[name] = (sorted(module.__dict__), hooks, type(module), "forward" in module.__dict__)
    return found


class Shared:
    """Stay one object when a model is cloned: 0.3.64 copies model_options deeply."""

    def __deepcopy__(self, memo: dict) -> Shared:
        return self


class Trouble(Shared):
    """Be an attention override that passes everything on, until it is armed with an error: then it raises it from the second step on."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0
        self._first: float | None = None

    def __call__(self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Any = None, **kw: Any) -> Tensor:
        self.calls += 1
        sigma = float(kw["transformer_options"]["sigmas"][0])
        self._first = sigma if self._first is None else max(sigma, self._first)
        if self.error is not None and sigma < self._first:
            raise self.error
        return func(q, k, v, heads, mask=mask, **kw)


def with_override(patcher: Any, override: Callable[..., Tensor]) -> Any:
    """Put an attention override on a clone, as other packs do: one slot, assigned."""
    clone = patcher.clone()
    options = dict(clone.model_options["transformer_options"])
    clone.model_options["transformer_options"] = {**options, "optimized_attention_override": override}
    return clone
