"""Check Avert Negative Prompt on the host's own text encoders: no padding stays, words keep their meaning, weights stand beside them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.text.amplify import amplify
from avert.host.amplified import amplified
from avert.host.encode import encode_negative
from avert.host.negative import Negative

from tiny_clip import encode, tiny_clip

CLIP_LENGTH = 77
KINDS = ("sd1", "sdxl", "sd3", "sd3_no_t5", "flux", "wan")
WORDS = "a man with glasses"


def real_tokens(clip: Any, text: str) -> dict[str, int]:
    """Count the tokens that are not padding: up to and with the first end token, asked of the host's tokenizer."""
    ends = {"l": 49407, "g": 49407, "t5xxl": 1, "umt5xxl": 1}
    counts = {}
    for key, chunks in clip.tokenize(text).items():
        ids = [[token[0] for token in chunk] for chunk in chunks]
        counts[key] = sum(chunk.index(ends[key]) + 1 for chunk in ids)
    return counts


def parts(kind: str, counts: dict[str, int]) -> tuple[int, int]:
    """Say how many rows of a kind's conditioning come from CLIP and from T5."""
    clip = 0 if kind in ("flux", "wan") else counts["l"]
    t5 = {"sd3": counts.get("t5xxl", 0), "flux": counts.get("t5xxl", 0), "wan": counts.get("umt5xxl", 0)}.get(kind, 0)
    return clip, t5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [WORDS, "glasses"])
def test_no_padding_stays(kind: str, text: str) -> None:
    clip = tiny_clip(kind)
    counts = real_tokens(clip, text)
    (prompt,) = encode_negative(clip, text).prompts
    assert prompt.length == sum(parts(kind, counts))
    names = {"l": "clip_l", "g": "clip_g", "t5xxl": "t5xxl", "umt5xxl": "umt5xxl"}
    absent = {"t5xxl"} if kind == "sd3_no_t5" else set()
    assert dict(prompt.tokens) == {names[key]: count for key, count in counts.items() if key not in absent}
    assert prompt.weights is None and prompt.text == text


@pytest.mark.parametrize("kind", KINDS)
def test_rows_mean_what_they_meant(kind: str) -> None:
    """CLIP's rows are the padded encoding's (it reads forwards); T5's are those of an encoding without padding, and differ from a slice."""
    clip = tiny_clip(kind)
    counts = real_tokens(clip, WORDS)
    n_clip, n_t5 = parts(kind, counts)
    (prompt,) = encode_negative(clip, WORDS).prompts
    padded = encode(clip, WORDS)[0][0]
    torch.testing.assert_close(prompt.embedding[:, :n_clip], padded[:, :n_clip])
    if n_t5 == 0:
        return
    key = "umt5xxl" if kind == "wan" else "t5xxl"
    tokens = clip.tokenize(WORDS)
    tokens[key] = [tokens[key][0][:n_t5]]
    exact = clip.encode_from_tokens_scheduled(tokens)[0][0][:, -n_t5:]
    torch.testing.assert_close(prompt.embedding[:, n_clip:], exact)
    if kind != "wan":  # UMT5 is masked by the host, so a slice is the same there
        start = CLIP_LENGTH if kind == "sd3" else 0
        sliced = padded[:, start : start + n_t5]
        assert (sliced - exact).norm() > 1e-2 * exact.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_stand_beside_the_words(kind: str) -> None:
    clip = tiny_clip(kind)
    (plain,) = encode_negative(clip, "a man with glasses today").prompts
    (weighted,) = encode_negative(clip, "a man with (glasses:1.4) today").prompts
    assert weighted.weights is not None and weighted.weights.dtype == torch.float32
    assert weighted.length == plain.length
    torch.testing.assert_close(weighted.embedding, plain.embedding)
    heavy = (weighted.weights - 1.4).abs() < 1e-6
    assert heavy.any() and ((weighted.weights == 1) | heavy).all()
    counts = real_tokens(clip, "glasses")
    # One run of the word's tokens per encoder; T5 may split the word after a space as it does alone.
    encoders = [size for size in parts(kind, counts) if size]
    assert int(heavy.sum()) >= len(encoders)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_zero_is_as_if_unwritten(kind: str) -> None:
    clip = tiny_clip(kind)
    assert encode_negative(clip, "(glasses:0)").prompts == ()
    (prompt,) = encode_negative(clip, "a man with (glasses:0) today").prompts
    (whole,) = encode_negative(clip, "a man with glasses today").prompts
    assert prompt.length < whole.length and prompt.weights is None


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_negatives_of_their_own(kind: str) -> None:
    clip = tiny_clip(kind)
    both = encode_negative(clip, "glasses\n\n   hat and scarf  \n")
    assert [prompt.text for prompt in both.prompts] == ["glasses", "hat and scarf"]
    torch.testing.assert_close(both.prompts[0].embedding, encode_negative(clip, "glasses").prompts[0].embedding)
    assert encode_negative(clip, " \n \n").prompts == () and encode_negative(clip, "").prompts == ()


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "sd3"])
def test_long_prompts_keep_every_chunk(kind: str) -> None:
    clip = tiny_clip(kind)
    text = " ".join(["glasses and hats"] * 40)
    counts = real_tokens(clip, text)
    assert counts["l"] > CLIP_LENGTH
    (prompt,) = encode_negative(clip, text).prompts
    assert prompt.length == sum(parts(kind, counts))
    first = CLIP_LENGTH
    torch.testing.assert_close(prompt.embedding[:, :first], encode(clip, text)[0][0][:, :first])


