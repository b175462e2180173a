"""Families whose text comes with a mask: what the mask hides stays hidden, and nothing else, with a negative in front of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_spec import all_specs, model_of, random_tokens
from tiny import sample

NAMES = ("lens", "mage")
KINDS = {"long": torch.long, "bool": torch.bool}
MECHANISMS = (ValueSignFlip(1.0, 0.0), ValueSignFlip(0.94, -0.6), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.3))


def positive(length: int, hidden: int, kind: torch.dtype | None) -> list:
    """Make a prompt of which the last tokens are hidden; kind: None for no mask at all."""
    tokens = torch.cat([random_tokens(length, 48, 1), random_tokens(hidden, 48, 8)], 1)
    options: dict[str, Any] = {"pooled_output": None}
    if kind is not None:
        options["attention_mask"] = torch.tensor([[1] * length + [0] * hidden]).to(kind)
    return [[tokens, options]]


def run(name: str, patcher: Any, prompt: list) -> Tensor:
    spec = all_specs()[name]
    return sample(patcher, prompt, spec.prompt(9, 2), steps=2, latent=spec.latent(2))


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("name", "kind"), [("lens", "long"), ("lens", "bool"), ("mage", "long")])
def test_hidden_tokens_stay_hidden(name: str, kind: str, mechanism: Mechanism) -> None:
    model = model_of(name)
    guided = guide(model, mechanism, all_specs()[name].prompt(5, 3), (0.0, 1.0), "")
    plain, alone = run(name, model, positive(7, 0, KINDS[kind])), run(name, guided, positive(7, 0, KINDS[kind]))
    hidden = run(name, guided, positive(7, 4, KINDS[kind]))
    shown = run(name, guided, positive(11, 0, KINDS[kind]))
    effect = float((alone - plain).norm())
    assert effect > 0.003 * float(plain.norm())
    assert float((hidden - alone).norm()) < 1e-4 * effect
    assert float((shown - alone).norm()) > 0.01 * effect


@pytest.mark.parametrize("name", NAMES)
def test_no_mask_is_one_that_hides_nothing(name: str) -> None:
    guided = guide(model_of(name), MECHANISMS[0], all_specs()[name].prompt(5, 3), (0.0, 1.0), "")
    without, shown = run(name, guided, positive(7, 0, None)), run(name, guided, positive(7, 0, torch.long))
    assert float((without - shown).norm()) < 1e-5 * float(shown.norm())
