"""Check that words that come during a run act wherever a fixed negative does: in the positive's areas, and with what it has been given for a part of them."""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import pytest
import torch
from avert.host.encode import encode_negative
from avert.host.install import last_report
from torch import Tensor

import tiny
from guided_runs import model
from tiny_clip import encode, tiny_clip
from watched_runs import DNG, NAG, STATIC, VSF, Script, between, guided, watched

STEPS = 5
WORDS = ("hat", "dog, moon")
CPU = torch.device("cpu")
CLIPS = {"sd15": "sd1", "sd3": "sd3"}


class Boxes(torch.nn.Module):
    """Stand for a GLIGEN model, which changes what the model makes of the text at places of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def set_position(self, shape: Any, places: list[float], device: Any) -> Any:
        return lambda x, options: x * places[0]


def boxes(strength: float) -> tuple[str, Any, list[float]]:
    return ("position", comfy.model_patcher.ModelPatcher(Boxes(), CPU, CPU), [strength])


def controlled() -> dict[str, Any]:
    """Give what ControlNetApply gives, which is to act on the negative too."""
    (((_, entry),), _) = tiny.with_control([[None, {}]], [[None, {}]], tiny.tiny_controlnet())
    return {**entry, "control_apply_to_uncond": True}


def half(left: bool) -> Tensor:
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1
    return mask if left else 1 - mask


Texts = list[tuple[str, dict[str, Any]]]
TOP, BOTTOM = {"area": (8, 16, 0, 0), "strength": 1.0}, {"area": (8, 16, 8, 0), "strength": 0.7}
# The positive prompts of a run, and the sampler's own negative.
PLACES: dict[str, tuple[Texts, Texts]] = {
    "areas": ([("a red house", TOP), ("a cat on the sofa", BOTTOM), ("garden", {})], [("", {})]),
    "percentages": ([("garden", {}), ("a cat", {"area": ("percentage", 0.5, 0.5, 0.25, 0.25), "strength": 1.0})], [("", {})]),
    "areas without a rest": ([("a red house", TOP), ("a cat on the sofa", BOTTOM)], [("", {})]),
    "areas for a time": ([("garden", {}), ("a cat", {**TOP, "start_percent": 0.2}), ("a dog", {**BOTTOM, "end_percent": 0.6})], [("", {})]),
    "area of the negative": (
        [("a red house", TOP), ("a cat", BOTTOM)],
        [("", {}), ("blurry", {"area": (16, 8, 0, 4), "strength": 1.0}), ("text", TOP)],
    ),
    "masks": ([("a red house", {"mask": half(True)}), ("a cat", {"mask": half(False), "mask_strength": 0.8})], [("", {})]),
    "bounds": ([("garden", {}), ("a cat", {"mask": half(True), "set_area_to_bounds": True, "mask_strength": 1.0})], [("", {})]),
}
# Of Stable Diffusion 1.5 alone.
MORE: dict[str, Any] = {
    "boxes": lambda: ([("a red house", {"gligen": boxes(1.2)})], [("", {})]),
    "boxes and areas": lambda: ([("a cat", TOP), ("a red house", {"gligen": boxes(1.2)}), ("garden", {})], [("", {})]),
    "control of a part": lambda: ([("a red house", {}), ("a cat", {**controlled(), **TOP}), ("garden", controlled())], [("", {})]),
}


def run(patched: Any, clip: Any, places: tuple[Texts, Texts], noise: Tensor | None = None) -> Tensor:
    positive, negative = ([[tokens, {**entry, **more}] for text, more in side for tokens, entry in encode(clip, text)] for side in places)
    return tiny.sample(patched, positive, negative, 3.0, steps=STEPS, seed=1, noise=noise, batch=1 if noise is None else len(noise))


def told(family: str, clip: Any, *answers: tuple[str, ...]) -> Any:
    """Let a vision-language model answer after the second and the fourth step."""
    return watched((model(family), clip, None), Script(*answers), "4, 2")


def assert_as_fixed(family: str, places: tuple[Texts, Texts], mechanisms: tuple[Any, ...]) -> None:
    """Compare words after the second and the fourth step with two fixed negatives from the third and the fifth step on."""
    clip, base = tiny_clip(CLIPS[family]), model(family)
    found = fixed = base
    source = told(family, clip, *[(words,) for words in WORDS])
    first, second = between(base, 2, STEPS), between(base, 4, STEPS)
    for mechanism in mechanisms:
        found = guided((base, clip, None), mechanism, source, model=found)
        for words, window in zip(WORDS, ((first, second), (second, 1.0)), strict=True):
            fixed = guided((base, clip, None), mechanism, encode_negative(clip, words), window, fixed)
    made, plain = run(found, clip, places), run(base, clip, places)
    assert not [note for note in last_report(found).notes if "noise" not in note]
    assert float((made - plain).norm()) > 1e-3 * float(plain.norm())
    torch.testing.assert_close(made, run(fixed, clip, places), atol=0, rtol=0)


@pytest.mark.parametrize("where", PLACES)
def test_words_act_where_fixed_negatives_do(where: str) -> None:
    assert_as_fixed("sd3", PLACES[where], (STATIC,))


@pytest.mark.slow
@pytest.mark.parametrize("where", MORE)
def test_words_have_what_fixed_negatives_are_given(where: str) -> None:
    assert_as_fixed("sd15", MORE[where](), (STATIC,))


@pytest.mark.slow
@pytest.mark.parametrize("inside", [VSF, NAG], ids=["vsf", "nag"])
def test_beside_guidance_inside_the_attention(inside: Any) -> None:
    """Which is not to take the negative's part of an area for the positive's."""
    assert_as_fixed("sd3", PLACES["areas"], (inside, DNG))


@pytest.mark.slow
def test_each_picture_of_a_batch_has_its_own_words_in_each_area() -> None:
    words, clip, base = ("hat", "dog", "none"), tiny_clip("sd3"), model("sd3")
    noise = torch.randn(len(words), 16, 16, 16, generator=torch.Generator().manual_seed(4))

    def made(noise: Tensor, *answer: str) -> Tensor:
        return run(guided((base, clip, None), STATIC, told("sd3", clip, answer)), clip, PLACES["areas"], noise)

    together = made(noise, *words)
    for i, word in enumerate(words):
        torch.testing.assert_close(together[i], made(noise[i : i + 1], word)[0], atol=1e-4, rtol=1e-4)
