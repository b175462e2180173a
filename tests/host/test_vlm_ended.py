"""Check how answers end that are not told to the end: by the user's cancel, in a full memory, with the run; and that nothing is left as it was meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import pytest
import torch
from avert.host.textgen import ClipBackend

import seeing_clips
import tiny_vlms
from seeing_clips import WIDE, model_of, seeing_clip, shown, with_file
from tiny_vlms import pictures, query
from watched_runs import STATIC, guided, picture, watched

INTERRUPT = comfy.model_management.InterruptProcessingException


def teardown_module() -> None:
    """Their vocabularies are as large as real ones."""
    seeing_clip.cache_clear()


@contextmanager
def at_token(layer: Any, number: int, what: Callable[[], object]) -> Iterator[list[int]]:
    """Let something happen while a token of the next answers is made; yields a list with an entry for each token."""
    made: list[int] = []

    def note(*args: Any) -> None:
        made.append(len(made) + 1)
        if made[-1] == number:
            what()

    hook = layer.register_forward_hook(note)
    try:
        yield made
    finally:
        hook.remove()
        comfy.model_management.interrupt_current_processing(False)


@pytest.fixture
def qwen(vlm_models: Path) -> Any:
    """Give a model that keeps the beginning of its questions, and knows it by now."""
    backend = tiny_vlms.load("qwen2.5-vl", vlm_models)
    backend.ask(query(pictures(1)))
    assert backend._reader._prefix is not None
    return backend


def cancel() -> None:
    comfy.model_management.interrupt_current_processing(True)


@torch.inference_mode()
def test_the_users_cancel_ends_an_answer_that_the_sampler_waits_for(qwen: Any) -> None:
    with at_token(qwen.patcher.model.inner.lm_head, 3, cancel) as made, pytest.raises(INTERRUPT):
        qwen.ask(query(pictures(1), tokens=50))
    assert len(made) == 3


@torch.inference_mode()
def test_the_users_cancel_ends_an_answer_on_another_device_and_stays_for_the_sampler(qwen: Any) -> None:
    """The host's flag is lowered by whoever raises it: that is to be the sampler."""
    qwen.elsewhere = True
    with at_token(qwen.patcher.model.inner.lm_head, 3, cancel) as made:
        qwen.ask(query(pictures(1), tokens=50))
        assert comfy.model_management.processing_interrupted()
    assert len(made) == 3


def test_what_was_kept_is_dropped_although_the_run_ended_before_the_answer(qwen: Any, demo_worlds: dict[str, Any]) -> None:
    """Asked once, and still at its third token when the run is over."""
    world, begun, over = demo_worlds["guided"], threading.Event(), threading.Event()
    qwen.elsewhere = True

    def wait() -> None:
        begun.set()
        assert over.wait(30)

    model = guided(world, STATIC, watched(world, qwen, "6", overlap=True, max_tokens=50))
    with at_token(qwen.patcher.model.inner.lm_head, 3, wait) as made:
        try:
            picture(model, world, 3.0, callback=lambda step, *args: step < 7 or begun.wait(30))
            assert qwen._reader._prefix is not None, "the answer was there before the run had ended"
        finally:
            over.set()
        # Held while an answer is made.
        with qwen._lock:
            assert qwen._reader._prefix is None
    assert len(made) < 50


@pytest.fixture(params=["qwen_image", "qwen3vl"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Give a text encoder that writes with an output layer and places of its own, and one that the host lets write."""
    clip = seeing_clip(request.param)
    if request.param == "qwen3vl":
        return clip
    return with_file(clip, tmp_path, {"lm_head.weight": torch.randn(model_of(clip).model.embed_tokens.weight.shape)})


@torch.inference_mode()
@pytest.mark.parametrize("end", ["cancelled", "memory"])
def test_a_text_encoder_is_left_as_it_was_however_its_answer_ends(encoder: Any, end: str) -> None:
    backend, asked = ClipBackend(encoder), seeing_clips.query(shown(WIDE), examples=0)
    told, model = backend.ask(asked), model_of(encoder)
    holders, hook = (model, backend._writer._encoder), comfy.utils.PROGRESS_BAR_HOOK
    before = [dict(vars(one)) for one in holders]

    def full() -> None:
        raise comfy.model_management.OOM_EXCEPTION("out of memory")

    error = INTERRUPT if end == "cancelled" else comfy.model_management.OOM_EXCEPTION
    with at_token(model.model.norm, 2, cancel if end == "cancelled" else full) as made, pytest.raises(error):
        backend.ask(asked)
    assert len(made) >= 2, "it ended before it wrote"
    assert [dict(vars(one)) for one in holders] == before and comfy.utils.PROGRESS_BAR_HOOK is hook
    assert backend.ask(asked) == told


@torch.inference_mode()
def test_a_text_encoder_that_writes_does_not_move_the_samplers_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, moved = ClipBackend(seeing_clip("qwen3vl")), []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda *args, **options: moved.append(args))
    backend.ask(seeing_clips.query(shown(WIDE), examples=0))
    assert not moved
    comfy.utils.ProgressBar(2).update(1)
    assert moved


@torch.inference_mode()
def test_a_comparison_that_finds_no_room_is_made_another_time(vlm_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question itself is answered, with nothing that was not compared."""
    backend = tiny_vlms.load("qwen2.5-vl", vlm_models)
    expected, reader = tiny_vlms.load("qwen2.5-vl", vlm_models).ask(query(pictures(1))), backend._reader
    with monkeypatch.context() as patch:
        patch.setattr(reader, "_first_logits", lambda inputs: (_ for _ in ()).throw(torch.OutOfMemoryError("no room")))
        assert backend.ask(query(pictures(1))) == expected
        assert backend.ask(query(pictures(1))) == expected
        assert reader._prefix is None and not reader.uses_prefix
    backend.forget()
    assert backend.ask(query(pictures(1))) == expected and reader.uses_prefix


@torch.inference_mode()
@pytest.mark.parametrize("in_turn", [True, False])
def test_the_first_questions_comparison_ends_when_nobody_waits(vlm_models: Path, in_turn: bool) -> None:
    """It reads whole conversations several times, which takes long on a CPU; what it has found by then is not kept."""
    backend = tiny_vlms.load("qwen2.5-vl", vlm_models)
    backend.elsewhere = not in_turn
    with at_token(backend.patcher.model.inner.lm_head, 2, cancel) as made:
        if in_turn:
            with pytest.raises(INTERRUPT):
                backend.ask(query(pictures(1), tokens=50))
        else:
            backend.ask(query(pictures(1), tokens=50))
    assert len(made) == 2 and backend._reader._prefix is None and not backend._reader.uses_prefix
    assert backend.ask(query(pictures(1), tokens=50)) and backend._reader.uses_prefix
