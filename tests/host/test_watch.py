"""Check VL-DNP on the host with a scripted back end: when it is asked, about what, and what its words do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from avert.host.install import last_report
from avert.vlm.transcript import read_transcripts

from watched_runs import SCORE, STATIC, STEPS, VSF, Script, between, guided, in_turn, noise, picture, transcript_of, watched


def test_an_answer_acts_from_the_next_evaluation_until_the_next_one(watched_case: Any) -> None:
    """6 and 3 of 8 steps remain after steps 2 and 5: the same as two fixed negatives with windows from steps 3 and 6 on."""
    world, mechanism, cfg = watched_case
    model = guided(world, mechanism, watched(world, Script(["a hat"], ["smoke, chimney"])))
    found = picture(model, world, cfg)
    assert torch.equal(found, picture(in_turn(world, mechanism, "hat", "smoke, chimney"), world, cfg))
    assert not torch.equal(found, picture(world[0], world, cfg))
    assert [(entry.asked, entry.used, entry.negative) for entry in transcript_of(model).entries] == [
        (2, 3, ("hat",)), (5, 6, ("smoke", "chimney")),
    ]  # fmt: skip


def test_it_is_shown_what_the_run_predicts_before_negative_guidance(watched_case: Any) -> None:
    world, mechanism, cfg = watched_case
    predicted: list[torch.Tensor] = []
    base = world[0].clone()

    def keep(args: dict[str, Any]) -> torch.Tensor:
        predicted.append(args["denoised"].clone())
        return args["denoised"]

    base.set_model_sampler_post_cfg_function(keep)
    backend = Script(["a hat"])
    picture(guided(world, mechanism, watched(world, backend), model=base), world, cfg)
    assert len(backend.queries) == 2 and len(predicted) == STEPS
    for query, step in zip(backend.queries, (2, 5), strict=True):
        shown = world[2].decode(world[0].model.process_latent_out(predicted[step]))[0]
        torch.testing.assert_close(query.pictures[0], shown.clamp(0, 1).cpu(), atol=1e-5, rtol=1e-5)


def test_nothing_to_avoid_is_no_guidance_at_all(watched_case: Any) -> None:
    world, mechanism, cfg = watched_case
    assert torch.equal(picture(guided(world, mechanism, watched(world, Script(["none"]))), world, cfg), picture(world[0], world, cfg))


def test_what_is_gone_is_dropped(watched_case: Any) -> None:
    world, mechanism, cfg = watched_case
    model = guided(world, mechanism, watched(world, Script(["hat"], ["none"])))
    fixed = in_turn(world, mechanism, "hat", last=between(model, 6))
    assert torch.equal(picture(model, world, cfg), picture(fixed, world, cfg))


def test_each_picture_of_a_batch_has_its_own_words(watched_case: Any) -> None:
    """Words of one and of two tokens; the third picture has none."""
    world, mechanism, cfg = watched_case
    together = picture(guided(world, mechanism, watched(world, Script(["hat", "smoke, chimney", "none"]))), world, cfg, 3)
    for i, words in enumerate(("hat", "smoke, chimney", "none")):
        alone = picture(guided(world, mechanism, watched(world, Script([words]))), world, cfg, noise=noise(3)[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", SCORE)
def test_words_that_come_back_are_new(demo_worlds: dict[str, Any], kind: str) -> None:
    """Alone as beside a picture that always has something to avoid: what was known of the first time is forgotten."""
    world, steps = demo_worlds["guided"], "6, 4, 2"
    alone = picture(guided(world, SCORE[kind], watched(world, Script(["hat"], ["none"], ["hat"]), steps)), world, 3.0, noise=noise(2)[:1])
    words = (["hat", "moon"], ["none", "moon"], ["hat", "moon"])
    together = picture(guided(world, SCORE[kind], watched(world, Script(*words), steps)), world, 3.0, 2)
    torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=1e-4)


def test_a_second_run_asks_afresh_and_says_the_same(watched_case: Any) -> None:
    world, mechanism, cfg = watched_case
    backend = Script(["hat"], ["smoke"], ["hat"], ["smoke"])
    model = guided(world, mechanism, watched(world, backend))
    first, told = picture(model, world, cfg), transcript_of(model)
    second = picture(model, world, cfg)
    assert torch.equal(first, second)
    assert len(backend.queries) == 4
    assert [(e.asked, e.answer, e.used) for e in told.entries] == [(e.asked, e.answer, e.used) for e in transcript_of(model).entries]


def test_a_transcript_gives_the_same_picture_without_a_model(watched_case: Any) -> None:
    world, mechanism, cfg = watched_case
    model = guided(world, mechanism, watched(world, Script(["hat", "none"], ["smoke", "hat"])))
    found, told = picture(model, world, cfg, 2), transcript_of(model)
    again = guided(world, mechanism, watched(world, None, replay=(told,)))
    assert torch.equal(picture(again, world, cfg, 2), found)
    assert transcript_of(again) == told
    with pytest.raises(ValueError, match="8 steps, 2 pictures.*this one: 4, 1"):
        picture(again, world, cfg, steps=4)


@pytest.mark.parametrize("inside", [False, True])
def test_it_is_not_asked_when_nothing_acts_on_the_answer(demo_worlds: dict[str, Any], inside: bool) -> None:
    world = demo_worlds["few_step" if inside else "guided"]
    mechanism = VSF if inside else STATIC
    backend = Script()
    off = type(mechanism)(**{**vars(mechanism), "scale" if inside else "negative_scale": 0.0})
    picture(guided(world, off, watched(world, backend)), world, 1.0)
    picture(guided(world, mechanism, watched(world, backend), (0.0, 0.1)), world, 1.0)
    assert not backend.queries


def test_the_last_step_of_a_part_of_a_run_is_not_asked_about(demo_worlds: dict[str, Any]) -> None:
    """It ends with noise left, for another sampler, but nothing of it comes behind its last step."""
    world, backend = demo_worlds["guided"], Script(["hat"])
    model = guided(world, STATIC, watched(world, backend, "every"))
    picture(model, world, 3.0, last_step=5, force_full_denoise=False)
    assert [entry.asked for entry in transcript_of(model).entries] == [1, 2, 3]
    assert not any("last answer" in note for note in last_report(model).notes)


def test_a_picture_that_did_not_change_is_not_asked_about_again(demo_worlds: dict[str, Any]) -> None:
    world, backend = demo_worlds["guided"], Script(["hat", "none"])
    model = guided(world, STATIC, watched(world, backend, "every", min_change=1e6))
    picture(model, world, 3.0, 2)
    assert len(backend.queries) == 1
    assert {entry.kind for entry in transcript_of(model).entries if entry.asked > 1} == {"unchanged"}


def test_of_a_batch_only_the_pictures_that_changed_are_asked_about(demo_worlds: dict[str, Any]) -> None:
    """The first picture stays as it was first predicted: the second question is about the other one alone, and so is its answer."""
    world, backend, predicted = demo_worlds["guided"], Script(["hat", "moon"], ["smoke"]), []
    base = world[0].clone()

    def hold_the_first(args: dict[str, Any]) -> torch.Tensor:
        held = predicted[0][:1] if predicted else args["denoised"][:1]
        predicted.append(torch.cat([held, args["denoised"][1:]]))
        return predicted[-1]

    base.set_model_sampler_post_cfg_function(hold_the_first)
    model = guided(world, STATIC, watched(world, backend, min_change=1e-3), model=base)
    picture(model, world, 3.0, 2)
    first, second = backend.queries
    assert len(first.pictures) == 2 and len(second.pictures) == 1
    shown = world[2].decode(world[0].model.process_latent_out(predicted[5]))[1].clamp(0, 1).cpu()
    torch.testing.assert_close(second.pictures[0], shown, atol=1e-5, rtol=1e-5)
    assert [(entry.asked, entry.picture, entry.kind, entry.negative) for entry in transcript_of(model).entries] == [
        (2, 0, "phrases", ("hat",)), (2, 1, "phrases", ("moon",)), (5, 0, "unchanged", ("hat",)), (5, 1, "phrases", ("smoke",)),
    ]  # fmt: skip


def test_a_picture_that_changes_slowly_is_asked_about_when_it_is_another_one(demo_worlds: dict[str, Any]) -> None:
    """Its change counts from when it was last looked at, not from the step before."""
    world, backend, predicted = demo_worlds["guided"], Script(), []
    base = world[0].clone()

    def grow(args: dict[str, Any]) -> torch.Tensor:
        predicted.append(torch.ones_like(args["denoised"]) * (1 + 0.06 * len(predicted)))
        return predicted[-1]

    base.set_model_sampler_post_cfg_function(grow)
    model = guided(world, STATIC, watched(world, backend, "every", min_change=0.1), model=base)
    picture(model, world, 3.0)
    assert [entry.asked for entry in transcript_of(model).entries if entry.kind != "unchanged"] == [1, 3, 5]


@pytest.mark.parametrize("most", [1, 2])
def test_accumulate(demo_worlds: dict[str, Any], most: int) -> None:
    world = demo_worlds["guided"]
    model = guided(world, STATIC, watched(world, Script(["hat"], ["smoke"]), mode="accumulate", most=most))
    picture(model, world, 3.0)
    assert transcript_of(model).entries[-1].negative == (("smoke",) if most == 1 else ("hat", "smoke"))


def test_a_saved_picture_knows_what_was_said(demo_worlds: dict[str, Any]) -> None:
    """Through the report's node as the host runs it: its hidden inputs belong to the prompt, and Save Image writes them into the picture."""
    from avert.nodes.report import AvertReport

    world, saved = demo_worlds["few_step"], {}
    model = guided(world, VSF, watched(world, Script(["hat"])))
    latent = {"samples": picture(model, world, 1.0)}

    class Prepared(AvertReport):
        hidden = type("Hidden", (), {"extra_pnginfo": saved, "prompt": None})()

    told = (transcript_of(model),)
    # What a prompt brings along may be anything, and what is there already stays.
    for before in ("nonsense", {"watched": 5}, {"watched": []}):
        saved["avert"] = before
        for _ in range(2):
            Prepared.execute(model, latent)
            assert read_transcripts(json.dumps(saved["avert"])) == told
