"""Check that what a real vision-language model says is read and guides: tiny ones, made to say a name; random ones say nothing that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from avert.host.textgen import ClipBackend

from seeing_clips import model_of, seeing_clip
from watched_runs import STATIC, VSF, guided, in_turn, picture, transcript_of, watched

NAME = "hat"
# More than any random model's logits.
SURE = 1e6
QWEN_END = 151645


def teardown_module() -> None:
    """Their vocabularies are as large as real ones."""
    seeing_clip.cache_clear()


def assert_it_guides(world: Any, mechanism: Any, cfg: float, backend: Any, tokens: int) -> None:
    """Check that both pictures of a run were told the name, and became what they are with a fixed negative."""
    model = guided(world, mechanism, watched(world, backend, max_tokens=tokens))
    found = picture(model, world, cfg, 2)
    said = [(entry.asked, entry.kind, entry.answer, entry.negative, entry.used) for entry in transcript_of(model).entries]
    assert said == [(2, "phrases", NAME, (NAME,), 3)] * 2 + [(5, "phrases", NAME, (NAME,), None)] * 2
    assert torch.equal(found, picture(in_turn(world, mechanism, NAME), world, cfg, 2))
    assert not torch.equal(found, picture(world[0], world, cfg, 2))


def test_a_model_of_transformers_names_something_and_that_guides(vlm: Any, demo_worlds: dict[str, Any]) -> None:
    """Letter by letter: each is by far the likeliest behind those before it, as transformers' own setting has it."""
    tokenizer = vlm._processor.tokenizer
    letters = [*tokenizer(NAME, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    assert len(letters) == 4
    biases = [[letters[: i + 1], SURE * (i + 1)] for i in range(len(letters))]
    vlm.patcher.model.inner.generation_config.sequence_bias = biases
    assert_it_guides(demo_worlds["few_step"], VSF, 1.0, vlm, len(letters))


def test_a_text_encoder_names_something_and_that_guides(demo_worlds: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clip = seeing_clip("qwen3vl")
    backend, model = ClipBackend(clip), model_of(clip)
    monkeypatch.setattr(model, "logits", steered(model.logits, [*backend._writer._ids(NAME), QWEN_END]))
    assert_it_guides(demo_worlds["guided"], STATIC, 3.0, backend, 8)


def steered(logits: Any, tokens: Sequence[int]) -> Any:
    """Make an output layer sure of one token after the other, from the end of each prompt on."""
    said = [0]

    def sure(x: torch.Tensor) -> torch.Tensor:
        said[0] = 0 if x.shape[1] > 1 else said[0] + 1
        found: torch.Tensor = logits(x).clone()
        found[..., tokens[said[0]]] += SURE
        return found

    return sure
