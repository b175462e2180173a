"""Lumina 2, Z-Image, OmniGen2 and Boogu beyond the checks of every family: long texts, sizes, masks, ties of lengths, pooled text, copies."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, ValueSignFlip

from family_spec import model_of, random_tokens
from lumina_runs import NAG, VSF, WHOLE, assert_exact, assert_unnoticed, cut, distance, guided, masked, references, run, spec_of


@pytest.mark.parametrize("mechanism", [VSF, NAG], ids=["vsf", "nag"])
@pytest.mark.parametrize(("positive", "avoided"), [(31, 1), (32, 33), (33, 7), (64, 32), (65, 40)])
def test_long_texts(mechanism: Mechanism, positive: int, avoided: int) -> None:
    """Only the positive is padded, as it would be alone."""
    spec = spec_of("zimage")
    assert_exact(spec, mechanism, positive, avoided, spec.latent(1))


@pytest.mark.parametrize(("height", "width", "padding"), [(9, 13, 29), (16, 16, 0), (7, 7, 16)])
def test_sizes(height: int, width: int, padding: int) -> None:
    """Padding of the image takes part, but is not guided."""
    spec = replace(spec_of("zimage"), reference_tokens=lambda conditions: padding)
    assert_exact(spec, VSF, 9, 5, torch.zeros(1, 16, height, width))


TIES: dict[str, tuple[str, int, int, tuple[int, int], tuple[tuple[int, int], ...]]] = {
    "lumina2 image": ("lumina2", 9, 15, (8, 12), ()),
    # 64 tokens: 32 of the padded positive and 32.
    "zimage image": ("zimage", 9, 32, (16, 16), ()),
    # 36 tokens of the image are padded to 64.
    "zimage padded image": ("zimage", 9, 32, (12, 12), ()),
    "omnigen2 image": ("omnigen2", 9, 15, (8, 12), ()),
    "omnigen2 references": ("omnigen2", 7, 5, (8, 12), ((4, 6), (4, 6))),
    "omnigen2 longer references": ("omnigen2", 7, 5, (8, 12), ((16, 20),)),
    "boogu references": ("boogu", 7, 5, (8, 12), ((4, 6), (4, 6))),
    "boogu longer references": ("boogu", 4, 3, (8, 12), ((8, 12),)),
    "boogu images": ("boogu", 31, 5, (8, 12), ((4, 6), (4, 6))),
}  # fmt: skip


@pytest.mark.parametrize("tie", TIES)
def test_other_attention_as_long_as_that_with_text(tie: str) -> None:
    name, positive, avoided, size, images = TIES[tie]
    spec = spec_of(name)
    prompt = references(spec.prompt(positive, 1), *images) if images else spec.prompt(positive, 1)
    assert_unnoticed(spec, prompt, avoided, torch.zeros(1, 16, *size))


@pytest.mark.parametrize("mechanism", [VSF, NAG], ids=["vsf", "nag"])
@pytest.mark.parametrize("name", ["lumina2", "zimage"])
def test_masked_positive(name: str, mechanism: Mechanism) -> None:
    """Old hosts leave masked tokens out of the attention with the image, new ones do not look at the mask; so it is with a negative too."""
    spec, model = spec_of(name), model_of(name)
    whole, negative = spec.prompt(12, 1), spec.prompt(5, 3)
    same = whole if WHOLE else cut(whole, 8)
    plain, expected = run(model, spec, masked(whole, 8)), run(guided(model, negative, mechanism), spec, same)
    effect = distance(expected, plain)
    assert distance(run(model, spec, same), plain) < 1e-4 * plain.norm() < 0.1 * effect
    assert distance(run(guided(model, negative, mechanism), spec, masked(whole, 8)), expected) < 1e-3 * effect
    assert_unnoticed(spec, masked(whole, 8), 5)


@pytest.mark.parametrize("name", ["lumina2", "zimage", "omnigen2"])
def test_masked_tokens_of_a_negative_are_none(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    negative, positive = spec.prompt(9, 3), spec.prompt(9, 1)
    whole, part, hidden = (run(guided(model, n), spec, positive) for n in (negative, cut(negative, 6), masked(negative, 6)))
    assert torch.equal(part, hidden) and not torch.equal(part, whole)


def test_the_pooled_text_of_a_negative_has_no_effect() -> None:
    spec, model = spec_of("newbie"), model_of("newbie")
    ((tokens, options),) = spec.prompt(5, 3)
    other = [[tokens, {**options, "pooled_output": random_tokens(1, 24, 9)[0]}]]
    first, second = (run(guided(model, n), spec, spec.prompt(9, 1)) for n in ([[tokens, options]], other))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["lumina2", "zimage", "omnigen2", "boogu_references"])
def test_copies_of_the_released_layout(name: str) -> None:
    """They are seen by all as a part of the positive prompt, and change nobody's places: without them nothing is left of an unseen negative."""
    spec, model = spec_of(name), model_of(name)
    positive, negative = spec.prompt(9, 1), spec.prompt(5, 3)
    plain = run(model, spec, positive)
    seen, unseen = (run(guided(model, negative, ValueSignFlip(1.2, offset, "released")), spec, positive) for offset in (0.0, 1e4))
    assert torch.isfinite(seen).all() and torch.isfinite(unseen).all()
    assert min(distance(seen, plain), distance(unseen, plain), distance(seen, unseen)) > 0.003 * plain.norm()
