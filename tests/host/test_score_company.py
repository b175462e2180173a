"""Check guidance in the space of scores beside all that the host and other nodes do: areas, masks, guiders, other guidance, bad input."""

from __future__ import annotations

from typing import Any

import comfy.sampler_helpers
import comfy.samplers
import pytest
import torch
from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from avert.host.guide import guide_score
from avert.host.install import last_report
from avert.host.negative import Negative, Prompt
from avert.host.report_picture import draw_plot
from avert.host.report_text import as_json, as_text
from avert.host.score.avoided import Avoided, host_conditions
from torch import Tensor

from guided_runs import VSF, assert_both_act, avoid, change, guided, host_node, model, prompts, spy
from score_reference import ThreePrompts, static
from scored_runs import ALL, DNG, EMPTY, PERP, STATIC, scored, unwanted
from tiny import cfg_guider, conditioning, guider_sample, latent_for, sample


def test_areas() -> None:
    """The host gives the negative the positive's areas, and each area its share."""
    positive = [*prompts("sd15")[0], *conditioning("sd15", 20, 8, area=(8, 8, 0, 8), strength=1.0)]
    found = sample(scored("sd15", STATIC), positive, prompts("sd15")[1], 3.0)
    assert change(sample(model("sd15"), positive, prompts("sd15")[1], 3.0), found) > 1e-3
    expected = guider_sample(ThreePrompts(model("sd15"), positive, prompts("sd15")[1], unwanted("sd15"), 3.0, static(0.7, "positive")))
    assert change(expected, found) < 1e-4


def test_together_with_guidance_inside_the_attention() -> None:
    alone = scored("sd15", STATIC), guided(model("sd15"), avoid("sd15", 5, 4), VSF)
    both = guided(scored("sd15", STATIC), avoid("sd15", 5, 4), VSF)
    pictures = [sample(patched, *prompts("sd15"), 3.0) for patched in (both, *alone)]
    assert_both_act(*pictures)
    report = last_report(both)
    assert report.steps and report.curves
    assert {node.mechanism for node in report.nodes} == {"VSF", "negative guidance"}


def test_several_lines_are_several_negatives() -> None:
    """Also when a line came as two prompts for parts of the run, which share what was written."""
    lines = [conditioning("sd15", 9, seed) for seed in (2, 6)]
    written = [lambda line=line: line for line in lines]
    prompts_of = [
        Prompt(line[0][0][:, :3], line[0][1], text=str(i), written=give) for i, (line, give) in enumerate(zip(lines, written, strict=True))
    ]
    together = guide_score(model("sd15"), STATIC, Negative((prompts_of[0], prompts_of[0], prompts_of[1])), (0.0, 1.0))
    apart = guide_score(guide_score(model("sd15"), STATIC, lines[0], (0.0, 1.0)), STATIC, lines[1], (0.0, 1.0))
    with spy(together) as calls:
        found = sample(together, *prompts("sd15"), 3.0, steps=2)
    assert sum(rows for rows, _ in calls) == 2 * 4
    assert [curve["negative"] for curve in last_report(together).curves] == ["0", "1"]
    assert change(sample(apart, *prompts("sd15"), 3.0, steps=2), found) < 1e-5
    assert change(sample(scored("sd15", STATIC), *prompts("sd15"), 3.0, steps=2), found) > 1e-3


def after(guider_class: Any, scale: float, reference: str) -> Any:
    """Make a guider of the host's that afterwards pushes from the list "avoided", by predictions of its own."""

    class Pushed(guider_class):
        def predict_noise(self, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: int | None = None) -> Tensor:
            guided = super().predict_noise(x, timestep, model_options or {}, seed)
            found = [
                comfy.samplers.calc_cond_batch(self.inner_model, [self.conds[name]], x, timestep, model_options or {})[0]
                for name in ("avoided", reference)
            ]
            return guided - scale * (found[0] - found[1])

    return Pushed


