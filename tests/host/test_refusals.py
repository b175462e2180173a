"""Check what users get for bad input: it works, or one clear sentence; and the next good run is clean."""

from __future__ import annotations

import math
from typing import Any

import comfy.ldm.hunyuan3d.model
import comfy.model_base
import comfy.samplers
import pytest
import torch
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.encode import encode_negative
from avert.host.guide import guide
from avert.host.install import last_report
from avert.host.negative import Negative

from tiny import FACTORIES, cfg_guider, conditioning, guider_sample, sample
from tiny_clip import tiny_clip

ALL = (0.0, 1.0)
VSF = ValueSignFlip(1.0, 0.0)


def guided(model: Any, negative: Any, mechanism: Any = VSF, window: tuple[float, float] = ALL, blocks: str = "") -> Any:
    return guide(model, mechanism, negative, window, blocks)


def refused(message: str, action: Any) -> None:
    """Check for one sentence: the expected words, nothing from inside torch, one line."""
    with pytest.raises((ValueError, RuntimeError), match=message) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and text.rstrip()[-1] in ".)"


SETTINGS = [
    (ValueSignFlip(-1.0, 0.0), "`scale` of VSF is -1; it must be 0 or more"),
    (ValueSignFlip(math.nan, 0.0), "`scale` of VSF is nan; set a number"),
    (ValueSignFlip(1.0, math.inf), "`offset` of VSF is inf; set a number"),
    (NormalizedGuidance(5.0, -2.0, 0.25), "`nag_tau` of NAG is -2"),
    (NormalizedGuidance(5.0, 0.5, 0.25), "`nag_tau` of NAG is 0.5; below 1"),
    (NegativeAway(-0.1), "`scale` of NASA is -0.1"),
]


@pytest.mark.parametrize(("mechanism", "message"), SETTINGS)
def test_settings_without_meaning(mechanism: Any, message: str) -> None:
    refused(message, lambda: guided(FACTORIES["sd3"](), conditioning("sd3", 5), mechanism))


def test_offset_may_be_negative() -> None:
    guided(FACTORIES["sd3"](), conditioning("sd3", 5), ValueSignFlip(1.0, -0.6))


@pytest.mark.parametrize(
    ("window", "message"), [((0.8, 0.2), "start_percent \\(0.8\\) is after end_percent \\(0.2\\); swap"), ((-0.1, 1.0), "between 0 and 1")]
)
def test_windows(window: tuple[float, float], message: str) -> None:
    refused(message, lambda: guided(FACTORIES["sd3"](), conditioning("sd3", 5), window=window))


BLOCKS = [
    ("0-9", "block 9, but this model has 3 blocks, 0 to 2"),
    ("2-1", "2-1, which runs backwards"),
    ("one", '"one" in it; write numbers and ranges'),
]


@pytest.mark.parametrize(("blocks", "message"), BLOCKS)
def test_blocks(blocks: str, message: str) -> None:
    refused(message, lambda: guided(FACTORIES["sd3"](), conditioning("sd3", 5), blocks=blocks))


def test_other_models_are_named() -> None:
    """The real class of another family, without weights: the message has its name."""
    model = FACTORIES["flux"]()
    other = comfy.model_base.Hunyuan3Dv2.__new__(comfy.model_base.Hunyuan3Dv2)
    torch.nn.Module.__init__(other)
    other.diffusion_model = comfy.ldm.hunyuan3d.model.Hunyuan3Dv2.__new__(comfy.ldm.hunyuan3d.model.Hunyuan3Dv2)
    torch.nn.Module.__init__(other.diffusion_model)
    # Flux's blocks, but a picture where its text would be.
    for name in ("double_blocks", "single_blocks"):
        setattr(other.diffusion_model, name, getattr(model.model.diffusion_model, name))
    other.diffusion_model.cond_in = model.model.diffusion_model.txt_in
    patcher = model.clone()
    patcher.model = other
    refused("does not support this model \\(Hunyuan3Dv2\\)", lambda: guided(patcher, conditioning("flux", 5)))


@pytest.mark.parametrize("family", ["sd3", "flux", "wan", "sd15", "sdxl"])
def test_width_of_another_model(family: str) -> None:
    wrong = conditioning(family, 5, text_dim=333)
    refused("encoded for another model: its text is 333 wide", lambda: guided(FACTORIES[family](), wrong))


def test_flux_negative_on_sd3() -> None:
    """Both are 4096 wide; the pooled vectors tell."""
    model = guided(FACTORIES["sd3"](), conditioning("flux", 5))
    refused("pooled vector is 768 wide, this model takes 2048", lambda: sample(model, conditioning("sd3", 9), conditioning("sd3", 9)))


