"""Check how the demo world reads words: ids that never move, plural and capital, commas, padding, and the text encoder that reads them."""

from __future__ import annotations

import pytest
import torch
from avert.demo.model.text_encoder import TextEncoder
from avert.demo.model.tokenizer import END, LENGTH, PAD, SIZE, SPECIAL, START, UNKNOWN, encode, padded, split, vocabulary, word_id
from avert.demo.model.words import WORDS


def test_special_tokens_come_first() -> None:
    assert (PAD, START, END, UNKNOWN) == (0, 1, 2, 3)
    assert len(SPECIAL) == 4 and list(vocabulary())[:4] == list(SPECIAL)


def test_words_fit_and_follow_in_their_order() -> None:
    assert len(set(WORDS)) == len(WORDS) <= SIZE - len(SPECIAL)
    assert [word_id(word) for word in WORDS] == list(range(4, 4 + len(WORDS)))
    assert [split(word) for word in WORDS] == [[word] for word in WORDS]


def test_ids_are_those_that_the_weights_were_trained_with() -> None:
    """Appending words is allowed; anything else makes the committed weights read other words."""
    assert encode("a red house with a chimney and smoke") == [4, 14, 31, 7, 4, 49, 8, 50]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Chimneys,", "chimney"), ("HOUSE", "house"), ("apples", "apple"), ("(hat)", "hat"), ("house's", "house"), ("houses'", "house"),
        ("boxes", "box"), ("leaf", "leaves"), ("glass", "glasses"), ("leaves", "leaves"), ("glasses", "glasses"),
    ],
)  # fmt: skip
def test_forms_of_a_word(text: str, word: str) -> None:
    expected = vocabulary().get(word, UNKNOWN)
    assert encode(text) == [expected]
    assert (expected == UNKNOWN) == (word == "box")


def test_text_is_split_at_everything_that_is_no_letter() -> None:
    assert split("A red-roofed House, 2 cats; (hat:1.3)\nand_sun") == ["a", "red", "roofed", "house", "cats", "hat", "and", "sun"]
    assert split("") == split(" ,.;:12 3_ ") == []


def test_what_the_world_does_not_know() -> None:
    assert encode("zebra été") == [UNKNOWN, UNKNOWN]
    assert encode("as ins") == [UNKNOWN, UNKNOWN]
    assert encode("<pad> <start>") == [UNKNOWN, UNKNOWN]


def test_padding() -> None:
    assert padded("") == [START, END] + [PAD] * (LENGTH - 2)
    assert padded("red hat") == [START, *encode("red hat"), END] + [PAD] * (LENGTH - 4)
    full = " ".join(["hat"] * (LENGTH - 2))
    assert padded(full) == padded(full + " red house") == [START, *encode(full), END]


def test_text_encoder_reads_forwards_only() -> None:
    """So padding after a text changes nothing before it, and a negative may be encoded without."""
    torch.manual_seed(0)
    encoder = TextEncoder()
    ids = padded("a red house")
    whole = encoder(torch.tensor([ids]))
    assert whole.shape == (1, LENGTH, 128)
    torch.testing.assert_close(encoder(torch.tensor([ids[:5]])), whole[:, :5], atol=1e-5, rtol=1e-5)
    other = encoder(torch.tensor([padded("a blue house")]))
    torch.testing.assert_close(other[:, :2], whole[:, :2], atol=1e-5, rtol=1e-5)
    assert (other[:, 2:] - whole[:, 2:]).abs().max() > 1e-2
