"""Check that our own sampler draws what the host draws: same weights, seed and guidance, from the prompt's words to the latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import avert.host.install
import pytest
import torch
from avert.demo.model.guided_attention import Guide, encode_negatives
from avert.demo.model.sampler import Sampled, Settings, prompt, sample
from avert.demo.model.weights import load_few_step
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.schedule import Window
from avert.host.demo import load_demo
from avert.host.encode import encode_negative
from avert.host.guide import guide
from avert.host.install import last_report
from torch import Tensor

import tiny
from demo_weights import write_weights
from tiny_clip import encode

POSITIVE, NEGATIVE = "a red house with a chimney on the grass", "smoke, chimney\nhat"
VSF, NAG, NASA = ValueSignFlip(1.2, -0.6), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.3)
RELEASED = ValueSignFlip(3.3, 0.2, "released")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"), seed=40)


@pytest.fixture(scope="module")
def world(folder: Path) -> tuple[Any, Any, Any]:
    return load_demo("few_step", folder)


@pytest.fixture(scope="module")
def own(folder: Path) -> tuple[Any, Any]:
    return load_few_step(folder)


def host_run(
    world: tuple[Any, Any, Any], settings: Settings, mechanisms: list[tuple[Mechanism, tuple[float, float], str]]
) -> tuple[Tensor, Any]:
    """Sample on the host's KSampler; return the latents and the patched model."""
    model, clip, _ = world
    for mechanism, window, blocks in mechanisms:
        model = guide(model, mechanism, encode_negative(clip, NEGATIVE), window, blocks)
    latent = torch.zeros(settings.batch, 16, settings.height // 8, settings.width // 8)
    out = tiny.sample(
        model, encode(clip, POSITIVE), encode(clip, ""), settings.cfg, steps=settings.steps, seed=settings.seed, latent=latent
    )  # fmt: skip
    return out, model


def own_run(own: tuple[Any, Any], settings: Settings, guides: list[Guide]) -> Sampled:
    text_encoder, model = own
    return sample(model, prompt(text_encoder, POSITIVE), guides, settings, empty=prompt(text_encoder, "") if settings.cfg != 1 else None)


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.isfinite().all()
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


CASES: dict[str, tuple[Settings, list[tuple[Mechanism, tuple[float, float], str]]]] = {
    "plain": (Settings(seed=1), []),
    "plain_batch_wide": (Settings(steps=4, seed=2, batch=3, width=96), []),
    "plain_cfg": (Settings(steps=5, seed=3, cfg=2.5), []),
    "vsf": (Settings(seed=4), [(VSF, (0.0, 1.0), "")]),
    "vsf_batch_tall": (Settings(steps=3, seed=5, batch=2, height=80), [(VSF, (0.0, 1.0), "")]),
    "vsf_released": (Settings(steps=4, seed=6), [(RELEASED, (0.0, 1.0), "")]),
    "vsf_window_blocks": (Settings(seed=7), [(VSF, (0.25, 0.75), "1-2")]),
    "vsf_cfg": (Settings(steps=4, seed=8, cfg=2.0), [(VSF, (0.0, 1.0), "")]),
    "nag": (Settings(seed=9, batch=2), [(NAG, (0.0, 1.0), "")]),
    "nasa": (Settings(seed=10), [(NASA, (0.0, 1.0), "")]),
    "vsf_nag": (Settings(steps=4, seed=11), [(VSF, (0.0, 0.8), ""), (NAG, (0.0, 1.0), "0, 3")]),
    "neutral": (Settings(steps=2, seed=12), [(ValueSignFlip(0.0, 0.0), (0.0, 1.0), "")]),
}


def parsed(blocks: str) -> frozenset[int] | None:
    return {"": None, "1-2": frozenset({1, 2}), "0, 3": frozenset({0, 3})}[blocks]


@pytest.mark.parametrize("case", CASES)
def test_latents_are_the_hosts(world: tuple[Any, Any, Any], own: tuple[Any, Any], case: str) -> None:
    settings, asked = CASES[case]
    negatives = encode_negatives(own[0], NEGATIVE)
    guides = [Guide(mechanism, negatives, Window(*window), parsed(blocks)) for mechanism, window, blocks in asked]
    theirs, _ = host_run(world, settings, asked)
    ours = own_run(own, settings, guides)
    assert_same(ours.latents, theirs)
    acts = bool(asked) and case != "neutral"
    assert (ours.maps is not None) == acts
    plain = own_run(own, settings, []).latents
    assert torch.equal(ours.latents, plain) != acts
    if acts:
        assert (ours.latents - plain).norm() > 1e-2 * plain.norm()


@pytest.mark.parametrize("case", ["vsf", "vsf_batch_tall", "vsf_cfg", "nag", "nasa"])
def test_maps_are_the_reports(world: tuple[Any, Any, Any], own: tuple[Any, Any], case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avert.host.install, "contains_node", lambda name: name == "AvertReport")
    settings, asked = CASES[case]
    _, model = host_run(world, settings, asked)
    maps = own_run(own, settings, [Guide(asked[0][0], encode_negatives(own[0], NEGATIVE))]).maps
    theirs = last_report(model).maps
    assert theirs is not None and theirs.std() > 1e-4
    assert maps is not None and maps.shape == (settings.steps, settings.batch, settings.height // 8, settings.width // 8)
    torch.testing.assert_close(maps[:, :, None], theirs, atol=1e-4, rtol=1e-3)


def test_batch_is_its_pictures(own: tuple[Any, Any]) -> None:
    """A batch's first picture is the one that the seed gives alone, as on the host."""
    guides = [Guide(VSF, encode_negatives(own[0], NEGATIVE))]
    both, one = (own_run(own, Settings(steps=3, seed=13, batch=batch), guides) for batch in (2, 1))
    assert_same(both.latents[:1], one.latents)


def test_cfg_needs_a_prompt_to_compare_with(own: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="`empty`"):
        sample(own[1], prompt(own[0], POSITIVE), settings=Settings(cfg=2.0))


@pytest.mark.parametrize("text", ["", "  \n, ,\n"])
def test_no_words_avoid_nothing(own: tuple[Any, Any], text: str) -> None:
    guides = [Guide(VSF, encode_negatives(own[0], text))]
    settings = Settings(steps=2)
    assert torch.equal(own_run(own, settings, guides).latents, own_run(own, settings, []).latents)
