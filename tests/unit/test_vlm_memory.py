"""Check what is in force after each answer, and that a transcript says it again."""

import dataclasses
import json

import pytest
from avert.vlm.answer import Reading
from avert.vlm.memory import Avoided
from avert.vlm.transcript import ANSWER_CHARACTERS, SAVED_CHARACTERS, Entry, Transcript, brief, read_transcripts, same_run


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
    (again,) = read_transcripts(SAID.written())
    assert again == SAID
    assert again.at(3) == {0: ("hat",)} and again.at(6) == {0: (), 1: ("moon", "big sun")} and again.at(4) == {}


def test_a_whole_report_has_it_too():
    assert read_transcripts(json.dumps({"family": "SD3", "watched": [json.loads(SAID.written())]})) == (SAID,)


def test_long_answers_are_cut_but_negatives_are_not():
    entry = Entry(1, 0, "phrases", "x" * 10_000, ("hat",), 2, 0.1)
    told = Transcript(8, 1, (entry,))
    (again,), (saved,) = read_transcripts(told.written()), read_transcripts(json.dumps(brief(told.plain())))
    assert [len(one.entries[0].answer) for one in (again, saved)] == [ANSWER_CHARACTERS, SAVED_CHARACTERS]
    assert again.words == saved.words == told.words == ((2, 0, ("hat",)),)


def changed(**values):
    whole = json.loads(SAID.written())
    whole["entries"][0].update(values)
    return json.dumps(whole)


@pytest.mark.parametrize(
    "text",
    [
        "", "no json", "[]", "{}", "[" * 100_000, '{"avert_transcript": 2, "steps": 1, "pictures": 1, "label": "", "sigmas": [1, 0], "entries": []}',
        SAID.written()[:-5], changed(asked=-1),
        json.dumps({**SAID.plain(), "number": -1}), json.dumps({**SAID.plain(), "sampler": 7}),
        changed(asked=True), changed(negative="hat"), changed(negative=[1]), changed(picture="0"), changed(seconds=None), " " * 3_000_000,
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_sentence(text):
    with pytest.raises(ValueError, match="^The transcript"):
        read_transcripts(text)


def test_a_run_finds_its_own_transcript():
    """By steps, pictures and noise levels; then by its noise, by where it was made and for whom, and by what guided."""
    first = Transcript(1000, 1, (), "a", (1.0, 0.0), "n1", "VSF", "7", 0, "4")
    others = [
        dataclasses.replace(first, **{name: value})
        for name, value in {
            "noise": "n2", "by": "NAG", "sigmas": (0.6, 0.0), "pictures": 2, "steps": 1001, "sampler": "8", "number": 1, "watcher": "5",
        }.items()
    ]  # fmt: skip
    known = [*others, first]
    for one in known:
        assert same_run(known, dataclasses.replace(one, entries=SAID.entries)) == [one]
    # Counts are counts, noise levels are as exact as hosts and formats keep them.
    assert same_run(known, dataclasses.replace(first, steps=999)) == [] == same_run([], first)
    assert same_run(known, dataclasses.replace(first, sigmas=(1.0005, 0.0))) == [first]
    assert same_run(known, dataclasses.replace(first, sigmas=(0.9, 0.0))) == []


def test_what_is_told_apart_by_nothing_is_all_found():
    """In another workflow nodes have other ids; the noise and the number of the run are the same."""
    first = Transcript(8, 1, (), "a", (1.0, 0.0), "n1", "VSF", "7", 0, "4")
    second, third = dataclasses.replace(first, number=1), dataclasses.replace(first, noise="n2", sampler="9", watcher="8", number=1)
    run = dataclasses.replace(first, sampler="9", watcher="8", number=1)
    assert same_run([first, second, third], run) == [second]
    assert same_run([first, second, second], run) == [second, second]
    # Of the same node with another seed: its own.
    assert same_run([first, second, third], dataclasses.replace(run, noise="n3")) == [third]


def test_transcripts_of_earlier_versions_are_read():
    """They do not tell where they were made."""
    old = {name: value for name, value in SAID.plain().items() if name not in ("noise", "by", "sampler", "number", "watcher")}
    assert read_transcripts(json.dumps(old)) == (SAID,)
    run = dataclasses.replace(SAID, noise="n1", by="VSF", sampler="7", number=2, watcher="4", entries=())
    assert same_run([SAID], run) == [SAID]


def test_of_several_sources_those_of_the_label_are_read():
    labels = [json.loads(dataclasses.replace(SAID, label=label).written()) for label in ("a", "b", "b")]
    assert [one.label for one in read_transcripts(json.dumps({"watched": labels}), "b")] == ["b", "b"]
    assert len(read_transcripts(json.dumps({"watched": labels[1:]}), "c")) == 2
    with pytest.raises(ValueError, match="^The transcript"):
        read_transcripts(json.dumps({"watched": labels}), "c")
    with pytest.raises(ValueError, match="^The transcript"):
        read_transcripts(json.dumps({"watched": []}), "c")
