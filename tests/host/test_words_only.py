"""Check mechanisms that use a negative's words alone: which rows stay, what follows them, and that a run has these and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import NegativeAway
from avert.host.amplified import amplified
from avert.host.encode import encode_negative
from avert.host.install import last_report
from avert.host.negative import Negative, Prompt
from avert.host.report_text import as_text

from guided_runs import MECHANISMS, change, guided, model, prompts
from test_encode import CHUNKED, ENDS, kept, scheduled_clip
from tiny import sample
from tiny_clip import KINDS, encode, tiny_clip
from tiny_encoders import tiny_encoder
from watched_runs import NAG, VSF, Script, between, picture, watched
from watched_runs import guided as guided_there

# CLIP's start and end, and T5's end.
AROUND = {49406, 49407, 1}
NAMES = {"l": "clip_l", "g": "clip_g"}
WEIGHTED = "a man with (glasses:1.4) and (a red hat:0) on (him:0.5)"
NASA = NegativeAway(0.3, words_only=True)


def places(clip: Any, kind: str, text: str) -> list[int]:
    """List which of a prompt's rows are of words, from the host's tokenizer alone."""
    stay = [token for token, weight in kept(clip, kind, text) if weight]
    return [i for i, token in enumerate(stay) if token not in AROUND]


def counts(clip: Any, text: str, around: bool) -> dict[str, int]:
    """Count each encoder's tokens up to its end token, but for words of weight 0."""
    found = {}
    for key, chunks in clip.tokenize(text).items():
        real = [token for chunk in chunks for token in chunk[: [t[0] for t in chunk].index(ENDS[key]) + 1]]
        found[NAMES.get(key, key)] = sum(token[1] != 0 and (around or token[0] not in AROUND) for token in real)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["glasses", WEIGHTED, CHUNKED], ids=["word", "weighted", "chunks"])
def test_rows_weights_and_counts_are_those_of_the_words(kind: str, text: str) -> None:
    clip = tiny_clip(kind)
    (prompt,) = encode_negative(clip, text).prompts
    assert prompt.words is not None
    words, rows = prompt.words(), places(clip, kind, text)
    assert 0 < len(rows) == words.length < prompt.length
    assert torch.equal(words.embedding, prompt.embedding[:, rows])
    if prompt.weights is None:
        assert words.weights is None
    else:
        assert words.weights is not None and torch.equal(words.weights, prompt.weights[rows])
    assert (words.text, words.written, set(words.options)) == (prompt.text, prompt.written, set(prompt.options))
    assert (words.options["pooled_output"] is None) or torch.equal(words.options["pooled_output"], prompt.options["pooled_output"])
    for one, around in ((prompt, True), (words, False)):
        expected = counts(clip, text, around)
        assert one.tokens and dict(one.tokens) == {name: expected[name] for name in one.tokens}
    assert words.words is None and words.padding_known
    assert Negative((prompt,)).words().prompts == (words,) and prompt.words() is words


def test_a_word_whose_neighbours_all_weigh_one_has_no_weights() -> None:
    (prompt,) = encode_negative(tiny_clip("sd1"), "(glasses:1.4)").prompts
    assert prompt.weights is not None and prompt.weights.tolist() == pytest.approx([1.0, 1.4, 1.0])
    assert prompt.words is not None and prompt.words().weights.tolist() == pytest.approx([1.4])


@pytest.mark.parametrize("name", ["ltxv", "cosmos", "mochi", "aura", "chroma"])
def test_t5_with_a_mask(name: str) -> None:
    (prompt,) = encode_negative(tiny_encoder(name), WEIGHTED).prompts
    assert prompt.words is not None
    words = prompt.words()
    assert torch.equal(words.embedding, prompt.embedding[:, :-1])
    assert words.weights is not None and torch.equal(words.weights, prompt.weights[:-1])
    mask = prompt.options.get("attention_mask")
    assert (mask is None) == ("attention_mask" not in words.options)
    assert mask is None or torch.equal(words.options["attention_mask"], mask[:, :-1])


@pytest.mark.parametrize("name", ["qwen_image", "flux2", "lumina2", "hunyuan_video", "hunyuan_image", "anima", "hidream"])
def test_what_has_nothing_around_its_words_stays_whole(name: str) -> None:
    """Language models' rows are words alone; what HiDream and Anima make of several encoders is not taken apart."""
    negative = encode_negative(tiny_encoder(name), "old man with (glasses:1.4)")
    assert negative.prompts[0].words is None
    assert negative.words().prompts[0] is negative.prompts[0]


def test_each_part_of_a_schedule_has_its_words() -> None:
    clip = scheduled_clip()
    negative, rows = encode_negative(clip, "glasses"), places(clip, "sd3", "glasses")
    words = negative.words()
    assert len(words.prompts) == 2
    for whole, own in zip(negative.prompts, words.prompts, strict=True):
        assert own.window() == whole.window() and torch.equal(own.embedding, whole.embedding[:, rows])
    assert change(words.prompts[0].embedding, words.prompts[1].embedding) > 1e-3


