"""Check who watches, and what they see: several sources of one run, previews."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from avert.host.demo import load_demo
from avert.host.install import last_report
from avert.vlm.transcript import read_transcripts

from watched_runs import INSIDE, STATIC, VSF, Script, between, guided, picture, watched


def test_two_sources_are_told_apart(demo_worlds: dict[str, Any]) -> None:
    """Each replays its own words, out of the report of both."""
    world = demo_worlds["few_step"]

    def both(first: Any, second: Any) -> Any:
        return guided(world, INSIDE["nag"], second, model=guided(world, VSF, first))

    model = both(watched(world, Script(["hat"]), label="a"), watched(world, Script(["smoke"]), label="b"))
    found = picture(model, world, 1.0)
    whole = json.dumps({"watched": last_report(model).watched})
    again = both(*(watched(world, None, replay=read_transcripts(whole, label), label=label) for label in "ab"))
    assert torch.equal(picture(again, world, 1.0), found)
    with pytest.raises(ValueError, match="cannot be read"):
        read_transcripts(whole, "c")


def test_sources_with_other_text_encoders_may_say_the_same_word(demo_worlds: dict[str, Any]) -> None:
    """Each has it as its own text encoder reads it: what the second says before it acts changes nothing."""
    world = demo_worlds["few_step"]
    other = load_demo("few_step")[1]
    with torch.no_grad():
        for weight in other.cond_stage_model.parameters():
            weight.mul_(1.1)

    def until_it_acts(word: str) -> torch.Tensor:
        first, second = watched(world, Script(["hat"]), "6"), watched((world[0], other, world[2]), Script([word]), "4")
        window = (between(world[0], 6), between(world[0], 7))
        model = guided(world, INSIDE["nag"], second, window, guided(world, VSF, first))
        predicted = {}
        picture(model, world, 1.0, callback=lambda step, denoised, *rest: predicted.setdefault(step, denoised.clone()))
        return predicted[5]

    assert torch.equal(until_it_acts("hat"), until_it_acts("moon"))


def test_nodes_that_share_a_source_ask_once(demo_worlds: dict[str, Any]) -> None:
    world, backend = demo_worlds["few_step"], Script(["hat"])
    source = watched(world, backend)
    picture(guided(world, STATIC, source, model=guided(world, VSF, source)), world, 3.0)
    assert len(backend.queries) == 2


@pytest.mark.parametrize("variant", ["few_step", "guided"])
def test_without_a_vae_it_sees_the_preview(demo_worlds: dict[str, Any], variant: str) -> None:
    world, backend = demo_worlds[variant], Script(["hat"])
    picture(guided(world, VSF if variant == "few_step" else STATIC, watched(world, backend, vae=None)), world, 1.0)
    shown = backend.queries[0].pictures[0]
    assert shown.shape == (256, 256, 3) and shown.min() >= 0 and shown.max() <= 1 and shown.std() > 0.01
