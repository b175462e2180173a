"""Check that words which cannot be encoded, or which the model cannot take in, leave the last ones in force, and that report and transcript say so."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import pytest
import torch
from avert.host.encode import encode_negative
from avert.host.install import last_report
from avert.host.report_text import as_text

import tiny
from tiny_clip import encode
from watched_runs import POSITIVE, STEPS, Script, between, guided, in_turn, noise, picture, transcript_of, watched


def test_words_that_the_model_cannot_take_in_do_not_lose_the_picture(watched_case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that came at once one is taken in, and acts; the other's picture becomes what it would have become without."""
    world, mechanism, cfg = watched_case
    plain, model = picture(world[0], world, cfg, 2), guided(world, mechanism, watched(world, Script(["hat", "moon"]), "6"))
    expected = picture(guided(world, mechanism, watched(world, Script(["hat", "none"]), "6")), world, cfg, 2)
    positive, empty, moon = (encode(world[1], text) for text in (POSITIVE, "", "moon"))
    take = type(world[0].model).extra_conds

    def full(self: Any, **options: Any) -> Any:
        if torch.equal(options["cross_attn"][:, :2], moon[0][0][:, :2]):
            raise comfy.model_management.OOM_EXCEPTION("no room for the moon")
        return take(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(world[0].model), "extra_conds", full)
        found = tiny.sample(model, positive, empty, cfg, steps=STEPS, noise=noise(2), latent=torch.zeros(2, 16, 8, 8))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1], plain[1], atol=1e-4, rtol=1e-4)
    (said,) = (note for note in last_report(model).notes if "could not be encoded" in note)
    assert '"moon"' in said and "no room for the moon" in said


def failing_encoder(clip: Any, monkeypatch: pytest.MonkeyPatch, *fails: int) -> None:
    """Let a text encoder fail at these texts, counted from 1, as when memory runs out for a moment."""
    encode_it, count = type(clip).encode_from_tokens_scheduled, [0]

    def encoded(self: Any, *args: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] in fails:
            raise comfy.model_management.OOM_EXCEPTION("no room for words")
        return encode_it(self, *args, **options)

    monkeypatch.setattr(type(clip), "encode_from_tokens_scheduled", encoded)


def sampled(model: Any, world: Any, cfg: float, monkeypatch: pytest.MonkeyPatch, *fails: int) -> torch.Tensor:
    """Sample as `picture`, with a text encoder that fails at these of the run's own texts."""
    positive, empty = encode(world[1], POSITIVE), encode(world[1], "")
    with monkeypatch.context() as patch:
        failing_encoder(world[1], patch, *fails)
        return tiny.sample(model, positive, empty, cfg, steps=STEPS, noise=noise(), latent=torch.zeros(1, 16, 8, 8))


@pytest.mark.parametrize("mode", ["replace", "accumulate"])
def test_words_that_cannot_be_encoded_leave_the_last_ones_in_force(watched_case: Any, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the picture, the report and the transcript."""
    world, mechanism, cfg = watched_case
    model = guided(world, mechanism, watched(world, Script(["hat"], ["moon"]), mode=mode))
    found = sampled(model, world, cfg, monkeypatch, 2)
    assert torch.equal(found, picture(in_turn(world, mechanism, "hat"), world, cfg))
    told = transcript_of(model)
    assert [(entry.answer, entry.negative, entry.used) for entry in told.entries] == [("hat", ("hat",), 3), ("moon", ("hat",), None)]
    assert sum("the last negative went on" in note for note in last_report(model).notes) == 1
    assert 'said "moon"' in as_text(last_report(model)) and "away from: hat, moon" not in as_text(last_report(model))
    again = guided(world, mechanism, watched(world, None, replay=(told,)))
    assert torch.equal(picture(again, world, cfg), found)


def test_words_that_could_not_be_encoded_act_when_they_are_said_again(watched_case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, mechanism, cfg = watched_case
    # Asked again although nothing changed: nothing is known of what it was like.
    model = guided(world, mechanism, watched(world, Script(["hat"], ["hat"]), min_change=1e9))
    found = sampled(model, world, cfg, monkeypatch, 1)
    late = guided(world, mechanism, encode_negative(world[1], "hat"), (between(world[0], 6), 1.0))
    assert torch.equal(found, picture(late, world, cfg))
    assert [(entry.kind, entry.used) for entry in transcript_of(model).entries] == [("phrases", None), ("phrases", 6)]


def test_a_replay_whose_words_cannot_be_encoded_goes_on(watched_case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, mechanism, cfg = watched_case
    model = guided(world, mechanism, watched(world, Script(["hat"], ["moon"])))
    picture(model, world, cfg)
    again = guided(world, mechanism, watched(world, None, replay=(transcript_of(model),)))
    assert torch.equal(sampled(again, world, cfg, monkeypatch, 2), picture(in_turn(world, mechanism, "hat"), world, cfg))
    assert [entry.used for entry in transcript_of(again).entries] == [3, None]