@pytest.mark.parametrize("times", [1, 2])
def test_amplified_words_are_words_amplified(times: int) -> None:
    clip = tiny_clip("sd3")
    negative, rows = encode_negative(clip, WEIGHTED), places(clip, "sd3", WEIGHTED)
    for _ in range(times):
        negative = amplified(negative, encode(clip, ""), 0.5)
    (whole,), (words,) = negative.prompts, negative.words().prompts
    assert torch.equal(words.embedding, whole.embedding[:, rows]) and torch.equal(words.weights, whole.weights[rows])
    assert change(words.embedding, encode_negative(clip, WEIGHTED).words().prompts[0].embedding) > 1e-2


def run(family: str, negative: Any, mechanism: Any) -> tuple[torch.Tensor, Any]:
    patched = guided(model(family), negative, mechanism)
    return sample(patched, *prompts(family), 3.0, steps=1), last_report(patched)


@pytest.mark.parametrize(
    ("family", "kind", "name"),
    [("sd15", "sd1", "nasa"), ("wan", "wan", "nasa"), *(("sd3", "sd3", name) for name in MECHANISMS)],
)
def test_a_run_has_the_words_and_no_other_rows(family: str, kind: str, name: str) -> None:
    """Bit for bit what these rows are as a CONDITIONING, and as a negative with their weights."""
    words_only, whole = (replace(MECHANISMS[name], words_only=only) for only in (True, False))
    negative = encode_negative(tiny_clip(kind), "a man with glasses\nhat")
    by_hand = [[prompt.embedding, dict(prompt.options)] for prompt in negative.words().prompts]
    made, report = run(family, negative, words_only)
    assert torch.equal(made, run(family, by_hand, whole)[0])
    assert change(made, run(family, negative, whole)[0]) > 1e-5
    told = report.nodes[0].negatives
    assert [n["length"] for n in told] == [tokens.shape[1] for tokens, _ in by_hand] and not report.notes
    weighted = encode_negative(tiny_clip(kind), WEIGHTED)
    (words,) = weighted.words().prompts
    by_hand = Negative((Prompt(words.embedding, words.options, words.weights, tokens=words.tokens),))
    assert torch.equal(run(family, weighted, words_only)[0], run(family, by_hand, whole)[0])


def test_the_report_tells_the_tokens_that_act() -> None:
    clip = tiny_clip("sd3")
    report = run("sd3", encode_negative(clip, WEIGHTED), NASA)[1]
    (told,) = report.nodes[0].negatives
    assert told["length"] == len(places(clip, "sd3", WEIGHTED)) == told["tokens"]["clip_l"] + told["tokens"]["t5xxl"]
    assert "NASA: scale 0.3, words only; from 0 to 1" in as_text(report) and not report.notes
    report = run("sd3", encode_negative(clip, WEIGHTED), MECHANISMS["vsf"])[1]
    assert "words" not in as_text(report)
    (told,) = report.nodes[0].negatives
    assert told["length"] == told["tokens"]["clip_l"] + told["tokens"]["t5xxl"]


@pytest.mark.parametrize("own", [False, True], ids=["connected", "the sampler's"])
def test_a_conditioning_is_used_whole_and_that_is_told(own: bool) -> None:
    negative = None if own else prompts("sd3")[1]
    made, report = run("sd3", negative, NASA)
    assert torch.equal(made, run("sd3", negative, replace(NASA, words_only=False))[0])
    (note,) = report.notes
    assert note.startswith("NASA:") and "is used whole" in note and "only Avert Negative Prompt knows which tokens are words" in note


@pytest.mark.parametrize("shared", [True, False], ids=["one watcher", "two"])
def test_spoken_words_of_two_nodes_of_which_one_wants_words_only(demo_worlds: dict[str, Any], shared: bool) -> None:
    world = demo_worlds["few_step"]
    mechanisms = replace(VSF, words_only=True), NAG
    first = watched(world, Script(["hat"]), label="a")
    second = first if shared else watched(world, Script(["hat"]), label="b")

    def fixed(*asked: Any) -> torch.Tensor:
        patched = None
        for mechanism in asked:
            window = (between(world[0], 3), between(world[0], 6))
            patched = guided_there(world, mechanism, encode_negative(world[1], "hat"), window, patched)
        return picture(patched, world, 1.0)

    (prompt,) = encode_negative(world[1], "hat").prompts
    assert prompt.words is not None and prompt.length == prompt.words().length + 2
    spoken = guided_there(world, mechanisms[1], second, model=guided_there(world, mechanisms[0], first))
    made = picture(spoken, world, 1.0)
    assert torch.equal(made, fixed(*mechanisms))
    others = ((VSF, NAG), (mechanisms[0], replace(NAG, words_only=True)))
    assert all(not torch.equal(made, fixed(*asked)) for asked in others)
