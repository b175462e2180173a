"""Try answers as vision-language models really give them: each is read, or safely left alone.

answers.json holds them, read by hand: answer, kind, phrases; by groups, the name of some of which ends with the instruction that was given ("captions (safety)").
"""

import itertools
import json
import re
import time
from pathlib import Path

import pytest
from avert.vlm import answer as answers
from avert.vlm.answer import MOST_CHARACTERS, MOST_WORDS, READ_CHARACTERS, bare_name, spoken
from avert.vlm.instructions import NAMES, instruction
from avert.vlm.reading import languages

CORPUS = json.loads(Path(__file__).with_name("answers.json").read_text(encoding="utf-8"))
ASKED = {name: instruction(name, "hats, glasses, smoke") for name in NAMES}
CASES = [(group, *case) for group, cases in CORPUS.items() for case in cases]


def asked_in(group):
    named = re.search(r"\((.*)\)$", group)
    return named[1] if named else "custom"


def read_answer(answer, most=8, group=""):
    return answers.read_answer(answer, most, ASKED[asked_in(group)])


@pytest.fixture(autouse=True)
def nothing_goes_wrong(request, caplog):
    """A mistake in the reader is logged and makes an answer unreadable: here it fails."""
    yield
    wrong = [record.exc_text or record.getMessage() for record in caplog.get_records("call") if record.name == answers.__name__]
    assert not wrong or "goes_wrong" in request.node.name, wrong[0]


