"""Check HiDream-I1 where the tests of all families do not look: both texts, weights, copies, batches, E1's picture to edit, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.encode import encode_negative
from avert.host.families import FAMILIES
from avert.host.guide import guide
from avert.host.negative import Negative, Prompt
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from family_reference import Reference
from family_spec import Conditioning, all_specs, model_of
from reference.branches import Nag, Nasa, Vsf
from spec_hidream import CONFIG, LAYERS, MORE, WIDTH, prompt
from tiny import sample
from tiny_encoders import tiny_encoder
from tiny_models import _patcher

VSF, NOT_SEEN = ValueSignFlip(1.2, 0.0), ValueSignFlip(1.0, 1e4)
MECHANISMS = [(VSF, Vsf(0, 1.2, 0.0)), (NormalizedGuidance(5.0, 2.5, 0.25), Nag(0, 5.0, 2.5, 0.25)), (NegativeAway(0.3), Nasa(0, 0.3))]
SPEC = all_specs()["hidream"]


def noise(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny() -> Any:
    return model_of("hidream")


def run(model: Any, cfg: float = 1.0, batch: int = 1, lengths: tuple[int, int] = (9, 9), **entries: Any) -> Tensor:
    """Sample with these entries in both conditionings."""
    sides = [[[tokens, {**own, **entries}]] for length, seed in zip(lengths, (1, 2), strict=True) for tokens, own in prompt(length, seed)]
    return sample(model, *sides, cfg, steps=2, latent=SPEC.latent(batch)).double()


def guided(model: Any, mechanism: Mechanism = VSF, negative: Any = None) -> Any:
    return guide(model, mechanism, prompt(5, 3) if negative is None else negative, (0.0, 1.0), "")


def assert_exact(found: Tensor, expected: Tensor, plain: Tensor) -> None:
    effect = (expected - plain).norm()
    assert effect > 0.003 * plain.norm() and (found - expected).norm() <= 1e-3 * effect


def changed(negative: Conditioning, **entries: Any) -> Conditioning:
    ((tokens, options),) = negative
    return [[entries.pop("tokens", tokens), {**options, **entries}]]


@pytest.mark.parametrize("layer", [None, *range(LAYERS)])
def test_every_part_of_the_negative_acts(layer: int | None) -> None:
    """T5's rows and each of Llama's layers; the pooled vector is the positive's alone."""
    other, pooled = prompt(5, 4), changed(prompt(5, 3), pooled_output=noise(1, 40))
    if layer is None:
        part = changed(prompt(5, 3), tokens=other[0][0])
    else:
        layers = prompt(5, 3)[0][1]["conditioning_llama3"].clone()
        layers[:, layer] = other[0][1]["conditioning_llama3"][:, layer]
        part = changed(prompt(5, 3), conditioning_llama3=layers)
    whole, plain = run(guided(tiny())), run(tiny())
    assert (run(guided(tiny(), negative=part)) - whole).norm() > 0.01 * (whole - plain).norm()
    assert torch.equal(run(guided(tiny(), negative=pooled)), whole)


@pytest.mark.parametrize(("t5", "llama"), [(1, 9), (8, 1), (128, 130)])
def test_rows_of_both_encoders_may_be_as_many_as_they_like(t5: int, llama: int) -> None:
    """The negative's halves are told apart by the count of T5's rows: unseen, it must not be noticed, and a row of its own is no padding."""
    negative = [[noise(1, t5, WIDTH), {"pooled_output": noise(1, 40), "conditioning_llama3": noise(1, LAYERS, llama, WIDTH)}]]
    plain, seen = run(tiny()), run(guided(tiny(), negative=negative))
    assert (seen - plain).norm() > 0.003 * plain.norm()
    assert (run(guided(tiny(), NOT_SEEN, negative)) - plain).norm() < 1e-4 * (seen - plain).norm()


