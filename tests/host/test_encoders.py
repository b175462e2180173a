"""Check Avert Negative Prompt on language models: of what the host returns, exactly the rows of the user's own words stay, as the host gives them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.host.encode import check_known, encode_line, encode_negative

from tiny_clip import encode
from tiny_encoders import LLMS, has_llama_files, tiny_encoder

WORDS = "old man with glasses"
# Differs from WORDS in its first word.
OTHER = "wet man with glasses"
SENTENCE = "an old man with glasses reads a book in the garden, then"
# These normalise all rows together, so that each depends on all words.
MIXED = ("ltx2",)
# How many sentences these read at most.
LIMITS = {"pixeldit": 6, "longcat": 38}


def own_ids(name: str, clip: Any, text: str) -> list[int]:
    """Tokenize words alone, as they are written in their template: some put a space before them."""
    key = LLMS[name].key
    inner = getattr(clip.tokenizer, key)
    placed = [token[0] for token in clip.tokenize(text)[key][0]]
    for lead in ("", " "):
        ids = inner.tokenizer(lead + text)["input_ids"][inner.tokens_start :]
        if any(placed[i : i + len(ids)] == ids for i in range(len(placed))):
            return ids
    raise AssertionError(f"{name}: {text!r} is not among its own tokens")


def first_row(name: str, clip: Any) -> int:
    """Find the first row that changes with the first word: the model reads forwards only."""
    if name in MIXED:
        return 1  # Behind the start token.
    mine, its = (encode(clip, text)[0][0] for text in (WORDS, OTHER))
    length = min(mine.shape[1], its.shape[1])
    return int(((mine[:, :length] - its[:, :length]).abs().amax(dim=(0, 2)) > 1e-3).nonzero()[0])


def stock_rows(name: str, clip: Any, text: str) -> torch.Tensor:
    """Give the rows of a stock CLIP Text Encode that are of the words."""
    start = first_row(name, clip)
    return encode(clip, text)[0][0][:, start : start + len(own_ids(name, clip, text))]


@pytest.mark.parametrize("name", LLMS)
def test_rows_are_the_words_own(name: str) -> None:
    clip = tiny_encoder(name)
    for text in (WORDS, "glasses", "old man, (red:1) hat and two 1920s scarves; snow"):
        (prompt,) = encode_negative(clip, text).prompts
        plain = text.replace("(red:1)", "red")
        torch.testing.assert_close(prompt.embedding, stock_rows(name, clip, plain), rtol=1e-4, atol=1e-5)
        assert prompt.weights is None and prompt.text == text
        assert prompt.tokens[LLMS[name].key] == prompt.length == len(own_ids(name, clip, plain))


@pytest.mark.parametrize("name", LLMS)
def test_long_texts_stay_whole(name: str) -> None:
    clip = tiny_encoder(name)
    text = " ".join([SENTENCE] * LIMITS.get(name, 50))
    (prompt,) = encode_negative(clip, text).prompts
    ids = own_ids(name, clip, text)
    assert prompt.length == len(ids) > 12 * LIMITS.get(name, 50)
    start = first_row(name, clip)
    torch.testing.assert_close(prompt.embedding, encode(clip, text)[0][0][:, start : start + len(ids)], rtol=1e-4, atol=1e-5)


def test_longcat_cuts_texts_off_itself() -> None:
    clip = tiny_encoder("longcat")
    assert encode_negative(clip, " ".join([SENTENCE] * 50)).prompts[0].length == 512


@pytest.mark.parametrize("name", LLMS)
def test_lines_and_nothing(name: str) -> None:
    clip = tiny_encoder(name)
    both = encode_negative(clip, "glasses\n\n   old man \n").prompts
    assert [prompt.text for prompt in both] == ["glasses", "old man"]
    for prompt in both:
        torch.testing.assert_close(prompt.embedding, stock_rows(name, clip, prompt.text), rtol=1e-4, atol=1e-5)
    assert encode_negative(clip, "").prompts == encode_negative(clip, " \n\t\n").prompts == ()
    assert encode_line(clip, "") == encode_line(clip, " \n") == encode_line(clip, "(glasses:0)") == []
    # What a vision-language model says may begin and end with anything.
    (said,) = encode_line(clip, "\n\nglasses \n")
    torch.testing.assert_close(said.embedding, both[0].embedding)


@pytest.mark.parametrize("name", LLMS)
def test_what_comes_along_fits(name: str) -> None:
    clip = tiny_encoder(name)
    (prompt,) = encode_negative(clip, WORDS).prompts
    stock = encode(clip, WORDS)[0]
    assert set(prompt.options) == set(stock[1])
    mask = prompt.options.get("attention_mask")
    assert mask is None or (mask.shape == (1, prompt.length) and bool((mask == 1).all()))
    tags = prompt.options.get("minimax_token_tags")
    assert tags is None or (tags.shape == (prompt.length,) and bool((tags == 1).all()))
    pooled = prompt.options["pooled_output"]
    assert (pooled is None) == (stock[1]["pooled_output"] is None)
    if pooled is not None:
        torch.testing.assert_close(pooled, stock[1]["pooled_output"])
    (embedding, options), *rest = prompt.written()
    assert not rest and set(options) == set(stock[1])
    torch.testing.assert_close(embedding, stock[0])
    check_known(clip)


@pytest.mark.parametrize("name", LLMS)
def test_weights_stand_at_their_words(name: str) -> None:
    clip = tiny_encoder(name)
    (plain,) = encode_negative(clip, "old man with glasses today").prompts
    before, until, whole = (
        len(own_ids(name, clip, text)) for text in ("old man with", "old man with glasses", "old man with glasses today")
    )
    (prompt,) = encode_negative(clip, "old man with (glasses:1.4) today").prompts
    torch.testing.assert_close(prompt.embedding, plain.embedding)
    assert prompt.weights is not None
    if name != "anima":
        expected = [1.0] * before + [1.4] * (until - before) + [1.0] * (whole - until)
        assert prompt.weights.tolist() == pytest.approx(expected)
        (less,) = encode_negative(clip, "old man with (glasses:0) today").prompts
        rest = [i for i in range(whole) if not before <= i < until]
        torch.testing.assert_close(less.embedding, plain.embedding[:, rest])
        assert less.weights is None
    with pytest.raises(ValueError, match="below 0"):
        encode_negative(clip, "old (man:-0.5)")


@pytest.mark.parametrize("name", ["qwen_image", "omnigen2", "lumina2", "flux2", "hunyuan_video"])
def test_nested_weights_and_brackets(name: str) -> None:
    clip = tiny_encoder(name)
    (prompt,) = encode_negative(clip, "((old) man:1.5) with (glasses)").prompts
    ids = [len(own_ids(name, clip, text)) for text in ("old", "old man", "old man with", "old man with glasses")]
    expected = [1.5 * 1.1] * ids[0] + [1.5] * (ids[1] - ids[0]) + [1.0] * (ids[2] - ids[1]) + [1.1] * (ids[3] - ids[2])
    assert prompt.weights is not None and prompt.weights.tolist() == pytest.approx(expected)
    # It begins and ends as the words do that it is compared with.
    (prompt,) = encode_negative(clip, "old (catdog:1.3) man").prompts
    ids = [len(own_ids(name, clip, text)) for text in ("old", "old catdog", "old catdog man")]
    expected = [1.0] * ids[0] + [1.3] * (ids[1] - ids[0]) + [1.0] * (ids[2] - ids[1])
    assert prompt.weights is not None and prompt.weights.tolist() == pytest.approx(expected)
    # A backslash makes a bracket one of the text, for the host as for us.
    text = r"old \(man\) with"
    (prompt,) = encode_negative(clip, text).prompts
    inner = getattr(clip.tokenizer, LLMS[name].key)
    start = first_row(name, clip)
    torch.testing.assert_close(prompt.embedding, encode(clip, text)[0][0][:, start : start + prompt.length])
    assert prompt.length == len(inner.tokenizer("old (man) with")["input_ids"][inner.tokens_start :])
    assert prompt.weights is None


@pytest.mark.parametrize("name", ["qwen_image", "flux2", "lumina2", "omnigen2"])
def test_written_has_weights_where_the_host_knows_them(name: str) -> None:
    """CLIP Text Encode takes brackets for text where the host has weights turned off, which would be words that nobody wrote."""
    clip = tiny_encoder(name)
    text = "old man with (glasses:1.4)"
    same = text if name in ("lumina2", "omnigen2") else WORDS
    torch.testing.assert_close(encode_negative(clip, text).prompts[0].written()[0][0], encode(clip, same)[0][0])


@pytest.mark.parametrize("name", ["qwen_image", "hunyuan_image", "krea2", "joyimage", "ideogram4", "longcat"])
def test_a_template_of_ones_own_is_refused(name: str) -> None:
    clip = tiny_encoder(name)
    text = "<|im_start|>user\nglasses<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(ValueError, match="chat template of its own.*Text Encode"):
        encode_line(clip, text)


def test_a_system_prompt_before_the_words_is_no_negative() -> None:
    """Lumina 2's comes with the text (node CLIP Text Encode for Lumina2), and the words are understood in it."""
    clip = tiny_encoder("lumina2")
    lead = "You are an assistant (helpful) for pictures. <Prompt Start> "
    (alone,) = encode_negative(clip, WORDS).prompts
    (prompt,) = encode_negative(clip, lead + "old man with (glasses:1.4)").prompts
    stock = encode(clip, lead + WORDS)[0][0]
    assert prompt.length == alone.length
    torch.testing.assert_close(prompt.embedding, stock[:, stock.shape[1] - prompt.length :])
    assert (prompt.embedding - alone.embedding).norm() > 1e-2 * alone.embedding.norm()
    assert prompt.weights is not None and prompt.weights[0] == 1 and prompt.weights[-1] == pytest.approx(1.4)
    assert encode_negative(clip, lead).prompts == ()


def test_real_llama_tokenizer() -> None:
    if not has_llama_files():
        pytest.skip("this copy of the host lacks llama_tokenizer; the other tests have a stand-in with its special tokens")
    clip = tiny_encoder("hunyuan_video")
    assert encode_negative(clip, WORDS).prompts[0].length == len(own_ids("hunyuan_video", clip, WORDS))
