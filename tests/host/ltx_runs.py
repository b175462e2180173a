"""Run the tiny LTX models guided and not, and measure what a negative does that nobody is to see."""

from __future__ import annotations

from typing import Any

import torch
from avert.guidance.attention.mechanism import Mechanism, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_spec import Conditioning, all_specs, flat, model_of, random_tokens
from tiny import sample

ALL = (0.0, 1.0)
VSF = ValueSignFlip(1.2, 0.0)
# With this offset the image does not attend to the negative at all.
UNSEEN = ValueSignFlip(1.2, 1e4)


def prompt(name: str, length: int, seed: int, **extra: Any) -> Conditioning:
    """Give a prompt of one of the specs."""
    return [[tokens, {**options, **extra}] for tokens, options in all_specs()[name].prompt(length, seed)]


def padded(cond: Conditioning, length: int, seed: int = 9) -> Conditioning:
    """Lengthen a prompt by tokens that its mask hides."""
    ((tokens, options),) = cond
    more = length - tokens.shape[1]
    mask = torch.cat([torch.ones(1, tokens.shape[1], dtype=torch.long), torch.zeros(1, more, dtype=torch.long)], dim=1)
    return [[torch.cat([tokens, random_tokens(more, tokens.shape[2], seed)], dim=1), {**options, "attention_mask": mask}]]


def latents(name: str, model: Any, positive: Conditioning, **options: Any) -> Any:
    """Sample, as the KSampler does."""
    settings = {"steps": 2, "latent": all_specs()[name].latent(1), **options}
    return sample(model, positive, settings.pop("negative", positive), settings.pop("cfg", 1.0), **settings)


def guided(model: Any, avoided: Conditioning, mechanism: Mechanism = VSF, blocks: str = "") -> Any:
    return guide(model, mechanism, avoided, ALL, blocks)


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm())


def assert_nobody_notices(name: str, positive: Conditioning, avoided: Conditioning, model: Any = None, **options: Any) -> None:
    """Check that a negative that the image does not see changes nothing, and that it changes something where it does."""
    model = model_of(name) if model is None else model
    plain, seen, unseen = (
        flat(latents(name, patched, positive, **options)) for patched in (model, guided(model, avoided), guided(model, avoided, UNSEEN))
    )
    assert distance(seen, plain) > 1e-3 * plain.norm()
    assert distance(unseen, plain) < 1e-4 * distance(seen, plain)