def test_the_model_is_called_with_rows_only() -> None:
    """Of all negatives, their copies and the positive, in each text in the same order; and what belongs to the picture stays."""
    seen: list[dict[str, Any]] = []

    def look(executor: Any, x: Tensor, t: Tensor, y: Tensor, context: Tensor, layers: Tensor, *rest: Any) -> Tensor:
        seen.append({"y": y, "context": context, "layers": layers})
        return executor(x, t, y, context, layers, *rest)

    watched = tiny().clone()
    watched.add_wrapper(WrappersMP.DIFFUSION_MODEL, look)
    run(guided(guided(watched, ValueSignFlip(1.0, 0.0, "released"), prompt(4, 5)), VSF, [*prompt(5, 3), *prompt(6, 4)]))
    texts = [prompt(length, seed) for length, seed in ((4, 5), (5, 3), (6, 4), (4, 5), (9, 1))]
    assert torch.equal(seen[0]["context"], torch.cat([text[0][0] for text in texts], dim=1))
    assert torch.equal(seen[0]["layers"], torch.cat([text[0][1]["conditioning_llama3"] for text in texts], dim=2))
    assert torch.equal(seen[0]["y"], prompt(9, 1)[0][1]["pooled_output"])


def test_several_negatives_in_any_order() -> None:
    first, second = prompt(4, 5), prompt(7, 6)
    both, turned, plain = (
        run(model, 3.0, 2) for model in (guided(tiny(), VSF, first + second), guided(tiny(), VSF, second + first), tiny())
    )
    effect = (both - plain).norm()
    assert (both - turned).norm() < 1e-3 * effect
    for one in (first, second):
        assert (run(guided(tiny(), VSF, one), 3.0, 2) - both).norm() > 0.01 * effect


@pytest.mark.parametrize("mechanism", [VSF, ValueSignFlip(1.0, 0.0, "released"), NormalizedGuidance(5.0, 2.5, 0.25)])
def test_rows_without_a_negative_are_as_before(mechanism: Mechanism) -> None:
    """Positive and sampler's negative in one batch: with cfg, the second one's prediction is seen on its own."""
    predictions: list[Tensor] = []

    def keep(arguments: dict[str, Any]) -> Tensor:
        predictions.append(arguments["uncond_denoised"].double())
        return arguments["denoised"]

    for model in (tiny(), guided(tiny(), mechanism)):
        watched = model.clone()
        watched.set_model_sampler_post_cfg_function(keep)
        side = prompt(9, 1), prompt(9, 2)
        sample(watched, *side, 3.0, steps=1, latent=SPEC.latent(2))
    plain, beside = predictions
    assert (plain - beside).norm() <= 1e-5 * plain.norm()


@pytest.mark.parametrize("weight", [0.0, 1.4])
def test_weights_are_of_the_tokens_of_both(weight: float) -> None:
    """A weight for a row of T5, or of Llama in both its places: a weight of 0 is as if it were not there."""
    ((tokens, options),) = prompt(5, 3)
    layers = options["conditioning_llama3"]
    llama = 5 + MORE
    weights = torch.ones(5 + 2 * llama)
    weights[[2, 5 + 1, 5 + llama + 1]] = weight

    def picture(prompt: Prompt) -> Tensor:
        return run(guided(tiny(), VSF, Negative((prompt,))))

    found = picture(Prompt(tokens, options, weights))
    even = picture(Prompt(tokens, options))
    assert (found - even).norm() > 1e-3 * (even - run(tiny())).norm()
    if weight:
        return
    with_others = torch.ones(5 + 2 * llama)
    with_others[[1, 5 + 2, 5 + llama + 2]] = 0.0
    assert (picture(Prompt(tokens, options, with_others)) - found).norm() > 1e-3 * (even - run(tiny())).norm()
    swapped = {**options, "conditioning_llama3": layers[:, :, [0, 2, 1, *range(3, llama)]]}
    assert (picture(Prompt(tokens[:, [0, 2, 1, 3, 4]], swapped, with_others)) - found).norm() < 1e-4 * (even - run(tiny())).norm()


@pytest.mark.parametrize("width", [12, 5])
@pytest.mark.parametrize(("ours", "dense"), MECHANISMS)
def test_a_picture_to_edit_is_seen_and_not_guided(ours: Mechanism, dense: Any, width: int) -> None:
    """E1: the picture's tokens stand beside the image's, row by row."""
    entries = {"concat_latent_image": noise(1, 16, 8, width)}
    plain, found = run(tiny(), 3.0, 2, **entries), run(guided(tiny(), ours), 3.0, 2, **entries)
    with Reference(SPEC, dense, prompt(5, 3)).on(tiny()) as patched:
        expected = run(patched, 3.0, 2, **entries)
    assert_exact(found, expected, plain)
    assert (run(tiny(), 3.0, 2) - plain).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize("ours", [*(ours for ours, _ in MECHANISMS), NOT_SEEN])
