"""Check that a vision-language model is asked about a whole batch in one call, and that what it draws depends on the seed and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from avert.host.textgen import ClipBackend

import seeing_clips
import tiny_vlms
from seeing_clips import WIDE, seeing_clip, shown
from tiny_vlms import pictures, query
from watched_runs import STATIC, guided, picture, transcript_of, watched

# Random models are sure of what they say, those with embeddings for an output layer most of all.
WARM, HOT = 3.0, 300.0


def teardown_module() -> None:
    """Their vocabularies are as large as real ones."""
    seeing_clip.cache_clear()


@torch.inference_mode()
def test_a_batch_is_asked_about_in_one_call(vlm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = vlm.patcher.model.inner, []
    vlm.ask(query(pictures(1)))
    generate = model.generate
    monkeypatch.setattr(model, "generate", lambda **options: (rows.append(options["input_ids"].shape[0]), generate(**options))[1])
    assert len(vlm.ask(query(pictures(3)))) == 3
    assert rows == [3]


def assert_drawn_from_the_seed(answer: Callable[[int], list[str]]) -> None:
    """Check that a seed always has the same answers, others have others, and the sampler's own random numbers stay where they were."""
    torch.manual_seed(1)
    first = answer(3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert answer(3) == first and len({tuple(answer(seed)) for seed in range(3, 8)}) > 1
    assert torch.equal(torch.get_rng_state(), before)


@torch.inference_mode()
def test_the_same_seed_draws_the_same_words(vlm: Any) -> None:
    assert_drawn_from_the_seed(lambda seed: vlm.ask(query(pictures(2), tokens=8, temperature=WARM, seed=seed)))


@torch.inference_mode()
def test_a_text_encoder_draws_the_same_words_from_the_same_seed_too() -> None:
    backend = ClipBackend(seeing_clip("qwen3vl"))
    assert_drawn_from_the_seed(lambda seed: backend.ask(seeing_clips.query(shown(WIDE), examples=0, temperature=HOT, seed=seed)))


@torch.inference_mode()
def test_what_is_drawn_does_not_depend_on_the_batch(vlm: Any) -> None:
    seen = pictures(2)
    together = vlm.ask(query(seen, tokens=12, temperature=WARM, seed=5))
    assert together == [vlm.ask(query([one], tokens=12, temperature=WARM, seed=5))[0] for one in seen]


@pytest.mark.parametrize("native", [False, True])
def test_the_same_seed_has_the_same_transcript(demo_worlds: dict[str, Any], vlm_models: Path, native: bool) -> None:
    """Through a whole run: another seed is told something else, the same one the same, and the picture without words is as ever."""
    world = demo_worlds["guided"]
    backend = ClipBackend(seeing_clip("qwen3vl")) if native else tiny_vlms.load("qwen2.5-vl", vlm_models)

    def said(seed: int) -> list[tuple[int, str]]:
        settings = {"temperature": HOT if native else WARM, "seed": seed, "max_tokens": 3 if native else 8}
        model = guided(world, STATIC, watched(world, backend, "6", **settings))
        picture(model, world, 3.0)
        return [(entry.asked, entry.answer) for entry in transcript_of(model).entries]

    first = said(1)
    assert said(1) == first and any(said(seed) != first for seed in range(2, 5))
