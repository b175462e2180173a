"""Check that the host's own text encoders that see can watch: they say what transformers' models say, and each is asked in its own way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from avert.host.install import last_report
from avert.host.textgen import ClipBackend
from avert.host.vlm_gate import SPELLINGS
from avert.host.watch.source import backend_of
from avert.vlm.backend import Query

from seeing_clips import WHOLE, WIDE, logits_of, model_of, query, seeing_clip, shown, twin, with_file
from tiny_clip import tiny_clip
from watched_runs import VSF, guided, picture, watched

SEES_ONE = ("gemma3_4b", "ltx2")
COMMON = ("qwen_image", "krea2", "ltx2")


def teardown_module() -> None:
    """Their vocabularies are as large as real ones."""
    seeing_clip.cache_clear()


@pytest.fixture
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    found = seeing_clip(request.param)
    if request.param not in ("qwen_image", "hunyuan_image"):
        return found
    embeddings = model_of(found).model.embed_tokens.weight
    head = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(1))
    return with_file(found, tmp_path, {"lm_head.weight": head, "model.norm.weight": torch.ones(4)})


def each(*kinds: str) -> Any:
    every = [kind if kind in COMMON else pytest.param(kind, marks=pytest.mark.slow) for kind in WHOLE]
    return pytest.mark.parametrize("clip", kinds or every, indirect=True)


@each()
@torch.inference_mode()
def test_it_answers_and_looks_at_the_picture(clip: Any, request: pytest.FixtureRequest) -> None:
    backend = backend_of(clip)
    one = any(kind in request.node.callspec.id for kind in SEES_ONE)
    assert backend.takes_examples != one
    asked = [query(picture, examples=0 if one else 1) for picture in (shown(WIDE), shown(WIDE, 1))]
    first, second = (logits_of(backend, one) for one in asked)
    assert (first - second).norm() > 1e-4 * first.norm()
    assert backend.ask(query(shown(WIDE), shown(WIDE, 1), examples=0 if one else 1)) == [backend.ask(one)[0] for one in asked]


@pytest.mark.parametrize("kind", ["qwen_image", "qwen3vl"])
@torch.inference_mode()
def test_it_says_what_transformers_says(kind: str, tmp_path: Path) -> None:
    """With the same weights: the picture before the question, an example with another one before it, in other proportions."""
    clip = seeing_clip(kind)
    model, head = twin(kind, clip)
    if kind == "qwen_image":
        clip = with_file(clip, tmp_path, {"lm_head.weight": head})
    backend = ClipBackend(clip)
    asked = query(shown(WIDE))
    ours = logits_of(backend, asked)
    theirs = model(**_inputs(clip, backend, asked)).logits[0, -1]
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def _inputs(clip: Any, backend: ClipBackend, asked: Query) -> dict[str, torch.Tensor]:
    """Prepare what transformers' model takes, from the conversation as it is written."""
    from comfy.text_encoders.qwen_vl import process_qwen2vl_images

    options = {} if backend._writer.is_qwen2 else {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    pictures = [asked.examples[0].picture, asked.pictures[0]]
    patches = [process_qwen2vl_images(picture[None], **options) for picture in pictures]
    tokenizer = getattr(clip.tokenizer, clip.tokenizer.clip).tokenizer
    ids = tokenizer(backend._template.written(asked))["input_ids"]
    counts = iter(int(grid.prod()) // 4 for _, grid in patches)
    full = [one for i in ids for one in ([i] * next(counts) if i == 151655 else [i])]
    text = torch.tensor([full])
    return {
        "input_ids": text, "attention_mask": torch.ones_like(text), "mm_token_type_ids": (text == 151655).int(),
        "pixel_values": torch.cat([values for values, _ in patches]), "image_grid_thw": torch.cat([grid for _, grid in patches]),
    }  # fmt: skip


@torch.inference_mode()
def test_it_watches_a_run_and_is_left_as_it_was(demo_worlds: dict[str, Any]) -> None:
    clip, world = seeing_clip("qwen3vl"), demo_worlds["few_step"]
    before = dict(vars(model_of(clip)))
    model = guided(world, VSF, watched(world, backend_of(clip), max_tokens=4))
    assert torch.isfinite(picture(model, world, 1.0)).all()
    assert all(entry["kind"] != "failed" for entry in last_report(model).watched[0]["entries"])
    assert vars(model_of(clip)) == before


def test_the_conversation_that_it_reads() -> None:
    """Our instruction and nothing of the host's own template, each picture at its question, and no thinking."""
    clip = seeing_clip("qwen3vl")
    backend = ClipBackend(clip)
    asked = query(shown(WIDE))
    text = backend._template.written(asked)
    assert text == (
        f"<|im_start|>system\n{asked.instruction.system}<|im_end|>\n"
        f"<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{asked.instruction.question}<|im_end|>\n<|im_start|>assistant\nhat<|im_end|>\n"
        f"<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{asked.instruction.question}<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    pictures = backend._template.pictures([asked.examples[0].picture, asked.pictures[0]])
    (chunk,) = clip.tokenize(text, **pictures, min_length=1, thinking=False)["qwen3vl_4b"]
    places = [i for i, token in enumerate(chunk) if isinstance(token[0], dict)]
    assert places == [i for i, token in enumerate(chunk) if i and chunk[i - 1][0] == 151652] and len(places) == 2


@each("qwen_image", "qwen35")
@torch.inference_mode()
def test_places_of_pictures_are_told_where_the_host_leaves_them_out(clip: Any) -> None:
    """A picture of 4 x 6 tokens: its rows and columns count from where it begins, and the text goes on behind its longer side."""
    backend, told = ClipBackend(clip), []
    model = backend._writer._model.model
    edge = 28 if backend._writer.is_qwen2 else 32
    forward, model.forward = model.forward, lambda *args, **kwargs: (told.append(kwargs["position_ids"]), forward(*args, **kwargs))[1]
    try:
        backend.ask(query(shown((4 * edge, 6 * edge)), examples=0))
    finally:
        del model.forward
    time, rows, columns = told[0].tolist()
    start = next(i for i in range(len(time)) if time[i] == time[i + 1])
    assert [row - start for row in rows[start : start + 24]] == [i for i in range(4) for _ in range(6)]
    assert [column - start for column in columns[start : start + 24]] == [*range(6)] * 4
    assert time[start : start + 25] == [start] * 24 + [start + 6]
    assert told[1].tolist() == [[time[-1] + 1]]


@pytest.mark.parametrize("kind", ["gemma3_4b", "ltx2"])
def test_padding_is_not_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host fills short texts up in front and generates without a mask."""
    backend, read = ClipBackend(seeing_clip(kind)), []
    monkeypatch.setattr(backend._writer, "write", lambda tokens, query: read.append(tokens) or "none")
    backend.ask(query(shown(WIDE), examples=0))
    ((chunk,),) = read[0].values()
    assert chunk[0][0] == 2 and 0 not in [token[0] for token in chunk] and sum(isinstance(token[0], dict) for token in chunk) == 1


@torch.inference_mode()
def test_an_answer_that_nobody_waits_for_ends() -> None:
    backend, calls = ClipBackend(seeing_clip("qwen3vl")), []
    asked = query(shown(WIDE), stopped=lambda: bool(calls.append(0)) or len(calls) >= 3)
    assert backend.ask(asked) == [""] and len(calls) == 3


@each("qwen_image", "qwen3vl", "ltx2")
@torch.inference_mode()
def test_the_gate_follows_the_first_tokens_probability(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lets everything through forbids "none"; one that is higher than the chance of anything answers with it at once."""
    backend, seen = ClipBackend(clip), []
    asked = query(shown(WIDE), examples=0)
    model = backend._writer._model
    # The small vocabulary of Gemma's stand-in cannot read all that it says.
    monkeypatch.setattr(clip, "decode", lambda ids: "words")
    # Where embeddings are the output layer, random ones are sure of the last token.
    monkeypatch.setattr(model, "logits", lambda x, logits=model.logits: logits(x) / 100)
    backend.ask(dataclasses.replace(asked, gate=0.01))
    read = [backend._writer._ids(word) for word in SPELLINGS]
    assert backend._writer.none == sorted({ids[0] for ids in read if len(ids) == 1})
    # Of a random model they have no chance worth speaking of; these have.
    backend._writer.none = none = logits_of(backend, asked).topk(3).indices.tolist()
    something = 1 - float(logits_of(backend, asked).float().softmax(-1)[none].sum())
    choose = model.sample_token
    monkeypatch.setattr(model, "sample_token", lambda logits, *args, **options: (seen.append(logits), choose(logits, *args, **options))[1])
    assert backend.ask(dataclasses.replace(asked, gate=something + 1e-3)) == ["none"] and not seen
    assert (
        backend.ask(dataclasses.replace(asked, gate=something - 1e-3))
        and torch.isinf(seen[0][0, none]).all()
        and torch.isfinite(seen[1]).all()
    )


@pytest.mark.parametrize("kind", ["sd1", "sd3", "flux", "wan"])
def test_a_clip_that_cannot_see_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="does not see pictures|too old"):
        backend_of(tiny_clip(kind))