@pytest.mark.parametrize("mechanism", [STATIC, EMPTY], ids=["positive", "empty"])
@pytest.mark.parametrize("name", ["DualCFG", "PerpNeg"])
def test_other_guiders(name: str, mechanism: NegativeGuidance) -> None:
    """DualCFG hands on its second prompt as cond; PerpNegGuider has a list of its own for the empty prompt."""
    guider_class = host_node(*{"DualCFG": ("nodes_custom_sampler", "Guider_DualCFG"), "PerpNeg": ("nodes_perpneg", "Guider_PerpNeg")}[name])
    empty = {"DualCFG": "negative", "PerpNeg": "empty_negative_prompt"}[name]
    reference = after(guider_class, mechanism.negative_scale, "positive" if mechanism.reference == "positive" else empty)
    found = []
    for made, patched in ((guider_class, scored("sd15", mechanism)), (reference, model("sd15"))):
        guider = made(patched)
        guider.set_conds(conditioning("sd15", 20, 1), conditioning("sd15", 11, 3), conditioning("sd15", 12, 5))
        guider.set_cfg(3.0, 2.0)
        if made is reference:
            guider.original_conds["avoided"] = comfy.sampler_helpers.convert_cond(unwanted("sd15"))
        found.append(guider_sample(guider))
    assert change(found[1], found[0]) < 1e-4


def test_a_nested_dual_cfg_guider_is_refused() -> None:
    guider = host_node("nodes_custom_sampler", "Guider_DualCFG")(scored("sd15", STATIC))
    guider.set_conds(*prompts("sd15"), conditioning("sd15", 12, 5))
    guider.set_cfg(3.0, 2.0, nested=True)
    with pytest.raises(ValueError, match="style nested"):
        guider_sample(guider)


def test_the_negative_sees_what_belongs_to_the_picture() -> None:
    """ControlNet, hooks, sizes and reference pictures; not the positive's places, times and texts, nor hooks of its own."""
    shared = {"control": object(), "hooks": object(), "guidance": 3.5, "reference_latents": [torch.zeros(1)], "width": 512}
    own = {
        "area": (8, 8, 0, 0),
        "strength": 0.5,
        "start_percent": 0.2,
        "conditioning_byt5small": torch.zeros(1),
        "attention_mask": torch.ones(1),
    }
    positive = {"cross_attn": torch.zeros(1, 4, 8), "pooled_output": None, "uuid": 1, "model_conds": {}, **shared, **own}
    (made,) = host_conditions(Avoided("", [[torch.ones(1, 3, 8), {"pooled_output": None, "hooks": object(), "width": 256}]]), [positive])
    assert {key: made[key] for key in shared} == {**shared, "width": 256}
    assert not set(own) & set(made) and made["prompt_type"] == "negative" and made["uuid"] != 1


def test_a_negative_for_a_part_of_the_run() -> None:
    late = conditioning("sd15", 9, 2, start_percent=0.5, end_percent=1.0)
    patched = scored("sd15", STATIC, negative=late)
    assert change(sample(model("sd15"), *prompts("sd15"), 3.0, steps=4), sample(patched, *prompts("sd15"), 3.0, steps=4)) > 1e-4
    assert 0 < len(last_report(patched).curves[0]["steps"]) < 4


def test_a_picture_that_grows_during_the_run() -> None:
    sampler = host_node("nodes_advanced_samplers", "SamplerLCMUpscale")
    for mechanism in ALL:
        guider = cfg_guider(scored("sd15", mechanism), *prompts("sd15"), 3.0)
        made = (
            sampler.execute(scale_ratio=1.5, scale_steps=-1, upscale_method="bislerp").args[0]
            if hasattr(sampler, "execute")
            else (sampler().get_sampler(1.5, -1, "bislerp")[0])
        )
        latent = latent_for(guider.model_patcher)
        sigmas = comfy.samplers.calculate_sigmas(guider.model_patcher.get_model_object("model_sampling"), "simple", 4)
        with torch.inference_mode():
            found = guider.sample(torch.randn_like(latent), latent, made, sigmas, disable_pbar=True, seed=1)
        assert torch.isfinite(found).all() and found.shape[-1] > latent.shape[-1]


