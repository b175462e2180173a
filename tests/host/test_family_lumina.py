"""Lumina 2, Z-Image, OmniGen2 and Boogu beyond the checks of every family: long texts, masks, ties of lengths, reference images, other nodes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.ldm.lumina.model
import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_reference import Reference
from family_spec import Conditioning, Spec, all_specs, model_of, random_tokens
from guided_runs import module_outline
from reference.branches import Nag, Vsf
from tiny import sample

VSF, NAG = ValueSignFlip(1.2, 0.0), NormalizedGuidance(5.0, 2.5, 0.25)
DENSE = {VSF: Vsf(0, 1.2, 0.0), NAG: Nag(0, 5.0, 2.5, 0.25)}
UNSEEN = ValueSignFlip(1.0, 1e4)
WHOLE = hasattr(comfy.ldm.lumina.model.NextDiT, "embed_all")
needs_parts = pytest.mark.skipif(not WHOLE, reason="this host lays text and image out at once")


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


@needs_parts
@pytest.mark.parametrize("name", ["lumina2", "zimage"])
def test_reference_images_are_refused(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    before = module_outline(model)
    with pytest.raises(ValueError, match=r"that are given reference images; remove those"):
        run(guided(model, spec.prompt(5, 3)), spec, references(spec.prompt(9, 1), (8, 12)))
    # The negative's own have no meaning, as those of any negative.
    assert torch.isfinite(run(guided(model, references(spec.prompt(5, 3), (8, 12))), spec, spec.prompt(9, 1))).all()
    assert module_outline(model) == before


@needs_parts
def test_hosts_that_pad_elsewhere_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("zimage")
    monkeypatch.delattr(comfy.ldm.lumina.model.NextDiT, "embed_all")
    with pytest.raises(ValueError, match="does not support this model"):
        guided(model, spec_of("zimage").prompt(5, 3))


@needs_parts
def test_patches_of_other_nodes_find_the_image_where_it_was() -> None:
    """ControlNets of Z-Image take the image's tokens and their positions from a block."""
    spec, base = spec_of("zimage"), model_of("zimage")

    def pictures(patch: Callable[[Any], Any]) -> list[tuple[Tensor, Tensor]]:
        found: list[tuple[Tensor, Tensor]] = []

        def look(arguments: dict[str, Any]) -> dict[str, Any]:
            found.append((arguments["img_input"].clone(), arguments["pe"].clone()))
            return {}

        model = base.clone()
        model.set_model_double_block_patch(look)
        run(patch(model), spec, spec.prompt(9, 1), steps=1)
        return found

    plain, ours = pictures(lambda model: model), pictures(lambda model: guided(model, spec.prompt(5, 3), UNSEEN))
    assert len(plain) == len(ours) == spec.calls
    for (image, places), (other, others) in zip(plain, ours, strict=True):
        assert torch.equal(places, others) and distance(image, other) < 1e-4 * image.norm()


@pytest.mark.parametrize("name", ["lumina2", "zimage"])
def test_another_nodes_method_is_called_and_stays(name: str) -> None:
    spec, model = spec_of(name), model_of(name).clone()
    method, lengths = "embed_all" if WHOLE else "patchify_and_embed", []
    original = getattr(model.model.diffusion_model, method)

    def other(x: Tensor, text: Tensor, *args: Any, **kwargs: Any) -> Any:
        lengths.append(text.shape[1])
        assert vars(model.model.diffusion_model)[method] is not other or text.shape[1] != 9
        return original(x, text, *args, **kwargs)

    model.add_object_patch(f"diffusion_model.{method}", other)
    run(
        guided(model, spec.prompt(5, 3)),
        spec,
        spec.prompt(9, 1),
        callback=lambda *_: lengths.append(vars(model.model.diffusion_model)[method] is other),
    )
    assert lengths == [9 if WHOLE else 14, True] * 2


@pytest.mark.parametrize("name", ["lumina2", "zimage", "omnigen2"])
def test_nothing_stays_after_an_error(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    before, broken = module_outline(model), model.clone()

    def fail(*args: Any, **kwargs: Any) -> Tensor:
        raise KeyboardInterrupt

    broken.model_options["transformer_options"]["optimized_attention_override"] = fail
    with pytest.raises(KeyboardInterrupt):
        run(guided(broken, spec.prompt(5, 3)), spec, spec.prompt(9, 1))
    assert module_outline(model) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lumina2", "zimage", "omnigen2"])
def test_compiled(name: str) -> None:
    """Texts that are equally long in all, but not in their parts, are told apart."""
    spec, base = spec_of(name), model_of(name)
    dynamo = importlib.import_module("torch._dynamo")
    compiler = importlib.import_module("comfy_api.torch_helpers")
    dynamo.reset()
    quick = base.clone()
    options = {"guard_filter_fn": lambda entries: ["transformer_options" not in entry.name for entry in entries]}
    compiler.set_torch_compile_wrapper(model=quick, backend="eager", options=options)
    for positive, avoided in ((9, 5), (6, 8), (14, 0), (8, 6), (40, 3)):
        plain, fast = (
            run(guided(model, spec.prompt(avoided, 3)) if avoided else model, spec, spec.prompt(positive, 1)) for model in (base, quick)
        )
        assert distance(plain, fast) < 1e-4 * plain.norm(), (positive, avoided)
    dynamo.reset()
