"""Check that a watched run is one with fixed windows whatever guides and whatever samples, also where a step has more than one evaluation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import NegativeAway

from scored_runs import PERP, SLD
from watched_runs import STATIC, STEPS, Script, guided, in_turn, picture, transcript_of, watched

OTHERS = {"nasa": ("few_step", NegativeAway(0.3), 1.0), "sld": ("guided", SLD, 3.0), "perp_neg": ("guided", PERP, 3.0)}
TWICE = ("heun", "dpmpp_2s_ancestral", "dpm_2")
# Evaluations to a step; the last one ends without noise, where only dpm_adaptive makes more than one.
EVALUATIONS = {**dict.fromkeys(TWICE, 2), "dpm_adaptive": 3, "dpmpp_2m": 1, "uni_pc": 1, "euler_ancestral": 1}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_mechanisms_take_answers_as_fixed_windows_too(demo_worlds: dict[str, Any], kind: str) -> None:
    variant, mechanism, cfg = OTHERS[kind]
    world = demo_worlds[variant]
    found = picture(guided(world, mechanism, watched(world, Script(["a hat"], ["smoke, chimney"]))), world, cfg)
    assert torch.equal(found, picture(in_turn(world, mechanism, "hat", "smoke, chimney"), world, cfg))
    only_the_first = picture(in_turn(world, mechanism, "hat"), world, cfg)
    assert not torch.equal(found, only_the_first) and not torch.equal(only_the_first, picture(world[0], world, cfg))


@pytest.mark.parametrize("sampler", EVALUATIONS)
@torch.inference_mode()
def test_it_is_asked_once_a_step_about_the_evaluation_that_begins_it(demo_worlds: dict[str, Any], sampler: str) -> None:
    """Heun's second evaluation is at the noise level of the next step's first one, so that only its number tells them apart."""
    world, backend = demo_worlds["guided"], Script(["hat"])
    base, predicted, each = world[0].clone(), [], EVALUATIONS[sampler]

    def keep(args: dict[str, Any]) -> torch.Tensor:
        predicted.append(args["denoised"].clone())
        return args["denoised"]

    base.set_model_sampler_post_cfg_function(keep)
    model = guided(world, STATIC, watched(world, backend, "every"), model=base)
    picture(model, world, 3.0, sampler_name=sampler)
    entries = transcript_of(model).entries
    assert [entry.asked for entry in entries] in (list(range(1, STEPS - 1)), list(range(1, STEPS)))
    assert len(predicted) == each * STEPS - (each - 1) or sampler == "dpm_adaptive", "this sampler evaluates in another way by now"
    for query, entry in zip(backend.queries, entries, strict=True):
        shown = world[2].decode(world[0].model.process_latent_out(predicted[each * entry.asked]))[0].clamp(0, 1).cpu()
        assert float((shown - query.pictures[0]).abs().max()) < 1e-4


@pytest.mark.parametrize("sampler", TWICE)
def test_a_sampler_that_evaluates_twice_is_replayed_bit_for_bit(demo_worlds: dict[str, Any], sampler: str) -> None:
    world = demo_worlds["guided"]
    model = guided(world, STATIC, watched(world, Script(["hat"], ["smoke"])))
    found = picture(model, world, 3.0, sampler_name=sampler)
    again = guided(world, STATIC, watched(world, None, replay=(transcript_of(model),)))
    assert torch.equal(picture(again, world, 3.0, sampler_name=sampler), found)
    assert not torch.equal(found, picture(world[0], world, 3.0, sampler_name=sampler))


def test_with_heun_an_answer_acts_from_the_second_evaluation_of_its_step(demo_worlds: dict[str, Any]) -> None:
    """Which is at the noise level of the next step, where a fixed window begins."""
    world = demo_worlds["guided"]
    found = picture(guided(world, STATIC, watched(world, Script(["hat"], ["smoke"]))), world, 3.0, sampler_name="heun")
    assert torch.equal(found, picture(in_turn(world, STATIC, "hat", "smoke"), world, 3.0, sampler_name="heun"))
