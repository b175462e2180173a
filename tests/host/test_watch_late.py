"""Check what answers do that take their time: sampling goes on meanwhile, and what comes too late is dropped."""

from __future__ import annotations

import threading
import time
from typing import Any

import comfy.model_management
import pytest
import torch
from avert.host.encode import encode_negative
from avert.host.install import last_report
from avert.host.watch.ask import aside

from watched_runs import STATIC, STEPS, Script, between, guided, in_turn, picture, transcript_of, watched


def test_an_answer_that_takes_too_long_is_ended(watched_case: Any) -> None:
    """The last negative goes on: the first question is answered in time, the second not."""
    world, mechanism, cfg = watched_case
    backend = Script(["hat"])
    answer = backend.ask

    def ask(query: Any) -> list[str]:
        if backend.queries:
            while not query.stopped():
                time.sleep(0.01)
        return answer(query)

    backend.ask = ask  # type: ignore[method-assign]
    model = guided(world, mechanism, watched(world, backend, max_seconds=0.5))
    assert torch.equal(picture(model, world, cfg), picture(in_turn(world, mechanism, "hat"), world, cfg))
    assert any("failed at step 6" in note and "more than 0.5 s" in note for note in last_report(model).notes)


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [False, True])
def test_an_answer_that_was_cut_off_in_time_is_no_answer(demo_worlds: dict[str, Any], overlap: bool) -> None:
    """A back end that ends at once when its time is over has said nothing, not that there is nothing: the last negative goes on."""
    world, backend = demo_worlds["guided"], Script(["hat"], elsewhere=overlap)
    answer = backend.ask

    def ask(query: Any) -> list[str]:
        if not backend.queries:
            return answer(query)
        while not query.stopped():
            pass
        return [""]

    backend.ask = ask  # type: ignore[method-assign]
    model = guided(world, STATIC, watched(world, backend, "every", overlap=overlap, max_seconds=0.03))

    def wait(*args: Any) -> None:
        time.sleep(0.1 * overlap)

    for _ in range(4):
        picture(model, world, 3.0, callback=wait)
        (first, *others) = [entry for entry in transcript_of(model).entries if entry.kind != "busy"]
        assert first.negative == ("hat",) and len(others) >= 3
        assert {(entry.kind, entry.negative) for entry in others} == {("failed", ("hat",))}
        backend.queries.clear()


def test_sampling_goes_on_while_the_answer_is_made(watched_case: Any) -> None:
    """Asked at step 2, it answers during step 4: the words act from step 6 on, for step 5 is the first that hears of them."""
    world, mechanism, cfg = watched_case
    backend = Script(["hat"], elsewhere=True, wait=True)
    model = guided(world, mechanism, watched(world, backend, "6", overlap=True))

    def callback(step: int, *args: Any) -> None:
        if step == 4:
            backend.may_answer.set()
            assert backend.answered.wait(30)
            time.sleep(0.2)

    found = picture(model, world, cfg, callback=callback)
    fixed = guided(world, mechanism, encode_negative(world[1], "hat"), (between(model, 6), 1.0))
    assert torch.equal(found, picture(fixed, world, cfg))
    assert [(entry.asked, entry.used) for entry in transcript_of(model).entries] == [(2, 6)]


def test_what_fell_due_while_an_answer_was_made_is_asked_as_soon_as_it_came(demo_worlds: dict[str, Any]) -> None:
    """Due at steps 1, 2 and 3; the first answer comes during step 4: it is asked once more, of what it predicts then, and not again."""
    world, backend = demo_worlds["guided"], Script(["hat"], ["moon"], elsewhere=True, wait=True)
    model = guided(world, STATIC, watched(world, backend, "7, 6, 5", overlap=True))

    def callback(step: int, *args: Any) -> None:
        if step == 4:
            backend.may_answer.set()
        if step >= 4:
            assert backend.answered.wait(30)
            time.sleep(0.2)

    picture(model, world, 3.0, callback=callback)
    assert [(entry.asked, entry.kind, entry.used) for entry in transcript_of(model).entries] == [
        (2, "busy", None), (3, "busy", None), (1, "phrases", 6), (5, "phrases", 7),
    ]  # fmt: skip


def test_a_sampler_that_goes_on_beyond_the_schedule_hears_late_answers(demo_worlds: dict[str, Any]) -> None:
    """dpm_adaptive takes as many steps as it likes."""
    world, backend = demo_worlds["guided"], Script(["hat"], elsewhere=True, wait=True)
    model = guided(world, STATIC, watched(world, backend, "3", overlap=True))
    steps = []

    def callback(step: int, *args: Any) -> None:
        steps.append(step)
        if step == 5:
            backend.may_answer.set()
            assert backend.answered.wait(30)
            time.sleep(0.2)

    picture(model, world, 3.0, callback=callback, sampler_name="dpm_adaptive", steps=4)
    assert max(steps) > 7, "this sampler followed the schedule"
    assert [(entry.kind, entry.used) for entry in transcript_of(model).entries] == [("phrases", 7)]


def test_an_answer_in_the_last_step_is_too_late(demo_worlds: dict[str, Any]) -> None:
    """Nothing comes after it, and nobody is told that it acted."""
    world, backend = demo_worlds["guided"], Script(["hat"], elsewhere=True, wait=True)
    model = guided(world, STATIC, watched(world, backend, "6", overlap=True))

    def callback(step: int, *args: Any) -> None:
        if step == STEPS - 2:
            backend.may_answer.set()
            assert backend.answered.wait(30)
            time.sleep(0.2)

    assert torch.equal(picture(model, world, 3.0, callback=callback), picture(world[0], world, 3.0))
    assert [(entry.kind, entry.used) for entry in transcript_of(model).entries] == [("phrases", None)]
    assert any("last answer" in note for note in last_report(model).notes)


def test_an_answer_that_comes_too_late_is_dropped(demo_worlds: dict[str, Any]) -> None:
    world, backend = demo_worlds["guided"], Script(["hat"], elsewhere=True, wait=True)
    model = guided(world, STATIC, watched(world, backend, "6", overlap=True))
    try:
        assert torch.equal(picture(model, world, 3.0), picture(world[0], world, 3.0))
    finally:
        backend.may_answer.set()
    assert backend.queries[0].stopped()
    assert any("last answer" in note for note in last_report(model).notes)


def test_nobody_waits_for_an_answer_when_the_program_ends() -> None:
    """As when the server is stopped in the middle of one: threads that are waited for would keep it from ending."""
    may_end = threading.Event()
    done = aside(lambda: may_end.wait(30))
    assert any(thread.name == "avert-vlm" and thread.daemon for thread in threading.enumerate())
    may_end.set()
    assert done.result(30)


def test_the_users_cancel_passes_also_out_of_an_answer_that_is_made_elsewhere(demo_worlds: dict[str, Any]) -> None:
    world = demo_worlds["guided"]
    backend = Script(comfy.model_management.InterruptProcessingException(), elsewhere=True)
    model = guided(world, STATIC, watched(world, backend, "every", overlap=True))
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        picture(model, world, 3.0, callback=lambda *args: time.sleep(0.05))