def test_what_cannot_be_encoded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tiny_clip("sd1")
    with pytest.raises(ValueError, match="below 0"):
        encode_negative(clip, "a (man:-0.5)")
    tokenize = type(clip).tokenize
    monkeypatch.setattr(type(clip), "tokenize", lambda self, text, **kw: {"qwen": tokenize(self, text, **kw)["l"]})
    with pytest.raises(ValueError, match="does not know this text encoder \\(qwen\\).*Text Encode"):
        encode_negative(clip, "glasses")


def test_amplify_is_the_papers_equation() -> None:
    p, empty = torch.randn(1, 5, 8, dtype=torch.float64), torch.randn(1, 3, 8, dtype=torch.float64)
    expected = p + 8.0 * (p - empty.mean(dim=1, keepdim=True))
    torch.testing.assert_close(amplify(p.float(), empty.float(), 8.0).double(), expected, rtol=1e-5, atol=1e-5)
    assert amplify(p.half(), empty.half(), 2.0).dtype == torch.float16


def test_amplified_keeps_the_kind_and_changes_nothing_in_place() -> None:
    clip = tiny_clip("flux")
    negative, empty = encode_negative(clip, "(glasses:1.2)\nhat"), encode(clip, "")
    before = [prompt.embedding.clone() for prompt in negative.prompts]
    stronger = amplified(negative, empty, 8.0)
    assert isinstance(stronger, Negative) and len(stronger.prompts) == 2
    for prompt, old, new in zip(negative.prompts, before, stronger.prompts, strict=True):
        assert torch.equal(prompt.embedding, old)
        torch.testing.assert_close(new.embedding, amplify(old, empty[0][0], 8.0))
        assert new.tokens == prompt.tokens and new.weights is prompt.weights
    assert amplified(negative, empty, 0.0) is negative
    plain = encode(clip, "glasses")
    torch.testing.assert_close(amplified(plain, empty, 2.0)[0][0], amplify(plain[0][0], empty[0][0], 2.0))
    assert torch.equal(amplified(plain, empty, 0.0)[0][0], plain[0][0])


def test_amplify_refuses_what_does_not_fit() -> None:
    flux, sd1 = encode(tiny_clip("flux"), "hat"), encode(tiny_clip("sd1"), "")
    with pytest.raises(ValueError, match="different text encoders"):
        amplified(flux, sd1, 8.0)
    with pytest.raises(ValueError, match="amount"):
        amplified(flux, flux, -1.0)
    with pytest.raises(ValueError, match="`empty` has no text"):
        amplified(flux, [], 1.0)


def test_a_negative_in_the_wrong_place_says_where_it_belongs() -> None:
    with pytest.raises(TypeError, match="connect it to the `negative` of an Avert node"):
        list(Negative())