def test_sizes_that_are_no_whole_tokens(ours: Mechanism) -> None:
    """The host fills a latent of 7 x 11 up to 4 x 6 tokens."""
    sides = prompt(9, 1), prompt(9, 2)
    plain, found = (
        sample(model, *sides, 1.0, steps=2, latent=torch.zeros(1, 16, 7, 11)).double() for model in (tiny(), guided(tiny(), ours))
    )
    assert found.isfinite().all() and ((found - plain).norm() < 1e-4 * plain.norm()) == (ours is NOT_SEEN)


def test_an_odd_number_of_layers_and_an_even_one() -> None:
    """Llama's layers are packed in two halves."""
    model = _patcher(type(tiny().model.model_config), {**CONFIG, "llama_layers": [0, 1, 3, 2]}, 0)

    def text(length: int, seed: int) -> Conditioning:
        return changed(prompt(length, seed), conditioning_llama3=noise(1, 4, length, WIDTH, seed=seed))

    plain, found, unseen = (
        sample(one, text(9, 1), text(9, 2), 1.0, steps=2, latent=SPEC.latent(1)).double()
        for one in (model, guided(model, VSF, text(5, 3)), guided(model, NOT_SEEN, text(5, 3)))
    )
    effect = (found - plain).norm()
    assert effect > 0.003 * plain.norm() and (unseen - plain).norm() < 1e-4 * effect


def test_words_reach_the_model_as_both_encoders_read_them() -> None:
    """Avert Negative Prompt with the host's own encoder, as wide as the real one: no padding, and weights for the words in both."""
    clip = tiny_encoder("hidream")
    negative = encode_negative(clip, "old man with (glasses:1.4) and hat")
    (ours,) = negative.prompts
    rows, llama = ours.length, ours.options["conditioning_llama3"].shape[2]
    assert ours.weights is not None and len(ours.weights) == rows + 2 * llama
    twice = ours.weights[rows:]
    assert torch.equal(twice[:llama], twice[llama:])
    assert all(part.max() == pytest.approx(1.4) and part.min() == 1.0 for part in (ours.weights[:rows], twice))
    ((positive, options),) = clip.encode_from_tokens_scheduled(clip.tokenize("a photo of an old man"))
    layers = options["conditioning_llama3"].shape[1]
    config = {
        **CONFIG, "caption_channels": [positive.shape[2], options["conditioning_llama3"].shape[3]], "text_emb_dim": options["pooled_output"].shape[1],
        "llama_layers": [min(i, layers - 1) for i in range(4)],
    }  # fmt: skip
    model = _patcher(type(tiny().model.model_config), config, 0)
    seen: list[tuple[int, int]] = []

    def look(executor: Any, x: Tensor, t: Tensor, y: Tensor, context: Tensor, llama: Tensor, *rest: Any) -> Tensor:
        seen.append((context.shape[1], llama.shape[2]))
        return executor(x, t, y, context, llama, *rest)

    patched = guided(model, VSF, negative)
    patched.add_wrapper(WrappersMP.DIFFUSION_MODEL, look)
    sides = [[positive, options]]
    found, plain = (sample(one, sides, sides, 1.0, steps=1, latent=SPEC.latent(1)) for one in (patched, model))
    assert seen == [(positive.shape[1] + rows, options["conditioning_llama3"].shape[2] + llama)]
    assert (found - plain).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize(("key", "name"), [("t5xxl", "t5xxl"), ("llama", "llama")])
def test_encoders_that_were_not_loaded_are_named(monkeypatch: pytest.MonkeyPatch, key: str, name: str) -> None:
    clip = tiny_encoder("hidream")
    monkeypatch.setitem(clip.cond_stage_model._modules, key, None)
    with pytest.raises(ValueError, match=rf"this CLIP was loaded without {name},.*load all"):
        encode_negative(clip, "glasses")


def test_negatives_without_llamas_rows_are_refused() -> None:
    """SD3's text is as wide, and so is its pooled vector."""
    negative = prompt(5, 3)
    del negative[0][1]["conditioning_llama3"]
    with pytest.raises(ValueError, match="the positive prompt has a second text, Llama's, and the negative has none"):
        run(guided(tiny(), VSF, negative))


def test_only_the_one_family_matches() -> None:
    assert [family.name for family in FAMILIES if family.match(tiny().model.diffusion_model)] == ["HiDream-I1"]
