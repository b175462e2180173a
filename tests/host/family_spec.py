"""What the tests of every model family need to know about one: how to build it tiny, what its text encoder gives, and what its attention looks like.

A family adds a file `spec_<family>.py` with a list SPECS; the tests in test_families.py find it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import comfy.supported_models
import pytest
import torch
from torch import Tensor

from reference.dense import Layout

Conditioning = list[list]


def random_tokens(length: int, width: int, seed: int) -> Tensor:
    """Make [1, length, width] random token embeddings."""
    return torch.randn(1, length, width, generator=torch.Generator().manual_seed(seed))


def needs(name: str) -> type:
    """Give a class of comfy.supported_models, or skip the test where this host has none of that name."""
    found = getattr(comfy.supported_models, name, None)
    if found is None:
        pytest.skip(f"this host has no {name}")
    return found


def parts(latent: Any) -> list[Tensor]:
    """List what a latent consists of: of several streams (video, audio), or one."""
    return latent.unbind() if latent.is_nested else [latent]


def flat(latent: Any) -> Tensor:
    """Join the streams of a latent, if there are several."""
    return torch.cat([part.flatten(1) for part in latent.unbind()], dim=1) if latent.is_nested else latent


def _as_is(layout: Layout) -> Sequence[int] | None:
    return None


def _unchanged(conditions: dict[str, Any], layout: Layout) -> dict[str, Any]:
    return conditions


def _crossattn(conditions: dict[str, Any], length: int) -> Tensor:
    return conditions["c_crossattn"].cond


def _nothing(model: Any, layout: Layout) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True)
class Spec:
    """Describe a family to the tests, independently of the product.

    family: the product's name for it; build: makes the tiny model (a ModelPatcher, weights from `tiny_weights.randomise`), skipping where the host has
    no such class; prompt(length, seed): a CONDITIONING as the text encoder of the family gives it; latent(batch): zeros; image_tokens(x): tokens of a
    latent in the attention; calls: attention calls with the text in one evaluation; joint: text and image in one sequence.

    For the dense reference, which gives the model [N_1 .. N_k, P] as its text: tokens(model_conds, length) takes a prompt's tokens from what the model
    made of its conditioning; order(layout): for each token of [N.., P, I, R] its place in the model's own sequence (None: the same); around(model,
    layout): what must change in the diffusion model while it runs (positions), written without the product; feed(conditions, layout): the other arguments for
    the longer text; text_calls: whether text tokens also attend among themselves; reference_tokens(conditions): tokens in the sequence that are neither
    text nor picture; cross_call(queries, keys, layout): which calls are cross-attention
    with the text; positive_tokens(length), negative_tokens(length): how many tokens of the attention those of a prompt become; beside(conditions,
    model_conds): the other arguments with what the negative brings along beside its tokens; shown: the models' name in the README, if not the family's.
    """

    name: str
    family: str
    build: Callable[[], Any]
    prompt: Callable[[int, int], Conditioning]
    latent: Callable[[int], Tensor]
    image_tokens: Callable[[Tensor], int]
    calls: int
    joint: bool = True
    tokens: Callable[[dict[str, Any], int], Tensor] = _crossattn
    order: Callable[[Layout], Sequence[int] | None] = _as_is
    around: Callable[[Any, Layout], AbstractContextManager[Any]] = _nothing
    feed: Callable[[dict[str, Any], Layout], dict[str, Any]] = _unchanged
    reference_tokens: Callable[[dict[str, Any]], int] = lambda conditions: 0
    text_calls: bool = False
    positive_tokens: Callable[[int], int] = lambda length: length
    negative_tokens: Callable[[int], int] = lambda length: length
    beside: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = lambda conditions, negative: conditions
    shown: str = ""
    cross_call: Callable[[int, int, Layout], bool] = lambda queries, keys, layout: keys == layout.total != queries

    @property
    def title(self) -> str:
        """Name the model as the README does."""
        return self.shown or self.family

    def __str__(self) -> str:
        return self.name


@cache
def all_specs() -> dict[str, Spec]:
    """Find all families' specs."""
    names = sorted(path.stem for path in Path(__file__).resolve().parent.glob("spec_*.py"))
    return {spec.name: spec for name in names for spec in importlib.import_module(name).SPECS}


def spec_params() -> list[Any]:
    """Name all specs for a parametrised test; variants of a family whose first is tested already are slow."""
    first = {spec.family: name for name, spec in reversed(all_specs().items())}
    slow = pytest.mark.slow
    return [name if first[spec.family] == name else pytest.param(name, marks=slow) for name, spec in all_specs().items()]


@cache
def model_of(name: str) -> Any:
    """Build a family's model once; tests patch clones of it."""
    return all_specs()[name].build()