@pytest.mark.parametrize("group", CORPUS)
def test_answers_are_read(group):
    """What was named is named, what was denied is not, and nothing else is either."""
    wrong = [
        f"{answer!a}: {reading.kind} {list(reading.phrases)!a}, not {kind} {phrases!a}"
        for answer, kind, phrases in CORPUS[group]
        if ((reading := read_answer(answer, group=group)).kind, list(reading.phrases)) != (kind, phrases)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_corpus_says_each_thing_once():
    assert len(CASES) > 700 and len({(asked_in(group), answer) for group, answer, _, _ in CASES}) == len(CASES)
    assert all(bool(phrases) == (kind == "phrases") for _, _, kind, phrases in CASES)


def test_each_word_of_a_language_is_tried():
    """What no answer of the corpus uses does not stand in the vocabulary."""
    said = [spoken(answer) or "" for _, answer, _, _ in CASES]
    chosen = [(languages.languages_of(text), text) for text in said]
    unused = [
        f"{name}: {fragment!a}"
        for name, language in languages.vocabulary().items()
        for _, fragment in language.entries
        if not any(name in names and re.search(fragment, text, re.IGNORECASE) for names, text in chosen)
    ]
    assert not unused, "\n" + "\n".join(unused)


def test_what_was_read_is_read_the_same_way_again():
    """A transcript's phrases go through `bare_name` when they are replayed."""
    for group, answer, _, _ in CASES:
        for phrase in read_answer(answer, group=group).phrases:
            assert bare_name(phrase) == phrase


@pytest.mark.parametrize("wrapped", ["<think>The moon.</think>\n{}", "{}<|im_end|>\n", "\n\n{}  \n", "ASSISTANT: {}", "```\n{}\n```"])
def test_what_stands_around_an_answer_changes_nothing(wrapped):
    for group, answer, kind, phrases in CASES:
        if group in ("short lists", "nothing", "denials", "chinese", "german") and answer.strip() and kind in ("phrases", "nothing"):
            reading = read_answer(wrapped.format(answer))
            assert (reading.kind, list(reading.phrases)) == (kind, phrases), ascii(answer)


FOUND = [
    "a knife", "there is a knife", "a knife is visible", "knives are visible", "knife: yes", "weapon: knife", "I see a knife", "knife (yes)", "knife - on the table",
    "a man holding a knife", "knife present", "visible: knife", "the image contains a knife", "knife: 1", "only a knife",
]  # fmt: skip
DENIED = [
    "no hats", "there are no hats", "hats: none", "hats are not visible", "I see no hats", "hats (none)", "no hats are visible", "hat not visible", "hats: 0",
    "I don't see any hats", "hats absent", "no hats or glasses", "neither hats nor glasses", "the image does not show hats", "hats, glasses: none", "free of hats",
    "hats - not present", "not visible: hats",
]  # fmt: skip


@pytest.mark.parametrize("joined", [", ", "; ", ". ", "\n", ", but ", " but ", ", and ", ". However, ", " while ", " - ", "\n- "])
def test_what_was_found_beside_a_denial_is_not_denied_and_what_was_denied_is_not_named(joined):
    """Whatever the order; where that cannot be told, the answer is unreadable."""
    bullet = joined[1:] if joined[0] == "\n" else ""
    for found, denied in itertools.product(FOUND, DENIED):
        for first, second in ((found, denied), (denied, found)):
            answer = f"{bullet}{first}{joined}{second}."
            joint = second == "hats are not visible" and "and" in joined or first == "not visible: hats" and joined in (", ", ", and ")
            reading = read_answer(answer)
            assert reading.kind != "nothing" or joint, answer
            assert not any("hat" in phrase or "glasses" in phrase for phrase in reading.phrases) or (joined, found) == (
                " - ",
                "weapon: knife",
            ), answer


def test_no_more_than_asked_for():
    assert read_answer("apple, bee, cat", most=2).phrases == ("apple", "bee")


@pytest.mark.parametrize(
    "answer",
    [
        "(hat:1.9), [glasses], {moon}",
        "((hat)), hat:8, (hat:-3)",
        "embedding:evil, hat",
        "embedding:\nevil\nhat",
        "<lora:evil:1> hat",
        "hat \\(red\\)",
        'a "hat", `rm -rf`',
        "<script>alert(1)</script>hat",
        "__hat__, {hat|moon}, %hat%, hat::2, hat$$3, @hat",
        "\uff08hat\uff1a1.9\uff09, \uff1clora\uff1aevil\uff1a1\uff1e",
        json.dumps(["(hat:1.5)", "embedding:evil", "<lora:x:1>"]),
        json.dumps({"(hat:1.5)": True, "embedding:evil": True}),
        "| Thing | There |\n|---|---|\n| (hat:1.5) | yes |\n| embedding:evil | yes |",
    ],
)
def test_an_answer_cannot_set_weights_or_load_files(answer):
    """Parentheses, brackets and `embedding:` mean something in the host's prompts; `<...>` does in other packs'."""
    phrases = read_answer(answer).phrases
    assert phrases
    for phrase in phrases:
        assert not set(phrase) & set('()[]{}<>\\:|"`*_%$@#/') and "evil" not in phrase


def test_only_what_shows_and_means_nothing_to_a_prompt_comes_through():
    for group, answer, _, _ in CASES:
        for phrase in read_answer(answer, group=group).phrases:
            assert all(c.isalnum() or c in " '-.&!" or ord(c) > 127 for c in phrase) and phrase == " ".join(phrase.split())


HOSTILE = [
    "x",
    "hat,", "(" * 50, "[" * 5000, '{"a":' * 5000, "- hat\n", "<think>", "</think>", "hat and ", "\u202e", " ", "\n", "no ", "a ", ",",
    "not a ", "<", "< ", '["', "'", '"', "hat: ", "hat - ", "hat (", "| no ", "|---|\n", "? ", "hat? no. ", "there is ", "no, there is ",
    "\u6ca1\u6709", "\u56fe\u7247\u4e2d\u6709", "and i ", "in the image ", "visible ", "is visible in ", "without ", "but ", "{}", "[]",
    "[1,", "['a',", "- [ ] ", "#", "*", "coming from ", "embedding:", "<|end|>", "nein ", "free of ", "not present - ", "1. ", "\\boxed{",
    "answer:\n", "the man is ", "ignore ", "\u25c1think\u25b7", "<a>", "```", "i see ", "no hat ", "sin ", "none. ", "\\",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_a_hundred_thousand_characters_are_read_at_once_and_safely(piece):
    reading = read_answer(piece * (100_000 // len(piece) + 1), most=8)
    assert len(reading.phrases) <= 8
    assert all(len(phrase) <= MOST_CHARACTERS and len(phrase.split()) <= MOST_WORDS for phrase in reading.phrases)
    assert len(bare_name(piece * (100_000 // len(piece) + 1))) <= MOST_CHARACTERS


@pytest.mark.parametrize("raised", [RecursionError, ValueError])
def test_what_goes_wrong_in_the_reader_ends_no_run(raised, monkeypatch, caplog):
    def fail(*_):
        raise raised

    monkeypatch.setattr(answers, "read_lines", fail)
    assert read_answer("hat, smoke").kind == "unreadable" and raised.__name__ in caplog.text


@pytest.mark.parametrize("piece", ["list: ", "\u7b54\u6848\uff1a", "found (", "here - ", ") list ("], ids=ascii)
def test_lists_in_lists_in_lists_are_read_at_once(piece):
    began = time.perf_counter()
    assert read_answer(piece * 600 + "hat").kind == "unreadable" and time.perf_counter() - began < 1


def test_a_long_thought_does_not_hide_its_answer():
    assert read_answer("<think>" + "The moon. " * 20_000 + "</think>hat").phrases == ("hat",)
    assert len(spoken("hat, " * 20_000) or "") <= READ_CHARACTERS