def test_the_report_shows_what_happened() -> None:
    patched = scored("sd15", DNG)
    sample(patched, *prompts("sd15"), 3.0, sampler_name="euler_ancestral", steps=4, batch=2)
    report = last_report(patched)
    text, data = as_text(report), as_json(report)
    assert "DNG: scale 4" in text and "posterior" in text and "attention blocks" not in text
    assert '"posterior"' in data and '"strength"' in data
    assert draw_plot(report).height > 300
    assert not report.notes


@pytest.mark.parametrize(
    ("sampler", "warned"), [("euler", True), ("dpmpp_2m", True), ("heun", True), ("euler_ancestral", False), ("lcm", False)]
)
def test_samplers_without_noise_are_warned_of_once(sampler: str, warned: bool) -> None:
    patched = scored("sd15", DNG)
    sample(patched, *prompts("sd15"), 3.0, sampler_name=sampler, steps=8)
    notes = [note for note in last_report(patched).notes if "adds no noise" in note]
    assert len(notes) == warned


def bare(family: str) -> Tensor:
    return sample(model(family), *prompts(family), 3.0)


def test_bad_input_is_said_in_one_sentence() -> None:
    fine = model("sd15")
    good = {"scale": 1.0, "prior": 0.3, "temperature": 0.2, "offset": 0.0, "min_posterior": 1e-6, "max_posterior": 0.9}
    for wrong, words in (
        ({"prior": 0.0}, "`prior` of DNG is 0"), ({"prior": 1.0}, "`prior` of DNG is 1"), ({"max_posterior": 1.0}, "`max_posterior` of DNG"),
        ({"temperature": -1.0}, "`temperature` of DNG is -1"), ({"scale": float("nan")}, "`scale` of DNG is nan"),
        ({"min_posterior": 0.95}, "min_posterior < max_posterior"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            guide_score(fine, DynamicNegativeGuidance(**(good | wrong)), unwanted("sd15"), (0.0, 1.0))
    with pytest.raises(ValueError, match="768 wide|768"):
        sample(guide_score(fine, STATIC, conditioning("sdxl", 9, 2), (0.0, 1.0)), *prompts("sd15"), 3.0)
    with pytest.raises(ValueError, match="connect what to avoid to `negative`"):
        sample(guide_score(fine, PERP, None, (0.0, 1.0)), *prompts("sd15"), 3.0)
    with pytest.raises(ValueError, match="no negative prompt of its own"):
        guider_sample(cfg_guider(guide_score(fine, EMPTY, unwanted("sd15"), (0.0, 1.0)), prompts("sd15")[0]))
    for place in ({"mask": torch.ones(1, 16, 16)}, {"area": (8, 8, 0, 0), "strength": 1.0}):
        with pytest.raises(ValueError, match="an area or a mask"):
            guide_score(fine, STATIC, conditioning("sd15", 9, 2, **place), (0.0, 1.0))
        with pytest.raises(ValueError, match="an area or a mask"):
            sample(guide_score(fine, STATIC, None, (0.0, 1.0)), prompts("sd15")[0], conditioning("sd15", 9, 2, **place), 3.0)
    cached = host_node("nodes_easycache", "EasyCacheNode").execute(fine, 0.2, 0.15, 0.95, False).args[0]
    with pytest.raises(ValueError, match="remove EasyCache"):
        sample(guide_score(cached, STATIC, unwanted("sd15"), (0.0, 1.0)), *prompts("sd15"), 3.0)
    assert torch.equal(bare("sd15"), sample(fine, *prompts("sd15"), 3.0))
