"""Check that the tiny models run on the real host, and that their text matters: other tests build on that."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tiny import (
    FACTORIES,
    cfg_guider,
    conditioning,
    guider_sample,
    latent,
    sample,
    tiny_controlnet,
    tiny_flux,
    tiny_sd3,
    tiny_sd15,
    with_control,
)
from tiny_clip import KINDS, encode, tiny_clip

FAMILIES = tuple(FACTORIES)
LONG = "a photo of a woman with glasses who reads a book in the garden, soft light, " * 16


@functools.cache
def model(family: str) -> Any:
    return FACTORIES[family]()


def change(a: Tensor, b: Tensor) -> float:
    """Measure |a - b| / |a|."""
    return ((a - b).norm() / a.norm()).item()


@pytest.mark.parametrize("name", ["comfy", "nodes", "utils", "app", "server", "execution", "folder_paths", "latent_preview"])
def test_modules_of_the_host_are_not_shadowed(name: str, host_path: Path) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    assert Path(places[0]).resolve().is_relative_to(host_path)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("sampler_name", ["euler", "heun"])
def test_samples_are_finite_and_follow_the_text(family: str, cfg: float, sampler_name: str) -> None:
    positive, negative = conditioning(family, 77, 1), conditioning(family, 30, 2)
    other = conditioning(family, 77, 3)
    # The same pooled vector: the tokens alone must make the difference.
    other[0][1]["pooled_output"] = positive[0][1]["pooled_output"]
    picture = sample(model(family), positive, negative, cfg, sampler_name=sampler_name)
    assert picture.dtype == torch.float32
    assert torch.isfinite(picture).all()
    assert change(picture, sample(model(family), other, negative, cfg, sampler_name=sampler_name)) > 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_the_negative_acts_at_cfg_3_only(family: str) -> None:
    positive, negative, other = (conditioning(family, 40, seed) for seed in (1, 2, 3))
    at_one = [sample(model(family), positive, side, 1.0) for side in (negative, other)]
    at_three = [sample(model(family), positive, side, 3.0) for side in (negative, other)]
    assert torch.equal(*at_one)
    assert change(*at_three) > 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_picture(family: str) -> None:
    positive, negative = conditioning(family, 20, 1), conditioning(family, 20, 2)
    first = sample(model(family), positive, negative, 3.0, seed=7, batch=2)
    assert torch.equal(first, sample(FACTORIES[family](), positive, negative, 3.0, seed=7, batch=2))
    assert change(first, sample(model(family), positive, negative, 3.0, seed=8, batch=2)) > 0.05
    assert change(first[:1], first[1:]) > 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_guider_gives_what_the_sampler_gives(family: str) -> None:
    positive, negative = conditioning(family, 20, 1), conditioning(family, 20, 2)
    expected = sample(model(family), positive, negative, 3.0)
    assert torch.equal(expected, guider_sample(cfg_guider(model(family), positive, negative, 3.0)))
    basic = guider_sample(cfg_guider(model(family), positive))
    assert torch.equal(basic, sample(model(family), positive, negative, 1.0))


@pytest.mark.parametrize("family", FAMILIES)
def test_image_to_image_keeps_the_start(family: str) -> None:
    start = latent(family, 1, seed=4)
    positive = conditioning(family, 20, 1)
    weak = sample(model(family), positive, positive, latent=start, steps=10, denoise=0.1)
    strong = sample(model(family), positive, positive, latent=start, steps=10, denoise=1.0)
    assert change(start, weak) < change(start, strong)


def test_kontext_reference_changes_the_picture() -> None:
    flux = tiny_flux()
    plain = conditioning("flux", 20, 1)
    with_reference = conditioning("flux", 20, 1, reference_latents=[latent("flux", 1, seed=5)])
    assert change(sample(flux, plain, plain), sample(flux, with_reference, plain)) > 0.01


def test_guidance_embedding_changes_the_picture() -> None:
    flux = tiny_flux(guidance_embed=True)
    low, high = (conditioning("flux", 20, 1, guidance=value) for value in (1.0, 6.0))
    assert change(sample(flux, low, low), sample(flux, high, high)) > 0.01


def test_controlnet_changes_the_picture() -> None:
    unet = tiny_sd15()
    positive, negative = conditioning("sd15", 77, 1), conditioning("sd15", 77, 2)
    controlled = with_control(positive, negative, tiny_controlnet())
    assert change(sample(unet, positive, negative, 3.0), sample(unet, *controlled, 3.0)) > 0.05


def test_wan_conditioning_is_padded_with_zeros() -> None:
    tokens = conditioning("wan", 12, 1)[0][0]
    assert tokens.shape == (1, 512, 4096)
    assert (tokens.abs().sum(-1) > 0).sum() == 12
    assert conditioning("wan", 12, 1, pad_to=0)[0][0].shape == (1, 12, 4096)


@pytest.mark.parametrize("kind", KINDS)
def test_clip_encodes_short_and_long_prompts(kind: str) -> None:
    clip = tiny_clip(kind)
    (short, short_entry), (long, _) = (encode(clip, text)[0] for text in ("a cat", LONG))
    width = {"sd1": 768, "sdxl": 2048}.get(kind, 4096)
    assert short.shape[-1] == long.shape[-1] == width
    assert torch.isfinite(short).all()
    assert torch.isfinite(long).all()
    # Wan always pads to 512; the others grow beyond what a short prompt takes.
    assert long.shape[1] > short.shape[1] or kind == "wan"
    pooled = {"sd1": 768, "sdxl": 1280, "flux": 768, "wan": None}.get(kind, 2048)
    assert (short_entry["pooled_output"].shape[-1] if pooled else short_entry["pooled_output"]) == pooled


@pytest.mark.parametrize("kind", KINDS)
def test_clip_knows_words_and_weights(kind: str) -> None:
    clip = tiny_clip(kind)
    cat, dog, heavy = (encode(clip, text)[0][0] for text in ("a cat", "a dog", "a (cat:1.5)"))
    assert change(cat, dog) > 0.01
    assert change(cat, heavy) > 0.001
    assert torch.equal(cat, encode(clip, "a cat")[0][0])


def test_clip_and_model_work_together() -> None:
    clip = tiny_clip("sd3")
    with_glasses, without = encode(clip, "a woman with glasses"), encode(clip, "a woman")
    assert change(sample(tiny_sd3(), with_glasses, without), sample(tiny_sd3(), without, with_glasses)) > 0.01
