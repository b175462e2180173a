"""Check how a judge's answers are read, and what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from avert.benchmarks.harness.answers import share, yes_or_no
from avert.benchmarks.harness.judge import DEMO, NAMING, QUESTIONS, Verdict, Watcher, check_pairs, fingerprint, names
from avert.benchmarks.harness.pairs import Pair
from avert.benchmarks.harness.trouble import UserError
from avert.vlm.backend import Query
from PIL import Image

PAIR = Pair(7, "part", "a house", "a chimney, smoke", "Is there a house?", "Is there a chimney?", "house")


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("Yes.", True), ("no", False), ("YES", True), ("**No**, there is none", False), ("No, there are no wheels.", False), ("Yes!", True),
        ("Yes - it leans on a wall.", True), ("No\n\nThe bicycle has no wheels.", False), ("Yes, but no spokes are visible.", True),
        ("<think>No wheels? Yes, there are.</think>\nYes", True), ("Answer: no", False), ("The answer is **Yes**.", True), ('{"answer": "no"}', False),
        ("There are spokes and a rim. So the final answer is yes.", True), ("I see a rim.\n\nYes.", True), ("$\\boxed{No}$", False),
        ('"Yes"', True), ("`no`", False), ("- Yes", True), ("True", True), ("false.", False), ("Yes there is a hat", True), ("No it is bare", False),
        ("<answer>no</answer>", False), ("Yes (partly visible)", True), ("No. Answer: yes", True), ("*yes*", True), ("Yes\u2014two of them", True),
    ],
)  # fmt: skip
def test_yes_and_no_are_read(answer: str, meant: bool) -> None:
    assert yes_or_no(answer) is meant


@pytest.mark.parametrize(
    "answer",
    [
        "", "   ", "Maybe.", "I cannot tell.", "Yes and no.", "yes/no", "<think>Yes, I think", "There is a hat.", "There is no hat.", "No wheels are visible.",
        "A wheel is visible.", "Yesterday", "nothing", "None", "Not sure", "Know", "0", "Yes. On a second look, no.", "unknown", "No-one is there",
    ],
)  # fmt: skip
def test_what_is_neither_is_no_answer(answer: str) -> None:
    assert yes_or_no(answer) is None


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("0.8", 0.8), ("0.85.", 0.85), ("8/10", 0.8), ("80%", 0.8), ("80 percent", 0.8), ("Quality: 0.7", 0.7), ("**0.9**", 0.9), (".5", 0.5), ("0,75", 0.75), ("1", 1.0),
        ("0", 0.0), ("1.0", 1.0), ("4 out of 5", 0.8), ("I would rate it 0.6 out of 1.", 0.6), ("<think>1? 0.2?</think> 0.4", 0.4), ("85/100", 0.85),
        ("On a scale from 0 to 1, the quality is 0.95.", 0.95), ("0.8 (the picture shows 2 bicycles)", 0.8), ("It shows 2 bicycles.\nScore: 0.3", 0.3),
        ("Between 0 (ruined) and 1 (flawless): 0.7", 0.7), ("$\\boxed{0.9}$", 0.9), ('{"quality": 0.65}', 0.65), ("Rating (0-1): 0.55", 0.55), ("0.9/1", 0.9),
        ("Score: 0.3\nOn reflection, score: 0.4", 0.4),
    ],
)  # fmt: skip
def test_marks_are_read(answer: str, meant: float) -> None:
    assert share(answer) == pytest.approx(meant)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "good",
        "8",
        "85",
        "-0.5",
        "1.5",
        "12/10",
        "3/7",
        "8/0",
        "<think>0.8",
        "2 bicycles and 1 tree",
        "from 0 to 1",
        "between 0.4 and 0.6",
        "1.2.3",
    ],
)
def test_what_is_no_mark_is_no_answer(answer: str) -> None:
    assert share(answer) is None


@pytest.mark.parametrize(
    ("thing", "said", "there"),
    [
        ("hat", ("hat",), True), ("a hat", ("red hats",), True), ("Hats", ("hat",), True), ("red hat", ("hat",), False), ("hat", ("chat",), False),
        ("sepia style", ("sepia",), True), ("style", ("style",), True), ("glass", ("glasses",), False), ("smoke", (), False), ("a", ("a",), False),
    ],
)  # fmt: skip
def test_named_things_are_found(thing: str, said: tuple[str, ...], there: bool) -> None:
    assert names(thing, said) is there


class Backend:
    """Answer from a list, and keep what was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), []

    def ask(self, query: Query) -> list[str]:
        self.asked.append((query.instruction.system + "\n" + query.instruction.question, tuple(query.pictures[0].shape)))
        return [self.answers.pop(0)]


