"""Help the tests of Lumina 2 and its relatives: runs, prompts with masks and reference images, and two comparisons."""

from __future__ import annotations

from typing import Any

import comfy.ldm.lumina.model
import torch
from avert.guidance.attention.mechanism import Mechanism, NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_reference import Reference
from family_spec import Conditioning, Spec, all_specs, model_of
from reference.branches import Nag, Vsf
from tiny import sample

VSF, NAG = ValueSignFlip(1.2, 0.0), NormalizedGuidance(5.0, 2.5, 0.25)
DENSE = {VSF: Vsf(0, 1.2, 0.0), NAG: Nag(0, 5.0, 2.5, 0.25)}
UNSEEN = ValueSignFlip(1.0, 1e4)
WHOLE = hasattr(comfy.ldm.lumina.model.NextDiT, "embed_all")


def spec_of(name: str) -> Spec:
    return all_specs()[name]


def run(model: Any, spec: Spec, positive: Conditioning, latent: Tensor | None = None, **options: Any) -> Tensor:
    own = spec.prompt(6, 2)
    return sample(model, positive, own, 1.0, **{"steps": 2, "latent": spec.latent(1) if latent is None else latent} | options)


def guided(model: Any, negative: Conditioning, mechanism: Mechanism = VSF) -> Any:
    return guide(model, mechanism, negative, (0.0, 1.0), "")


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm())


def masked(prompt: Conditioning, seen: int) -> Conditioning:
    """Let the mask leave out what stands behind `seen` tokens."""
    ((tokens, options),) = prompt
    mask = torch.ones(1, tokens.shape[1], dtype=torch.long)
    mask[:, seen:] = 0
    return [[tokens, {**options, "attention_mask": mask}]]


def cut(prompt: Conditioning, length: int) -> Conditioning:
    ((tokens, options),) = prompt
    return [[tokens[:, :length], {**options, "attention_mask": torch.ones(1, length, dtype=torch.long)}]]


def references(prompt: Conditioning, *sizes: tuple[int, int]) -> Conditioning:
    ((tokens, options),) = prompt
    return [[tokens, {**options, "reference_latents": [torch.full((1, 16, *size), 0.5) for size in sizes]}]]


def assert_exact(spec: Spec, mechanism: Mechanism, positive: int, avoided: int, latent: Tensor) -> None:
    model, prompt = model_of(spec.name), spec.prompt(positive, 1)
    reference = Reference(spec, DENSE[mechanism], spec.prompt(avoided, 3))
    plain = run(model, spec, prompt, latent)
    with reference.on(model) as patched:
        expected = run(patched, spec, prompt, latent)
    effect = distance(expected, plain)
    assert set(reference.calls) == {spec.calls} and effect > 0.003 * plain.norm()
    assert distance(run(guided(model, spec.prompt(avoided, 3), mechanism), spec, prompt, latent), expected) <= 1e-3 * effect


def assert_unnoticed(spec: Spec, positive: Conditioning, avoided: int, latent: Tensor | None = None) -> None:
    """Check that a negative which the image does not see changes nothing, though it would change the picture."""
    model, negative = model_of(spec.name), spec.prompt(avoided, 3)
    plain = run(model, spec, positive, latent)
    effect = distance(run(guided(model, negative), spec, positive, latent), plain)
    assert effect > 0.003 * plain.norm()
    assert distance(run(guided(model, negative, UNSEEN), spec, positive, latent), plain) < 1e-4 * effect
