"""Check when questions are due, against the paper's list and by hand."""

import pytest
from avert.vlm.instructions import NAMES, instruction
from avert.vlm.schedule import PAPER, check_query_steps, query_steps


def test_the_papers_list_counts_the_steps_that_remain():
    assert query_steps(PAPER, 50) == (5, 6, 7, 9, 12, 16, 21, 27, 34, 42)


def test_it_is_rescaled_to_other_numbers_of_steps():
    assert query_steps(PAPER, 100) == (10, 12, 14, 18, 24, 32, 42, 54, 68, 84)
    # Remaining of 8: 7.2, 7.04, 6.88, 6.56, 6.08, 5.44, 4.64, 3.68, 2.56, 1.28.
    assert query_steps(PAPER, 8) == (1, 2, 3, 4, 5, 7)
    assert query_steps(PAPER, 1) == (0,)
    assert query_steps("1 of 2", 3) == (1,)  # 1.5 remaining is 2


def test_without_a_whole_the_numbers_are_this_runs():
    assert query_steps("6, 4,2", 8) == query_steps(" 6,,4; 2,\n", 8) == (2, 4, 6)
    assert query_steps("20, 8 0", 8) == (0,)  # 20 remaining lie before the run, 0 remaining after it


@pytest.mark.parametrize(("written", "expected"), [("every", (1, 2, 3, 4, 5)), ("every 2", (1, 3, 5)), ("Every 4 steps", (1, 5))])
def test_every_so_many(written, expected):
    assert query_steps(written, 6) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        "often",
        "5 of",
        "every 0",
        "60 of 50",
        "5 of 0",
        "-3",
        "1.5",
        "5 of 50 of 100",
        "9" * 4000 + "x",
        "9" * 5000,
        "every " + "9" * 5000,
    ],
)
def test_what_cannot_be_read_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match="query_steps.*of 50"):
        check_query_steps(written)


@pytest.mark.parametrize("name", NAMES)
def test_each_instruction_says_what_to_do_when_there_is_nothing(name):
    told = instruction(name, "hats, glasses", most=5)
    assert "answer: none" in told.system and "at most 5" in told.system and told.question
    assert ("hats, glasses" in told.system) == (name == "custom")


def test_other_languages_are_answered_in_english():
    assert "English" in instruction("custom", "\u5e3d\u5b50").system and "English" not in instruction("custom", "hats").system


def test_an_instruction_needs_words_or_a_known_name():
    with pytest.raises(ValueError, match="look_for"):
        instruction("custom", "  ")
    with pytest.raises(ValueError, match="safety"):
        instruction("nonsense")
    with pytest.raises(ValueError, match="`look_for` has 200000 characters"):
        instruction("custom", "hat " * 50_000)


def test_an_instruction_knows_its_own_words():
    """Answers that say them again are told by them; the words of the user are not among them."""
    for name in NAMES:
        told = instruction(name, "hats, glasses")
        assert told.question in told.ours and "hats" not in told.ours and "answer: none" in told.ours
        assert told.sought == {"safety": "kinds", "artefacts": "faults", "watermark and text": "kinds"}.get(name, "contents")
