"""Check that watching costs no prediction where nothing is seen, and that nothing of a run stays: nothing kept for its questions, nothing in a full memory."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import comfy.model_management
import pytest
import torch

from guided_runs import spy
from watched_runs import STATIC, STEPS, Script, between, guided, in_turn, picture, watched


def calls_of(model: Any, world: Any, cfg: float, **options: Any) -> list[tuple[int, int]]:
    """Sample, and give the rows and text tokens of each call of the diffusion model."""
    with spy(model) as calls:
        picture(model, world, cfg, **options)
    return calls


def test_where_nothing_is_seen_nothing_more_is_predicted(watched_case: Any) -> None:
    """Every row and token of every call is as without the node, before the first answer, after "none", and when what was seen is gone."""
    world, mechanism, cfg = watched_case
    plain = calls_of(world[0], world, cfg, batch=2)
    assert len(plain) == STEPS
    assert calls_of(guided(world, mechanism, watched(world, Script(), "every")), world, cfg, batch=2) == plain
    model = guided(world, mechanism, watched(world, Script(["hat"] * 2, ["none"] * 2)))
    found = calls_of(model, world, cfg, batch=2)
    assert found == calls_of(in_turn(world, mechanism, "hat", last=between(model, 6)), world, cfg, batch=2)
    assert found[:3] == plain[:3] and found[-2:] == plain[-2:] and found != plain


ENDS = {"whole": None, "cancelled": comfy.model_management.InterruptProcessingException(), "failed": RuntimeError("boom")}


@pytest.mark.parametrize("end", ENDS)
def test_the_back_end_hears_once_that_a_run_has_ended(demo_worlds: dict[str, Any], end: str) -> None:
    world, backend = demo_worlds["guided"], Script(["hat"])

    def callback(step: int, *args: Any) -> None:
        assert not backend.forgotten
        if step == 4 and ENDS[end] is not None:
            raise ENDS[end]

    model = guided(world, STATIC, watched(world, backend))
    if ENDS[end] is None:
        picture(model, world, 3.0, callback=callback)
    else:
        with pytest.raises(type(ENDS[end])):
            picture(model, world, 3.0, callback=callback)
    assert backend.queries and backend.forgotten == 1


@pytest.mark.parametrize("full", [True, False])
def test_after_a_full_memory_it_is_emptied_when_nothing_holds_it_any_more(
    demo_worlds: dict[str, Any], full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error holds what was computed until it is dealt with, and only then is there anything to give back."""
    world, backend, emptied = demo_worlds["guided"], Script(), []
    held: list[weakref.ref[torch.Tensor]] = []

    def ask(query: Any) -> list[str]:
        large = torch.zeros(10)
        held.append(weakref.ref(large))
        raise (comfy.model_management.OOM_EXCEPTION if full else RuntimeError)("CUDA out of memory")

    def empty(*args: Any, **options: Any) -> None:
        emptied.append((sys.exc_info()[1], [one() for one in held]))

    backend.ask = ask  # type: ignore[method-assign]
    monkeypatch.setattr(comfy.model_management, "soft_empty_cache", empty)
    gc.collect()
    emptied.clear()
    assert torch.equal(picture(guided(world, STATIC, watched(world, backend, "5")), world, 3.0), picture(world[0], world, 3.0))
    assert len(held) == 1
    assert emptied == ([(None, [None])] if full else [])