@pytest.mark.parametrize(("family", "clip"), [("flux", "wan"), ("sd3", "wan"), ("wan", "flux")])
def test_encoders_of_another_model(family: str, clip: str) -> None:
    """Equally wide, but of other encoders: told by their names, or by a pooled vector that one has and the other lacks."""
    ours = encode_negative(tiny_clip(clip), "glasses")
    refused("The negative was encoded by .*, but a .* model reads", lambda: guided(FACTORIES[family](), ours))
    model = guided(FACTORIES[family](), conditioning(clip, 5))
    refused("has a pooled vector and .* has none", lambda: sample(model, conditioning(family, 9), conditioning(family, 9)))


def test_guider_without_a_positive_prompt() -> None:
    guider = comfy.samplers.CFGGuider(guided(FACTORIES["sd3"](), conditioning("sd3", 5)))
    guider.inner_set_conds({"negative": conditioning("sd3", 9)})
    refused("This guider \\(CFGGuider\\) has no positive prompt", lambda: guider_sample(guider))


def zeros(family: str) -> list[list]:
    return [[torch.zeros_like(embedding), options] for embedding, options in conditioning(family, 9)]


def not_a_number(family: str) -> list[list]:
    broken = conditioning(family, 9)
    broken[0][0][0, 3, 1] = math.nan
    return broken


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (zeros, "zeroed out \\(ConditioningZeroOut\\?\\).*Avert Negative Prompt"),
        (not_a_number, "contain NaN or infinity.*higher precision"),
        (lambda family: [[None, {}]], "no text embeddings"),
        (lambda family: conditioning(family, 9, area=(4, 4, 0, 0)), "area or a mask"),
    ],
)
def test_negatives_that_cannot_act(make: Any, message: str) -> None:
    refused(message, lambda: guided(FACTORIES["sd3"](), make("sd3")))


def test_samplers_own_negative_is_checked_too() -> None:
    model = guided(FACTORIES["sd3"](), None)
    refused("zeroed out", lambda: sample(model, conditioning("sd3", 9), zeros("sd3")))
    refused("contain NaN", lambda: sample(model, conditioning("sd3", 9), not_a_number("sd3")))
    refused("this guider \\(CFGGuider\\) has no negative prompt", lambda: guider_sample(cfg_guider(model, conditioning("sd3", 9))))


@pytest.mark.parametrize("nothing", [[], Negative()])
def test_nothing_to_avoid_works_and_is_said(nothing: Any) -> None:
    model, positive = FACTORIES["sd3"](), conditioning("sd3", 9)
    patched = guided(model, nothing)
    assert torch.equal(sample(patched, positive, positive), sample(model, positive, positive))
    assert any("the negative is empty" in note for note in last_report(patched).notes)


@pytest.mark.parametrize("family", ["sd3", "flux", "wan", "sd15"])
def test_next_run_is_clean(family: str) -> None:
    model, positive, negative = FACTORIES[family](), conditioning(family, 9, 1), conditioning(family, 5, 2)
    plain = sample(model, positive, positive)
    good = guided(model, negative)
    expected = sample(good, positive, positive)
    bad = guided(model, None)
    with pytest.raises(ValueError, match="zeroed out"):
        sample(bad, positive, zeros(family))
    assert torch.equal(sample(model, positive, positive), plain)
    assert torch.equal(sample(good, positive, positive), expected)
    assert torch.equal(sample(bad, positive, negative), expected)


@pytest.mark.parametrize("family", ["sd3", "flux", "wan", "sd15"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_low_precision_weights_work(family: str, dtype: torch.dtype) -> None:
    """Weights stored low and cast for each layer, as the host does for fp8 files: the change points where it does in float32."""
    model, positive, negative = FACTORIES[family](), conditioning(family, 9, 1), conditioning(family, 5, 2)
    exact = sample(guided(model, negative), positive, positive) - sample(model, positive, positive)
    for module in model.model.diffusion_model.modules():
        # Only layers whose class casts its weights; the others compute in the dtype that they are stored in.
        if hasattr(module, "comfy_cast_weights") and getattr(module, "weight", None) is not None and module.weight.ndim > 1:
            module.weight.data = module.weight.data.to(dtype)
            module.comfy_cast_weights = True
    low = sample(guided(model, negative), positive, positive) - sample(model, positive, positive)
    likeness = torch.nn.functional.cosine_similarity(low.flatten(), exact.flatten(), dim=0)
    assert low.isfinite().all() and likeness > 0.9
