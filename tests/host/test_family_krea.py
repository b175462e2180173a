"""Krea 2: the calls over one token's layers are left alone, however long the text is."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_spec import random_tokens
from spec_krea import WIDTH, build
from tiny import sample

LAYERS = 12


@functools.cache
def model() -> Any:
    """Build it with as many layers of the text encoder as Krea 2 has."""
    return build(LAYERS)


def prompt(length: int, seed: int) -> list:
    return [[random_tokens(length, LAYERS * WIDTH, seed), {"pooled_output": None}]]


def run(patcher: Any, cfg: float, positive: int) -> Tensor:
    return sample(patcher, prompt(positive, 1), prompt(positive, 2), cfg, steps=2, latent=torch.zeros(2, 16, 1, 8, 8))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("positive", [7, 8])
def test_a_text_as_long_as_the_layers_are_many(positive: int, cfg: float) -> None:
    """With a negative of 5 tokens, 7 make a text of 12: the refiner's calls and those over the layers are then equally long."""
    negative, plain = prompt(5, 3), run(model(), cfg, positive)
    seen = run(guide(model(), ValueSignFlip(1.0, 0.0), negative, (0.0, 1.0), ""), cfg, positive)
    unseen = run(guide(model(), ValueSignFlip(1.0, 1e4), negative, (0.0, 1.0), ""), cfg, positive)
    assert float((seen - plain).norm()) > 0.003 * float(plain.norm())
    assert float((unseen - plain).norm()) < 1e-4 * float((seen - plain).norm())
