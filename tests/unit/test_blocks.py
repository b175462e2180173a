"""Pin how a choice of blocks is read: numbers and inclusive ranges from 0, empty for all."""

import pytest
from avert.guidance.blocks import parse_blocks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-11, 20", {*range(12), 20}),
        ("3", {3}),
        ("0", {0}),
        ("23", {23}),
        (" 1 - 3 ,5 ", {1, 2, 3, 5}),
        ("4-4", {4}),
        ("2,2,1-3", {1, 2, 3}),
        ("0-23", set(range(24))),
    ],
)
def test_numbers_and_ranges(text, expected):
    assert set(parse_blocks(text, 24)) == expected


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_empty_means_all(text):
    assert parse_blocks(text, 24) is None


@pytest.mark.parametrize("text", ["24", "0-24", "5-3", "-1", "a", "1;2", "1.5", "1-2-3", "1-", "0x3"])
def test_anything_else_is_refused_in_words(text):
    with pytest.raises(ValueError) as caught:
        parse_blocks(text, 24)
    assert len(str(caught.value)) > 20
