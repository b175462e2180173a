"""AuraFlow: neither the registers nor the positive prompt see the negative that stands between them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_spec import model_of
from spec_aura import REGISTERS, prompt
from tiny import sample

NEGATIVE = 5


def first_block(patcher: Any) -> tuple[Tensor, Tensor]:
    """Sample, and return what the first block gives at the first evaluation: registers with text, and image."""
    seen: list[tuple[Tensor, Tensor]] = []
    block = patcher.model.diffusion_model.double_layers[0]
    hook = block.register_forward_hook(lambda module, args, out: seen.append((out[0].clone(), out[1].clone())))
    try:
        sample(patcher, prompt(9, 1), prompt(9, 2), steps=1, latent=torch.zeros(2, 4, 8, 8))
    finally:
        hook.remove()
    return seen[0]


@pytest.mark.parametrize("mechanism", [ValueSignFlip(1.0, 0.0), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.3)])
def test_registers_and_positive_are_as_without_the_negative(mechanism: Mechanism) -> None:
    model = model_of("aura")
    plain, plain_image = first_block(model)
    text, image = first_block(guide(model, mechanism, prompt(NEGATIVE, 3), (0.0, 1.0), ""))
    own = torch.cat([text[:, :REGISTERS], text[:, REGISTERS + NEGATIVE :]], 1)
    assert text.shape[1] == plain.shape[1] + NEGATIVE
    assert float((own - plain).norm()) <= 1e-5 * float(plain.norm())
    assert float((image - plain_image).norm()) > 1e-3 * float(plain_image.norm())