def judge_with(monkeypatch: pytest.MonkeyPatch, way: str, *answers: str) -> tuple[Watcher, Backend]:
    judge, backend = Watcher(DEMO, way, Path("nowhere"), "cpu"), Backend(*answers)
    monkeypatch.setattr(judge, "_loaded", lambda: backend)
    return judge, backend


def look(judge: Watcher, pair: Pair = PAIR) -> Verdict:
    return judge.look(Image.new("RGB", (6, 4)), pair)


def test_three_questions_are_asked_each_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, backend = judge_with(monkeypatch, QUESTIONS, "Yes.", "I cannot say", "8/10")
    assert look(judge) == Verdict(True, None, 0.8, ("Yes.", "I cannot say", "8/10"))
    told = [text for text, _ in backend.asked]
    assert [shape for _, shape in backend.asked] == [(4, 6, 3)] * 3
    assert PAIR.question_positive in told[0] and PAIR.question_negative in told[1] and "a chimney, smoke" in told[2]
    assert all(line in judge.asks(PAIR) for text in told for line in text.splitlines())


@pytest.mark.parametrize(
    ("said", "positive", "negative"),
    [
        ("house, smoke", True, True), ("house", True, False), ("none", False, False), ("chimney", False, True), ("I'm sorry, I cannot help", None, None),
        ("", None, None), ("<think>house", None, None),
    ],
)  # fmt: skip
def test_what_is_named_is_there(monkeypatch: pytest.MonkeyPatch, said: str, positive: Any, negative: Any) -> None:
    judge, backend = judge_with(monkeypatch, NAMING, said)
    assert look(judge) == Verdict(positive, negative, None, (said,))
    assert "house, a chimney, smoke" in backend.asked[0][0] and backend.asked[0][0] == judge.asks(PAIR)


def test_naming_needs_the_thing() -> None:
    bare = Pair(3, "c", "a house", "smoke", "?", "?")
    check_pairs([bare], QUESTIONS)
    check_pairs([PAIR], NAMING)
    with pytest.raises(UserError, match="pair 3 has none"):
        check_pairs([PAIR, bare], NAMING)


def test_a_folder_without_a_model_and_a_missing_host_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of a vision-language model"):
        Watcher(str(tmp_path), QUESTIONS, tmp_path, "cpu")
    with pytest.raises(UserError, match="name its folder by --comfyui"):
        Watcher(DEMO, NAMING, tmp_path, "cpu").check()


def test_a_judge_that_fails_is_told_and_long_thoughts_are_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, backend = judge_with(monkeypatch, QUESTIONS, f"<think>{'No. ' * 999}</think>Yes", "No", "1")
    verdict = look(judge)
    assert (verdict.positive, verdict.negative, verdict.quality) == (True, False, 1.0)
    assert len(verdict.said[0]) < 2100 and verdict.said[0].endswith("</think>Yes")
    with pytest.raises(UserError, match="The judge failed: pop from empty list"):
        look(judge)


def test_identity_changes_with_the_weights_and_the_way(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"abd")
    assert fingerprint(tmp_path) != before
    ways = {Watcher(str(tmp_path), way, tmp_path, "cpu").identity for way in (QUESTIONS, NAMING)}
    assert len(ways) == 2 and Watcher(DEMO, NAMING, tmp_path, "cpu").identity not in ways
