"""Check the file of prompt pairs: whole, its rows apart from each other, and no positive that gives its negative away."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pytest

from tiers import ROOT

PATH = ROOT / "benchmarks" / "pairs.csv"
HEADER = ["number", "category", "positive", "negative", "thing", "question_positive", "question_negative"]
NEGATIONS = {"without", "no", "not", "never", "none", "lacking", "missing", "minus"}
PAIRS = 200


def rows() -> list[dict[str, str]]:
    with PATH.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def stem(word: str) -> str:
    """Make one word of singular and plural, crudely."""
    for plural, singular in (("ies", "y"), ("shes", "sh"), ("ches", "ch"), ("sses", "ss"), ("xes", "x"), ("ves", "f")):
        if word.endswith(plural) and len(word) > len(plural) + 1:
            return word[: -len(plural)] + singular
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def named(positive: str, negative: str) -> set[str]:
    """Return the words of the positive that are, or begin with, a word of the negative ("fireplace" names fire)."""
    stems = {stem(word) for word in words(negative)}
    return {word for word in words(positive) if any(word.startswith(part) or stem(word) == part for part in stems)}


def things(negative: str) -> list[str]:
    return [part.strip() for part in negative.split(",")]


def faulty(is_fault) -> None:
    """Fail with the numbers of the rows that have the fault."""
    assert not [row["number"] for row in rows() if is_fault(row)]


def test_header_and_numbers() -> None:
    with PATH.open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == HEADER
    assert [row[0] for row in table[1:]] == [str(number) for number in range(1, PAIRS + 1)]
    assert {len(row) for row in table} == {len(HEADER)}


def test_plain_text() -> None:
    raw = PATH.read_bytes()
    assert raw.isascii() and b"\r" not in raw and raw.endswith(b"\n")
    faulty(lambda row: any(not cell or cell != " ".join(cell.split()) for cell in row.values()))


def test_rows_are_apart() -> None:
    table = rows()
    assert len({row["positive"].lower() for row in table}) == PAIRS
    assert len({(row["thing"].lower(), row["negative"].lower()) for row in table}) == PAIRS
    assert max(Counter(row["thing"].lower() for row in table).values()) <= 3


def test_categories() -> None:
    counts = Counter(row["category"] for row in rows())
    assert 10 <= len(counts) <= 12
    assert {name: count for name, count in counts.items() if count < 10} == {}


def test_the_positive_does_not_name_the_negative() -> None:
    faulty(lambda row: named(row["positive"], row["negative"]))


def test_the_positive_negates_nothing() -> None:
    faulty(lambda row: NEGATIONS & set(words(row["positive"])))


def test_lengths() -> None:
    faulty(lambda row: not 6 <= len(row["positive"].split()) <= 20)
    faulty(lambda row: any(not 1 <= len(part.split()) <= 4 for part in things(row["negative"])))
    faulty(lambda row: len(row["thing"].split()) > 2)


def test_the_thing_is_in_the_positive_and_asked_for() -> None:
    faulty(lambda row: not set(words(row["thing"])) <= set(words(row["positive"])))
    faulty(lambda row: row["thing"].lower() not in row["question_positive"].lower())


@pytest.mark.parametrize("column", ["question_positive", "question_negative"])
def test_questions_are_of_a_picture(column: str) -> None:
    faulty(lambda row: not row[column].endswith("?") or "this picture" not in row[column])
    faulty(lambda row: row[column].split()[0] not in {"Is", "Are", "Does", "Do"})


def test_few_rows_have_two_things_and_ask_for_either() -> None:
    double = [row for row in rows() if len(things(row["negative"])) > 1]
    assert len(double) <= 15 and all(len(things(row["negative"])) == 2 for row in double)
    assert not [row["number"] for row in double if " or " not in row["question_negative"]]


@pytest.mark.parametrize(
    ("positive", "negative", "found"),
    [
        ("a leaf on a stone", "leaves", {"leaf"}),
        ("cherries in a bowl", "cherry", {"cherries"}),
        ("glasses on a desk", "glass", {"glasses"}),
        ("a stone fireplace", "fire", {"fireplace"}),
        ("a man in a chair", "hair", set()),
        ("an old professor", "glasses, beard", set()),
    ],
)
def test_what_names_the_negative_is_found(positive: str, negative: str, found: set[str]) -> None:
    assert named(positive, negative) == found
