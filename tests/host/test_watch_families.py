"""Check for every family that pictures of a batch, told words of their own, become what they would have become alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from avert.host.install import last_report
from torch import Tensor

import tiny
from family_spec import Conditioning, Spec, all_specs, flat, model_of, parts, spec_params
from guided_runs import model as tiny_model
from watched_runs import DNG, STATIC, Script, guided, watched

# Tokens and seed of each text: a hat and a dog are equally long.
TEXTS = {"picture": (5, 30), "hat": (5, 31), "dog": (5, 32), "smoke": (6, 33)}
STEPS = 3
# Families without a spec.
OTHERS = {
    name: Spec(name, name, tiny.FACTORIES[name], partial(tiny.conditioning, name), partial(tiny.latent, name), lambda x: 0, 0)
    for name in ("sdxl", "sd3", "flux", "wan_i2v")
}


class Reader:
    """Stand for a family's text encoder."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, text: str) -> Conditioning:
        return self._spec.prompt(*TEXTS[text])


class Grey:
    """Stand for a decoder."""

    def decode(self, latents: Tensor) -> Tensor:
        return torch.full((latents.shape[0], 32, 32, 3), 0.5)

    def spacial_compression_decode(self) -> int:
        return 8


def like(latent: Any, made: list[Tensor]) -> Any:
    return type(latent)(made) if latent.is_nested else made[0]


def noise(latent: Any, pictures: list[int]) -> Any:
    """Draw each picture's own noise."""
    drawn = [[torch.randn(p.shape, generator=torch.Generator().manual_seed(100 + i)) for p in parts(latent)] for i in pictures]
    return like(latent, [torch.cat(streams) for streams in zip(*drawn, strict=True)])


def run(spec: Spec, model: Any, pictures: list[int]) -> tuple[Tensor, int]:
    """Sample some pictures; give them and the calls of the model that it took."""
    calls: list[None] = []
    hook = model.model.diffusion_model.register_forward_pre_hook(lambda *_: calls.append(None))
    latent = spec.latent(1)
    options = {"steps": STEPS, "noise": noise(latent, pictures), "latent": spec.latent(len(pictures))}
    try:
        return flat(tiny.sample(model, spec.prompt(9, 1), spec.prompt(8, 2), 3.0, **options)), len(calls)
    finally:
        hook.remove()


def plain_model(spec: Spec) -> Any:
    return tiny_model(spec.name) if spec.name in OTHERS else model_of(spec.name)


def told(spec: Spec, words: tuple[str, ...], mechanism: Any) -> Any:
    """Give the model as it is guided when each picture is told one of the words after the first step."""
    world = (plain_model(spec), Reader(spec), Grey())
    return guided(world, mechanism, watched(world, Script(words), str(STEPS)))


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", [STATIC, DNG], ids=["static", "dng"])
@pytest.mark.parametrize("name", [*OTHERS, *spec_params()])
def test_each_picture_of_a_batch_has_its_own_words(name: str, mechanism: Any) -> None:
    """Words of as many tokens are evaluated together, at the cost of one text; others apart, where they are not filled up to one length."""
    if name.startswith("minimax"):
        pytest.skip("the host takes one picture of it at a time")
    spec = OTHERS.get(name) or all_specs()[name]
    plain = plain_model(spec)
    alone = {(word, i): run(spec, told(spec, (word,), mechanism), [i]) for word, i in (("hat", 0), ("dog", 1), ("smoke", 1), ("none", 2))}
    effect = min(float((one - run(spec, plain, [i])[0]).norm()) for (word, i), (one, _) in alone.items() if word != "none")
    rounding = float((run(spec, plain, [0, 1])[0][1:] - run(spec, plain, [1])[0]).norm())
    assert rounding < 1e-2 * effect
    for words in (("hat", "dog", "none"), ("hat", "smoke")):
        model = told(spec, words, mechanism)
        together, calls = run(spec, model, list(range(len(words))))
        assert not [note for note in last_report(model).notes if "noise" not in note]
        more = (0,) if words[1] == "dog" else (0, STEPS - 1)
        assert calls - alone["hat", 0][1] in more
        for i, word in enumerate(words):
            off = float((together[i : i + 1] - alone[word, i][0]).norm())
            assert off < 1e-3 * effect + 10 * rounding, f"{word}: off by {off:.1e}, of an effect of {effect:.1e}"
