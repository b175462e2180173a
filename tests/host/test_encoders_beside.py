"""Check Avert Negative Prompt where T5 reads, alone or beside a language model, and what else comes with a prompt's rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.host.encode import encode_negative
from avert.host.encoders.known import check_encoders
from avert.host.encoders.rows import place_words
from avert.host.encoders.words import Kept, Row
from avert.host.negative import as_negative

from tiny_clip import encode
from tiny_encoders import T5S, tiny_encoder

WORDS = "old man with glasses"
ENDS = {"t5xxl": 1, "pile_t5xl": 2}
# The host masks their padding, so that a slice of what it returns is the same.
MASKED = ("ltxv", "mochi", "cosmos", "aura")


def t5_ids(name: str, clip: Any, text: str) -> list[int]:
    """List T5's ids up to and with the end token, from the host's tokenizer alone."""
    key = T5S[name].key
    ids = [token[0] for token in clip.tokenize(text)[key][0]]
    return ids[: ids.index(ENDS[key]) + 1]


@pytest.mark.parametrize("name", T5S)
def test_t5_reads_without_padding(name: str) -> None:
    clip = tiny_encoder(name)
    key = T5S[name].key
    for text in (WORDS, "glasses"):
        (prompt,) = encode_negative(clip, text).prompts
        ids = t5_ids(name, clip, text)
        assert prompt.length == prompt.tokens[key] == len(ids)
        tokens = clip.tokenize(text)
        tokens[key] = [tokens[key][0][: len(ids)]]
        torch.testing.assert_close(prompt.embedding, clip.encode_from_tokens_scheduled(tokens)[0][0])
        stock, options = encode(clip, text)[0]
        if name in MASKED:
            torch.testing.assert_close(prompt.embedding, stock[:, : len(ids)], rtol=1e-4, atol=1e-5)
        assert set(prompt.options) == set(options)
        mask = prompt.options.get("attention_mask")
        assert mask is None or (mask.shape == (1, len(ids)) and bool((mask == 1).all()))
        torch.testing.assert_close(prompt.written()[0][0], stock)


@pytest.mark.parametrize("name", T5S)
def test_t5_weights_lines_and_nothing(name: str) -> None:
    clip = tiny_encoder(name)
    (prompt,) = encode_negative(clip, "old man with (glasses:1.4) today").prompts
    (less,) = encode_negative(clip, "old man with (glasses:0) today").prompts
    (plain,) = encode_negative(clip, "old man with glasses today").prompts
    # HiDream's are also Llama's.
    beside = prompt.options["conditioning_llama3"].shape[2] if name == "hidream" else 0
    assert prompt.weights is not None and prompt.length + 2 * beside == len(prompt.weights)
    torch.testing.assert_close(prompt.embedding, plain.embedding)
    before, until = (len(t5_ids(name, clip, text)) - 1 for text in ("old man with", WORDS))
    expected = [1.4 if before <= i < until else 1.0 for i in range(plain.length)]
    assert prompt.weights[: prompt.length].tolist() == pytest.approx(expected)
    torch.testing.assert_close(less.embedding, plain.embedding[:, [i for i, weight in enumerate(expected) if weight == 1.0]])
    mask = less.options.get("attention_mask")
    assert mask is None or mask.shape == (1, less.length)
    assert [p.text for p in encode_negative(clip, "hat\n\n glasses ").prompts] == ["hat", "glasses"]
    assert encode_negative(clip, " \n").prompts == encode_negative(clip, "(hat:0)").prompts == ()


def test_anima_has_t5s_ids_beside_its_rows() -> None:
    clip = tiny_encoder("anima")
    tokens = [token[0] for token in clip.tokenize(WORDS)["t5xxl"][0]]
    (prompt,) = encode_negative(clip, WORDS).prompts
    assert prompt.options["t5xxl_ids"].tolist() == tokens and tokens[-1] == 1
    assert prompt.options["t5xxl_weights"].tolist() == [1.0] * len(tokens) and prompt.weights is None
    # Its model makes the text of the ids, so the weights are theirs, and are not multiplied into it before.
    before = len(clip.tokenize("old man with")["t5xxl"][0]) - 1
    (prompt,) = encode_negative(clip, "old man with (glasses:1.4)").prompts
    assert prompt.weights is not None
    assert prompt.weights.tolist() == pytest.approx([1.0] * before + [1.4] * (len(tokens) - 1 - before) + [1.0])
    assert prompt.options["t5xxl_ids"].tolist() == tokens
    assert prompt.options["t5xxl_weights"].tolist() == [1.0] * len(tokens)
    # A word of weight 0 is neither read nor one of the ids.
    (less,) = encode_negative(clip, "old man with (glasses:0)").prompts
    assert less.options["t5xxl_ids"].tolist() == [*tokens[:before], 1]
    torch.testing.assert_close(less.embedding, prompt.embedding[:, : less.length])
    assert less.length < prompt.length and less.weights is None


def test_hidream_has_llamas_layers_beside_t5s_rows() -> None:
    clip = tiny_encoder("hidream")
    (prompt,) = encode_negative(clip, WORDS).prompts
    inner = clip.tokenizer.llama
    ids = inner.tokenizer(WORDS)["input_ids"]
    assert inner.tokens_start == 1
    layers = encode(clip, WORDS)[0][1]["conditioning_llama3"]
    torch.testing.assert_close(prompt.options["conditioning_llama3"], layers[:, :, 1 : len(ids)])
    torch.testing.assert_close(prompt.options["pooled_output"], encode(clip, WORDS)[0][1]["pooled_output"])
    assert prompt.tokens["llama"] == len(ids) - 1
    (less,) = encode_negative(clip, "old man with (glasses:0)").prompts
    kept = len(inner.tokenizer("old man with")["input_ids"])
    torch.testing.assert_close(less.options["conditioning_llama3"], layers[:, :, 1:kept])
    # The model makes tokens of T5's rows and twice of Llama's.
    (more,) = encode_negative(clip, "old man with (glasses:1.4)").prompts
    llama = [1.0] * (kept - 1) + [1.4] * (len(ids) - kept)
    assert more.weights is not None and more.weights[more.length :].tolist() == pytest.approx(2 * llama)


@pytest.mark.parametrize("name", ["hunyuan_image", "hunyuan_video_15"])
def test_what_is_quoted_has_rows_without_its_frame(name: str) -> None:
    clip = tiny_encoder(name)
    text = 'a sign that says "SALE" and "50 off"'
    (prompt,) = encode_negative(clip, text).prompts
    glyphs = encode(clip, text)[0][1]["conditioning_byt5small"]
    framed = 'Text "SALE". Text "50 off". '
    assert glyphs.shape[1] == len(framed) + 1
    wanted = [i for word in ("SALE", "50 off") for i in range(framed.index(word), framed.index(word) + len(word))]
    torch.testing.assert_close(prompt.options["conditioning_byt5small"], glyphs[:, wanted])
    assert "conditioning_byt5small" not in encode_negative(clip, "a sign").prompts[0].options


@pytest.mark.parametrize("name", ["klein_4b", "z_image", "ltxv", "cosmos", "mochi"])
def test_a_conditionings_hidden_rows_are_padding(name: str) -> None:
    """A plain CONDITIONING keeps its template, which nobody can tell any more, but not what its mask hides."""
    clip = tiny_encoder(name)
    embedding, options = encode(clip, WORDS)[0]
    real = int(options["attention_mask"].sum())
    (prompt,) = as_negative([[embedding, options]]).prompts
    torch.testing.assert_close(prompt.embedding, embedding[:, :real])
    assert prompt.options["attention_mask"].tolist() == [[1] * real]
    assert options["attention_mask"].shape[1] == embedding.shape[1] >= real
    # Another node's mask, over something else or for the attention itself, is left alone.
    for mask in (torch.ones(1, 3, dtype=torch.long), torch.zeros(1, embedding.shape[1], embedding.shape[1])):
        (prompt,) = as_negative([[embedding[:, :real], {"attention_mask": mask}]]).prompts
        assert prompt.length == real and prompt.options["attention_mask"] is mask


def test_rows_that_are_not_its_words_are_refused() -> None:
    words = Kept([Row(i, 1.0) for i in (5, 6)], before=0, first=5, tail=2)
    assert [row.index for row in place_words(words, 9, 9)] == [5, 6]
    # Cut off at the front: a part of the template, all of it; all of it at both ends.
    assert [row.index for row in place_words(words, 9, 6)] == [2, 3]
    assert [row.index for row in place_words(words, 9, 4)] == [0, 1]
    assert [row.index for row in place_words(words, 9, 2)] == [0, 1]
    for length in (1, 3, 10):
        with pytest.raises(ValueError, match=f"returned {length} rows for 9 tokens"):
            place_words(words, 9, length)
    # LTX-2: 1024 tokens, of which 1017 are padding in front; 7 rows come back, or as many as the encoder has filled up.
    left = Kept([Row(i, 1.0) for i in range(1018, 1024)], before=1017, first=1)
    for length in (7, 128, 1024):
        assert [row.index for row in place_words(left, 1024, length)] == [1, 2, 3, 4, 5, 6]


def test_what_nobody_knows_is_refused() -> None:
    for key in ("qwen35_4b", "hydit_clip", "hidream_o1"):
        with pytest.raises(ValueError, match=f"does not know this text encoder \\({key}\\).*Text Encode"):
            check_encoders(["l", key])
