"""Check the life of a run: neutral is bit-exact, and nothing stays behind whatever happens."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import comfy.model_management
import pytest
import torch
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.score.combine import DynamicNegativeGuidance
from avert.host.encode import encode_negative
from avert.host.guide import guide_score
from avert.host.install import last_report
from avert.host.negative import Negative

from guided_runs import (
    MECHANISMS,
    VSF,
    Trouble,
    avoid,
    change,
    guided,
    model,
    module_outline,
    patcher_outline,
    prompts,
    run_with_spy,
    with_override,
)
from tiny import FACTORIES, cfg_guider, conditioning, guider_sample, sample
from tiny_clip import tiny_clip

FAMILIES = tuple(FACTORIES)
DNG = DynamicNegativeGuidance(4.0, 0.3, 1e-4, 0.0, 1e-6, 0.9)
FOUR = ("sd3", "flux", "wan", "sd15")
STRENGTHS = {
    "VSF scale 0": ValueSignFlip(0.0, -0.6),
    "VSF released, scale 0": ValueSignFlip(0.0, 0.2, "released"),
    "NAG scale 1": NormalizedGuidance(1.0, 2.5, 0.25),
    "NAG scale 0": NormalizedGuidance(0.0, 2.5, 0.25),
    "NAG alpha 0": NormalizedGuidance(5.0, 2.5, 0.0),
    "NASA scale 0": NegativeAway(0.0),
}
# Classes that live for one run or one evaluation.
OF_A_RUN = {
    "Run",
    "Forward",
    "Plan",
    "Call",
    "Recorder",
    "Live",
    "Watch",
    "Evaluation",
    "ReadyTask",
    "ReadyPrompt",
    "ScoreRun",
    "Tracker",
    "Evaluated",
    "Guided",
}
WINDOWS = {"start is end": (0.5, 0.5), "at the start": (0.0, 0.0), "at the end": (1.0, 1.0)}


def assert_neutral(family: str, patched: Any, cfg: float, **options: Any) -> None:
    plain, plain_calls = run_with_spy(model(family), family, cfg, **options)
    out, calls = run_with_spy(patched, family, cfg, **options)
    assert torch.equal(plain, out)
    assert calls == plain_calls


@pytest.mark.parametrize(("family", "cfg"), [*((family, 1.0) for family in FAMILIES), ("sd3", 3.0), ("sd15", 3.0)])
def test_strength_zero_is_exact_and_costs_nothing(family: str, cfg: float) -> None:
    patched = model(family)
    for mechanism in STRENGTHS.values():
        patched = guided(patched, avoid(family), mechanism)
    assert_neutral(family, patched, cfg, batch=2, steps=2)
    assert sum("did nothing" in note for note in last_report(patched).notes) == len(STRENGTHS)


@pytest.mark.parametrize("case", STRENGTHS)
def test_each_strength_zero_alone(case: str) -> None:
    assert_neutral("sd3", guided(model("sd3"), avoid("sd3"), STRENGTHS[case]), 1.0, steps=2)


@pytest.mark.parametrize(("family", "case"), [*((family, "start is end") for family in FOUR), *(("sd3", case) for case in WINDOWS)])
def test_empty_window_is_exact(family: str, case: str) -> None:
    assert_neutral(family, guided(model(family), avoid(family), VSF, WINDOWS[case]), 1.0, steps=2)


@pytest.mark.parametrize(("family", "mechanism"), [*((family, "vsf") for family in FOUR), ("sd3", "nag"), ("flux", "nasa")])
def test_outside_its_window_is_exact(family: str, mechanism: str) -> None:
    patched = guided(model(family), avoid(family), MECHANISMS[mechanism], (0.99, 1.0))
    assert_neutral(family, patched, 3.0, last_step=2, force_full_denoise=False)
    report = last_report(patched)
    assert [skip["reason"] for skip in report.skipped] == ["outside its window"] * 2
    assert not report.steps
    assert "No step was guided" in report.notes[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_only_steps_in_the_window_get_tokens(family: str) -> None:
    plain, plain_calls = run_with_spy(model(family), family, steps=4)
    patched = guided(model(family), avoid(family, 7), VSF, (0.0, 0.01))
    out, calls = run_with_spy(patched, family, steps=4)
    assert change(plain, out) > 1e-3
    assert len(calls) == len(plain_calls)
    assert calls[1:] == plain_calls[1:]
    rows, tokens = plain_calls[0]
    assert calls[0][0] == rows
    assert calls[0][1] in (tokens + 7, tokens + 8)


@pytest.mark.parametrize("negative", ["text", "no prompts", "conditioning"])
def test_nothing_to_avoid_is_exact(negative: str) -> None:
    nothing = {"text": lambda: encode_negative(tiny_clip("sd3"), " \n\n "), "no prompts": Negative, "conditioning": list}[negative]()
    patched = guided(model("sd3"), nothing)
    assert_neutral("sd3", patched, 1.0)
    assert any("the negative is empty" in note for note in last_report(patched).notes)


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_costs_no_call(family: str) -> None:
    _, plain = run_with_spy(model(family), family, 3.0, sampler_name="heun", steps=2)
    _, calls = run_with_spy(guided(model(family), avoid(family)), family, 3.0, sampler_name="heun", steps=2)
    assert [rows for rows, _ in calls] == [rows for rows, _ in plain]


def scored(patched: Any, family: str) -> Any:
    """Guide in the space of scores too."""
    return guide_score(patched, DNG, conditioning(family, 9, 7), (0.0, 1.0))


def finish(base: Any, patched: Any, trouble: Trouble, run: Callable[..., Any]) -> None:
    run(patched, seed=5)


def another_node(base: Any, patched: Any, trouble: Trouble, run: Callable[..., Any]) -> None:
    run(guided(patched, None, MECHANISMS["nasa"]))
    run(guided(base, None, MECHANISMS["nag"]))


def interrupt(base: Any, patched: Any, trouble: Trouble, run: Callable[..., Any]) -> None:
    def stop(step: int, *_: Any) -> None:
        if step == 1:
            raise comfy.model_management.InterruptProcessingException

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(patched, callback=stop)
    assert not last_report(patched).finished


def out_of_memory(base: Any, patched: Any, trouble: Trouble, run: Callable[..., Any]) -> None:
    trouble.error = comfy.model_management.OOM_EXCEPTION("CUDA out of memory, says a test")
    with pytest.raises(comfy.model_management.OOM_EXCEPTION, match="says a test"):
        run(patched)
    trouble.error = None
    assert not last_report(patched).finished


@pytest.mark.parametrize(("family", "cfg"), [("sd3", 1.0), ("flux", 3.0), ("wan", 1.0), ("sd15", 3.0)])
@pytest.mark.parametrize("event", [finish, another_node, interrupt, out_of_memory])
def test_models_and_guiders_are_as_before(family: str, cfg: float, event: Callable[..., None]) -> None:
    trouble = Trouble()
    base = with_override(model(family), trouble)
    patched = scored(guided(guided(base, avoid(family)), avoid(family, 5, 4), MECHANISMS["nag"], (0.0, 0.9)), family)
    sides = prompts(family)
    guiders = {id(m): cfg_guider(m, *sides, cfg) for m in (base, patched)}

    def run(patcher: Any, seed: int = 0, **options: Any) -> Any:
        guider = guiders.setdefault(id(patcher), cfg_guider(patcher, *sides, cfg))
        return guider_sample(guider, seed=seed, steps=2, **options)

    first = run(base), run(patched)
    before = [patcher_outline(m) for m in (base, patched, model(family))]
    modules = module_outline(base)
    options = {key: patcher_outline(guider.model_patcher) for key, guider in guiders.items()}
    event(base, patched, trouble, run)
    for guider in guiders.values():
        assert not [key for key in getattr(guider, "conds", {}) if "avert" in str(key)]
        assert set(guider.original_conds) == {"positive", "negative"}
        assert guider.model_options is guider.model_patcher.model_options
    assert {key: patcher_outline(guiders[key].model_patcher) for key in options} == options
    assert before == [patcher_outline(m) for m in (base, patched, model(family))]
    assert modules == module_outline(base)
    assert torch.equal(first[0], run(base))
    assert torch.equal(first[1], run(patched))
    assert torch.equal(first[0], sample(base, *sides, cfg, steps=2))


@pytest.mark.parametrize("family", FOUR)
def test_cached_guider_runs_again(family: str) -> None:
    guider = cfg_guider(guided(model(family), None), *prompts(family), 1.0)
    first, other, again = (guider_sample(guider, seed=seed, steps=2) for seed in (1, 2, 1))
    assert torch.equal(first, again)
    assert change(first, other) > 0.05
    fresh = cfg_guider(guided(model(family), None), *prompts(family), 1.0)
    assert torch.equal(other, guider_sample(fresh, seed=2, steps=2))


@pytest.mark.parametrize("event", [finish, interrupt, out_of_memory])
def test_nothing_of_a_run_is_retained(event: Callable[..., None]) -> None:
    trouble = Trouble()
    base = with_override(model("sd15"), trouble)
    patched = scored(guided(base, avoid("sd15")), "sd15")

    def run(patcher: Any, **options: Any) -> None:
        sample(patcher, *prompts("sd15"), 3.0, steps=2, **options)

    run(patched)
    event(base, patched, trouble, run)
    gc.collect()
    left = [type(thing).__name__ for thing in gc.get_objects() if str(type(thing).__module__).startswith("avert.host")]
    assert not OF_A_RUN & set(left)
    assert last_report(patched).steps


def test_a_finished_run_is_freed_at_once() -> None:
    patched = scored(guided(model("sd15"), avoid("sd15")), "sd15")
    gc.collect()
    gc.disable()
    try:
        sample(patched, *prompts("sd15"), 3.0, steps=2)
        left = {type(thing).__name__ for thing in gc.get_objects() if str(type(thing).__module__).startswith("avert.host")}
    finally:
        gc.enable()
    assert not OF_A_RUN & left


def test_a_failing_start_leaves_no_prompts_in_the_guider() -> None:
    good, bad = avoid("sd3"), avoid("sd3", 5, 4)
    bad.prompts[0].options["pooled_output"] = torch.zeros(1, 768)
    guider = cfg_guider(guided(model("sd3"), Negative(good.prompts + bad.prompts)), *prompts("sd3"))
    with pytest.raises(ValueError, match="another model"):
        guider_sample(guider)
    assert not [key for key in guider.conds if "avert" in key]
