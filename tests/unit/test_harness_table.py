"""Check the harness's intervals against known values, its table, its contact sheet, and that verdicts are asked for once."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from avert.benchmarks.harness.contact import sheet, spread
from avert.benchmarks.harness.intervals import difference, mean, paired, share, wilson
from avert.benchmarks.harness.judge import Verdict
from avert.benchmarks.harness.pairs import Pair
from avert.benchmarks.harness.pictures import Job, Shown
from avert.benchmarks.harness.table import About, Results, as_json, markdown
from avert.benchmarks.harness.verdicts import Judged, judge_all
from avert.benchmarks.harness.workflow import Workflow
from PIL import Image

PAIRS = [Pair(number, "part" if number % 2 else "sty|le", f"a thing {number}", "hat, <b>", "?", "?", "thing") for number in range(1, 7)]


def test_wilson_is_the_textbooks() -> None:
    """Newcombe (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for found, size, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        assert wilson(found / size, size) == pytest.approx((low, high), abs=5e-5)
        found_of = share([[1.0]] * found + [[0.0]] * (size - found))
        assert found_of == pytest.approx((found / size, low, high, size), abs=5e-5)


def test_pictures_of_a_pair_that_agree_count_once() -> None:
    once, twice = share([[1.0]] * 3 + [[0.0]] * 7), share([[1.0, 1.0]] * 3 + [[0.0, 0.0]] * 7)
    assert twice == pytest.approx((*once[:3], 20))
    alike, sure = share([[1.0] * 4] * 10), share([[1.0]] * 10)
    assert alike == pytest.approx((*sure[:3], 40))
    apart = share([[1.0, 0.0]] * 10)
    assert apart[1:3] == pytest.approx(wilson(0.5, 20))


def test_intervals_of_shares_hold_the_truth_as_often_as_they_say() -> None:
    """Pairs with a chance of their own, three pictures each."""
    rng, held = random.Random(5), 0
    for _ in range(400):
        chances = [rng.choice((0.1, 0.9)) for _ in range(40)]
        found = share([[float(rng.random() < chance) for _ in range(3)] for chance in chances])
        held += found.low <= 0.5 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_means_are_drawn_over_pairs() -> None:
    groups = [[0.5, 0.7], [0.9], [], [0.1, 0.3]]
    found = mean(groups)
    assert found == mean(groups) and found.value == pytest.approx(0.5) and found.count == 5
    assert 0.1 < found.low < 0.5 < found.high < 0.95
    rng = random.Random(1)
    many = [[rng.gauss(0.6, 0.1)] for _ in range(200)]
    assert mean(many).high - mean(many).low == pytest.approx(2 * 1.96 * 0.1 / math.sqrt(200), rel=0.2)


def test_differences_are_bonett_and_prices() -> None:
    """(f12 + 1) / (n + 2) and (f21 + 1) / (n + 2), n = 40, 12 better and 3 worse."""
    found = difference([[1.0]] * 12 + [[-1.0]] * 3 + [[0.0]] * 25)
    up, down = 13 / 42, 4 / 42
    half = 1.959964 * math.sqrt((up + down - (up - down) ** 2) / 42)
    assert found == pytest.approx((9 / 40, up - down - half, up - down + half, 40))
    same = difference([[0.0]] * 50)
    assert same.value == 0 and 0.03 < same.high == -same.low < 0.1


def test_pictures_without_an_answer_are_left_out_on_both_sides() -> None:
    assert paired([[1.0, None, 0.0], [None]], [[0.0, 1.0, 1.0], [1.0]]) == [[-1.0, 1.0], []]
    assert [math.isnan(make([[], []]).value) for make in (share, mean, difference)] == [True] * 3


def picture(folder: Path, name: str, pair: Pair, turn: int) -> Shown:
    path = folder / f"{name}_{pair.number}_{turn}.png"
    Image.new("RGB", (30, 20), (pair.number * 30, 0, 0)).save(path)
    return Shown(Job(Workflow(name, {}, (), frozenset()), pair, turn), path, path.name)


def judged(folder: Path) -> list[Judged]:
    """Three workflows, two turns; the second leaves the negative out of half of the pairs, the third has answers missing."""
    told = []
    for name in ("without", "with", "si<lent"):
        for pair in PAIRS:
            for turn in (0, 1):
                verdict = Verdict(True, name == "without" or pair.number > 3, 0.5 + 0.1 * turn, ("a", "b"))
                silent = Verdict(None, False if turn else None, None, ())
                told.append(Judged(picture(folder, name, pair, turn), silent if name == "si<lent" else verdict))
    return told


def results(folder: Path, way: str = "questions") -> Results:
    return Results(judged(folder), PAIRS, About("a judge", way, 2))


def test_table_says_what_was_judged(tmp_path: Path) -> None:
    found = results(tmp_path)
    assert found.estimate("with", "negative").value == 0.5 and found.estimate("without", "negative").value == 0
    assert found.estimate("with", "both").value == 0.5 and found.estimate("si<lent", "both").count == 0
    assert found.apart("with", "negative").value == 0.5 and found.apart("with", "quality").value == 0
    assert found.apart("si<lent", "negative").count == 6
    text = markdown(found)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "6 pairs, 2 seeds each. Judge: a judge, by questions." in text and "0.550 [" in lines["without"]
    assert lines["si&lt;lent"].endswith("positive 12, negative 6, quality 12 |") or "+1.000" in lines["si&lt;lent"]
    assert "| with | 12 | 1.000 [0.61, 1.00] | 0.500 [0.19, 0.81] | 0.500 [0.19, 0.81] | 0.550 [0.55, 0.55] | none |" in text
    assert "positive 12, negative 6, quality 12 |" in text and "| sty\\|le | 3 |" in text and "## Higher than without by" in text


def test_table_of_naming_has_no_quality(tmp_path: Path) -> None:
    text = markdown(results(tmp_path, "naming"))
    assert "| workflow | pictures | positive | negative | both | no answer |" in text and "quality 12" not in text


def test_numbers_are_json(tmp_path: Path) -> None:
    content = json.loads(as_json(results(tmp_path)))
    assert content["workflows"]["with"]["negative"]["value"] == 0.5 and content["workflows"]["si<lent"]["quality"]["value"] is None
    assert content["pairs"][0]["verdicts"]["with"][1] == {"positive": True, "negative": False, "quality": 0.6, "said": ["a", "b"]}


def test_contact_sheet_has_a_row_for_each_pair(tmp_path: Path) -> None:
    drawn = sheet(judged(tmp_path), PAIRS, 4)
    assert drawn.size == (250 + 3 * 216, 30 + 4 * 238) and len(drawn.getcolors(2**20) or ()) > 8
    assert [pair.number for pair in spread(PAIRS, 3)] == [2, 4, 6] and spread(PAIRS, 99) == PAIRS


class OneByOne:
    """Judge, and end like a process at a chosen picture."""

    name = "a judge"

    def __init__(self, identity: str = "one", end: int = 999) -> None:
        self.identity, self.looked, self._end = identity, 0, end

    def asks(self, pair: Pair) -> str:
        return pair.question_negative

    def look(self, shown: Image.Image, pair: Pair) -> Verdict:
        if self.looked == self._end:
            raise KeyboardInterrupt
        self.looked += 1
        return Verdict(shown.size == (30, 20), False, pair.number / 10, ("said",))


def test_every_picture_is_judged_once(tmp_path: Path) -> None:
    shown, told = [picture(tmp_path, "one", pair, 0) for pair in PAIRS], [0]

    def ask(judge: OneByOne, pictures: list[Shown] = shown) -> tuple[list[Judged], int]:
        done = judge_all(pictures, judge, tmp_path, lambda: told.__setitem__(0, told[0] + 1), lambda line: None)
        return done, judge.looked

    with pytest.raises(KeyboardInterrupt):
        ask(OneByOne(end=4))
    with (tmp_path / "verdicts.jsonl").open("ab") as file:
        file.write(b'{"key": "torn')
    done, looked = ask(OneByOne())
    assert looked == 2 and [one.verdict.quality for one in done] == [pair.number / 10 for pair in PAIRS]
    assert ask(OneByOne()) == (done, 0) and told == [2]
    other = [Shown(shown[0].job, shown[0].path, "other"), *shown[1:]]
    assert ask(OneByOne(), other)[1] == 1 and ask(OneByOne("another"))[1] == 6
