"""Check what is in force after each answer, and that a transcript says it again."""

import json

import pytest
from avert.vlm.answer import Reading
from avert.vlm.memory import Avoided
from avert.vlm.transcript import ANSWER_CHARACTERS, Entry, Transcript, read_transcript


def named(*phrases):
    return Reading(phrases, "phrases" if phrases else "nothing")


def test_replace_keeps_the_latest_answer_only():
    avoided = Avoided("replace", 2, 8)
    assert avoided.hear(0, named("hat", "moon")) and avoided.phrases == [("hat", "moon"), ()]
    assert avoided.hear(0, named("moon")) and avoided.phrases[0] == ("moon",)
    assert not avoided.hear(0, named("moon"))
    assert avoided.hear(0, named()) and avoided.phrases == [(), ()]


def test_accumulate_adds_up_and_forgets_the_oldest():
    avoided = Avoided("accumulate", 1, 3)
    avoided.hear(0, named("hat", "moon"))
    assert not avoided.hear(0, named())
    avoided.hear(0, named("Hat", "bee"))
    assert avoided.phrases == [("moon", "Hat", "bee")]
    avoided.hear(0, named("sun"))
    assert avoided.phrases == [("Hat", "bee", "sun")]


@pytest.mark.parametrize("mode", ["replace", "accumulate"])
@pytest.mark.parametrize("kind", ["refused", "unreadable"])
def test_an_answer_that_says_nothing_leaves_the_last_good_one(mode, kind):
    avoided = Avoided(mode, 1, 8)
    avoided.hear(0, named("hat"))
    assert not avoided.hear(0, Reading((), kind)) and avoided.phrases == [("hat",)]


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="replace, accumulate"):
        Avoided("add", 1, 8)


SAID = Transcript(
    20,
    2,
    (
        Entry(2, 0, "phrases", "a hat!\u202e <b>", ("hat",), 3, 0.25),
        Entry(2, 1, "nothing", "none", (), None, 0.25),
        Entry(5, 0, "nothing", "none", (), 6, 0.2),
        Entry(5, 1, "phrases", "moon", ("moon", "big sun"), 6, 0.2),
    ),
)


def test_a_transcript_is_read_as_it_was_written():
    again = read_transcript(SAID.written())
    assert again == SAID
    assert again.at(3) == {0: ("hat",)} and again.at(6) == {0: (), 1: ("moon", "big sun")} and again.at(4) == {}


def test_a_whole_report_has_it_too():
    assert read_transcript(json.dumps({"family": "SD3", "watched": [json.loads(SAID.written())]})) == SAID


def test_long_answers_are_cut_but_negatives_are_not():
    entry = Entry(1, 0, "phrases", "x" * 10_000, ("hat",), 2, 0.1)
    assert len(read_transcript(Transcript(8, 1, (entry,)).written()).entries[0].answer) == ANSWER_CHARACTERS


def changed(**values):
    whole = json.loads(SAID.written())
    whole["entries"][0].update(values)
    return json.dumps(whole)


@pytest.mark.parametrize(
    "text",
    [
        "", "no json", "[]", "{}", "[" * 100_000, '{"avert_transcript": 2, "steps": 1, "pictures": 1, "label": "", "sigmas": [1, 0], "entries": []}',
        SAID.written()[:-5], changed(asked=-1),
        changed(asked=True), changed(negative="hat"), changed(negative=[1]), changed(picture="0"), changed(seconds=None), " " * 3_000_000,
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_sentence(text):
    with pytest.raises(ValueError, match="^The transcript"):
        read_transcript(text)
