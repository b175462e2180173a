"""Check bad input and rare models through real runs: one sentence, or a result; and afterwards everything is as before."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.samplers
import pytest
import torch
from avert.guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
from avert.host.encode import encode_negative
from avert.host.install import last_report
from avert.host.negative import Negative, Prompt
from torch import Tensor

from guided_runs import MECHANISMS, avoid, change, guided, model, prompts
from tiny import FACTORIES, cfg_guider, conditioning, guider_sample, sample
from tiny_clip import tiny_clip
from tiny_others import OTHERS, in_precision

FOUR = ("sd3", "flux", "wan", "sd15")


@contextmanager
def one_sentence(words: str) -> Iterator[None]:
    """Expect an error with these words that a user can read: one line, a full stop, nothing of tensors and shapes."""
    with pytest.raises((ValueError, RuntimeError), match=words) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 400
    assert not re.search(r"size|mat1|shape|tensor", text)


@pytest.mark.parametrize("name", OTHERS)
def test_models_without_support_are_named(name: str) -> None:
    other = OTHERS[name]()
    assert type(other.model).__name__ == name
    with one_sentence(rf"does not support this model \({name}\)"):
        guided(other, conditioning("flux", 5))
    assert other.get_attachment("avert") is None


def bad_runs() -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """List (words of the error, what to run on a model of the SD3 family)."""
    positive, negative = prompts("sd3")
    zeros = [[torch.zeros_like(negative[0][0]), negative[0][1]]]
    broken = [[negative[0][0] * math.nan, negative[0][1]]]
    area = conditioning("sd3", 5, 2, area=(4, 4, 0, 0), strength=1.0)
    masked = conditioning("sd3", 5, 2, mask=torch.ones(1, 16, 16))
    half = Negative((*avoid("sd3").prompts, Prompt(torch.zeros(1, 3, 4096) + math.inf)))
    return {
        "768 wide": ("text is 768 wide, this model takes 4096", lambda m: guided(m, conditioning("sd15", 7))),
        "Flux": (
            "pooled vector is 768 wide, this model takes 2048",
            lambda m: sample(guided(m, conditioning("flux", 7)), positive, negative),
        ),
        "zeroed out": ("zeroed out", lambda m: guided(m, zeros)),
        "own zeroed out": ("zeroed out", lambda m: sample(guided(m, None), positive, zeros)),
        "own NaN": ("NaN or infinity", lambda m: sample(guided(m, None), positive, broken)),
        "second of two": ("NaN or infinity", lambda m: guided(m, half)),
        "own area": ("area or a mask", lambda m: sample(guided(m, None), positive, area, 3.0)),
        "own mask": ("area or a mask", lambda m: sample(guided(m, None), positive, masked)),
        "no negative": (r"this guider \(CFGGuider\) has no negative", lambda m: guider_sample(cfg_guider(guided(m, None), positive))),
        "other width": ("text is 768 wide, this model takes 4096", lambda m: sample(guided(m, None), positive, conditioning("sd15", 7))),
        "text": ("below 0", lambda m: guided(m, encode_negative(tiny_clip("sd3"), "a (cat:-1.2)"))),
        "scale": ("`scale` of VSF is -1", lambda m: guided(m, negative, ValueSignFlip(-1.0, 0.0))),
        "tau": ("`nag_tau` of NAG is nan", lambda m: guided(m, negative, NormalizedGuidance(5.0, math.nan, 0.25))),
        "window": (r"start_percent \(0.6\) is after end_percent \(0.5\)", lambda m: guided(m, negative, window=(0.6, 0.5))),
        "blocks": ("block 3, but this model has 3 blocks", lambda m: guided(m, negative, blocks="0-3")),
    }


def test_after_each_failure_everything_is_as_before() -> None:
    base, family = model("sd3"), "sd3"
    good = guided(base, avoid(family))
    plain, expected = (sample(m, *prompts(family), 3.0, steps=2) for m in (base, good))
    for name, (words, action) in bad_runs().items():
        with one_sentence(words):
            action(base)
        with one_sentence(words):
            # On a model that is guided already.
            action(good)
        assert torch.equal(plain, sample(base, *prompts(family), 3.0, steps=2)), name
        assert torch.equal(expected, sample(good, *prompts(family), 3.0, steps=2)), name


@pytest.mark.parametrize("blocks", ["0;1", "1-", "-1", "1--2", "0-1-2", "1.5", ",", "0,,1", "zero", "0 1", "²"])
def test_malformed_blocks(blocks: str) -> None:
    with one_sentence("`blocks` has|`blocks` asks"):
        guided(model("sd3"), avoid("sd3"), blocks=blocks)


@pytest.mark.parametrize("blocks", ["0-2", " 0 - 1 ,2 ", "2,1,0,0", "00-02"])
def test_blocks_in_any_writing(blocks: str) -> None:
    patched = guided(model("sd3"), avoid("sd3"), blocks=blocks)
    assert torch.equal(sample(patched, *prompts("sd3")), sample(guided(model("sd3"), avoid("sd3")), *prompts("sd3")))
    assert last_report(patched).nodes[0].blocks == [0, 1, 2]


@pytest.mark.parametrize("weight", ["nan", "inf"])
def test_weights_that_are_no_numbers(weight: str) -> None:
    with one_sentence("weight in the negative prompt"):
        encode_negative(tiny_clip("sd1"), f"a (cat:{weight}) here")


@pytest.mark.parametrize(("family", "mechanism"), [*((family, "vsf") for family in FACTORIES), ("flux", "nag"), ("sd15", "nasa")])
def test_negative_longer_than_the_positive(family: str, mechanism: str) -> None:
    positive, negative = conditioning(family, 3, 1, pad_to=0), conditioning(family, 2, 3, pad_to=0)
    for tokens in (150, 77):
        picture = sample(guided(model(family), avoid(family, tokens), MECHANISMS[mechanism]), positive, negative, 3.0, steps=1)
        assert torch.isfinite(picture).all()
        assert change(sample(model(family), positive, negative, 3.0, steps=1), picture) > 1e-3


def test_all_guiders_without_a_negative_are_named() -> None:
    class GuiderOfAnotherNode(comfy.samplers.CFGGuider):
        pass

    guider = GuiderOfAnotherNode(guided(model("flux"), None))
    guider.inner_set_conds({"positive": prompts("flux")[0]})
    with one_sentence(r"this guider \(GuiderOfAnotherNode\) has no negative prompt of its own; connect an Avert Negative Prompt"):
        guider_sample(guider)
    guider.inner_set_conds({"negative": prompts("flux")[1]})
    assert torch.isfinite(guider_sample(guider)).all()


def effect(patcher: Any, family: str, mechanism: str) -> Tensor:
    plain, picture = (sample(m, *prompts(family), steps=1) for m in (patcher, guided(patcher, avoid(family), MECHANISMS[mechanism])))
    assert torch.isfinite(picture).all()
    return (picture - plain) / plain.norm()


@pytest.mark.parametrize("family", FOUR)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.25), (torch.float16, 0.05)])
def test_half_precision_models(monkeypatch: pytest.MonkeyPatch, family: str, dtype: torch.dtype, tolerance: float) -> None:
    low = in_precision(monkeypatch, family, dtype, None)
    for mechanism in MECHANISMS:
        exact = effect(model(family), family, mechanism)
        assert (effect(low, family, mechanism) - exact).norm() < tolerance * exact.norm()


@pytest.mark.parametrize("family", FOUR)
@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])
def test_fp8_weights(monkeypatch: pytest.MonkeyPatch, family: str, compute: torch.dtype) -> None:
    low = in_precision(monkeypatch, family, torch.float8_e4m3fn, compute)
    rounded = FACTORIES[family]()
    for tensor in rounded.model.diffusion_model.parameters():
        tensor.copy_(tensor.to(torch.float8_e4m3fn))
    exact = effect(rounded, family, "vsf")
    assert exact.norm() > 1e-3
    assert (effect(low, family, "vsf") - exact).norm() < (0.1 if compute == torch.float32 else 0.3) * exact.norm()
