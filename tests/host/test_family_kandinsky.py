"""Kandinsky 5: texts as long as the picture, and positions that are rounded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.attention.strands import Segment
from avert.host.families import find_family
from avert.host.families.kandinsky import Kandinsky5
from avert.host.guide import guide
from torch import Tensor

from family_spec import model_of
from spec_kandinsky import prompt
from tiny import sample

NAME = "kandinsky5_image"
PICTURE = 4 * 6


def run(mechanism: Mechanism | None, positive: int, negative: int, cfg: float = 1.0) -> Tensor:
    model = model_of(NAME)
    if mechanism is not None:
        model = guide(model, mechanism, prompt(negative, 3), (0.0, 1.0), "")
    return sample(model, prompt(positive, 1), prompt(positive, 2), cfg, steps=2, latent=torch.zeros(2, 16, 8, 12))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_text_as_long_as_the_picture(cfg: float) -> None:
    """Told by lengths alone, attention among text tokens and among image tokens would be the same."""
    positive, negative = 9, PICTURE - 9
    plain, seen, unseen = (run(m, positive, negative, cfg) for m in (None, ValueSignFlip(1.0, 0.0), ValueSignFlip(1.0, 1e4)))
    assert float((seen - plain).norm()) > 0.003 * float(plain.norm())
    assert float((unseen - plain).norm()) < 1e-4 * float((seen - plain).norm())


@pytest.mark.parametrize("mechanism", [ValueSignFlip(1.0, 0.0), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.3)])
def test_padding_in_front_is_seen_by_nobody(mechanism: Mechanism, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, plain = run(mechanism, 9, 6), run(None, 9, 6)
    monkeypatch.setattr(Kandinsky5, "other_lengths", lambda self, x: {15, 16, PICTURE})
    assert float((run(mechanism, 9, 6) - expected).norm()) < 1e-4 * float((expected - plain).norm())


def test_each_prompt_counts_as_alone_in_half_precision() -> None:
    """The host counts in the precision of the model: from 256 on by twos, so that a longer text would move the first tokens too."""
    model = model_of(NAME).model
    embed = model.diffusion_model.rope_encode_1d
    lengths, kind = (40, 3, 420), {"dtype": torch.bfloat16, "device": torch.device("cpu")}
    alone = [embed(length, **kind) for length in lengths]
    together = embed(sum(lengths) + 2, **kind)
    plan = SimpleNamespace(segments=(Segment(2, 40), Segment(42, 3)), negative=45, added=45, text=465)
    with find_family(model).around(model.diffusion_model, plan):
        found = embed(465, **kind)
    assert torch.equal(found[:, 2:], torch.cat(alone, 1))
    assert not torch.equal(together[:, :420], alone[2])
    assert torch.equal(embed(465, **kind), together)
