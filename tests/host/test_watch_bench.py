"""Check that the benchmarks of watching run, and that their numbers are what their names say."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from avert.benchmarks.negbench.pairs import related
from avert.benchmarks.negbench.run import Shown
from avert.benchmarks.negbench.scores import Judged
from avert.benchmarks.negbench.world import World
from avert.benchmarks.watchbench import prompts, run, ways
from avert.benchmarks.watchbench.prompts import LISTS, Row, rows_of
from avert.benchmarks.watchbench.run import Bench, Found, score
from avert.benchmarks.watchbench.tables import best_at, dominated
from avert.demo.world.scene import LABELS
from avert.host.install import last_report
from avert.host.watch import source
from avert.host.watch.source import Watched
from avert.vlm.schedule import PAPER, query_steps

from tiers import ROOT
from watched_runs import Script

STEPS = 8


@contextmanager
def script(name: str) -> Iterator[Any]:
    """Load a benchmark's script, and take away afterwards what it found beside itself under common names."""
    path, known = [*sys.path], set(sys.modules)
    file = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = path
        beside = {one.stem for one in file.parent.glob("*.py")}
        for one in (set(sys.modules) - known) & beside:
            del sys.modules[one]


@pytest.fixture
def vl_dnp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with script("vl_dnp") as module:
        monkeypatch.setattr(module, "STEPS", STEPS)
        yield module


def test_the_simulated_model_takes_its_time_and_names_the_same_for_each_picture(vl_dnp: Any) -> None:
    start = time.perf_counter()
    told = vl_dnp.Slow(0.05, True).ask(SimpleNamespace(pictures=[None, None]))
    assert told == [vl_dnp.ANSWER] * 2 and time.perf_counter() - start > 0.045
    assert vl_dnp.Slow(0.0, True).elsewhere and not vl_dnp.Slow(0.0, False).elsewhere


@torch.inference_mode()
def test_each_way_asks_as_often_as_its_name_says(vl_dnp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step is not asked about. Overlapped, what falls due while an answer is made is asked once."""
    asked: list[bool] = []
    made: list[Watched] = []
    answer = vl_dnp.Slow.ask
    monkeypatch.setattr(vl_dnp.Slow, "ask", lambda self, query: (asked.append(self.elsewhere), answer(self, query))[1])
    monkeypatch.setattr(source, "Watched", lambda *args, **options: made.append(Watched(*args, **options)) or made[-1])
    counts, elsewhere, found = {}, {}, vl_dnp.ways(0.001)
    settings = {name: (one.query_steps, one.min_change, one.overlap) for name, one in zip(list(found)[-len(made) :], made, strict=True)}
    for name, way in found.items():
        asked.clear()
        way()
        counts[name], elsewhere[name] = len(asked), set(asked)
    every, paper = STEPS - 2, len([step for step in query_steps(PAPER, STEPS) if step < STEPS - 1])
    assert set(vl_dnp.ways()) == {"no negative", "static negative guidance"} and every > paper > 2
    assert counts["no negative"] == counts["static negative guidance"] == 0
    assert (counts["every step"], counts["the paper's ten steps"]) == (every, paper)
    assert 0 < counts["the paper's, if it changed by 0.1"] <= paper
    assert 0 < counts["every step, overlapped"] <= every and 0 < counts["the paper's, overlapped"] <= paper
    assert all(where == {"overlapped" in name} for name, where in elsewhere.items() if where)
    expected = {
        "every step": ("every", 0.0, False), "the paper's ten steps": (PAPER, 0.0, False), "every step, overlapped": ("every", 0.0, True),
        "the paper's, if it changed by 0.1": (PAPER, 0.1, False), "the paper's, overlapped": (PAPER, 0.0, True),
    }  # fmt: skip
    assert {name: settings[name] for name in expected} == expected
    # Seen in the second step, what is said first acts in the third.
    assert (found["every step"].answered, found["every step"].first) == ([every], [3])
    assert found["the paper's ten steps"].answered == [paper] and not found["no negative"].answered


# The list of the demo world of which most comes along.
WORDS = LISTS[0]


def labels(*seen: str) -> torch.Tensor:
    """Say what is in each of several pictures, "" for nothing: bool [N, labels]."""
    return torch.tensor([[label in one.split() for label in LABELS] for one in seen])


def shown(seen: torch.Tensor, *grey: int) -> Shown:
    pictures = torch.tensor(grey, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 64, 64)
    return Shown(pictures, Judged(seen, torch.randn(len(seen), 4, generator=torch.Generator().manual_seed(1)).double()))


def test_scores_are_what_their_names_say() -> None:
    """Six houses, of which two had a hat and one of them smoke too; the moon is on no list. By hand."""
    pair = next(pair for pair in related() if pair.thing == "house")
    rows = [Row(pair, WORDS, number) for number in range(6)]
    listed = labels(*["hat smoke"] * 6)
    plain = shown(labels("house hat", "house hat smoke", "house", "house", "house moon", "house moon"), 0, 0, 0, 0, 0, 0)
    after = shown(labels("house", "house smoke", "house", "house hat", "house", "moon"), 200, 200, 51, 0, 0, 0)
    named = labels("hat", "", "smoke", "", "", "") & listed
    real: Any = SimpleNamespace(like=lambda rows, seen: torch.randn(6, 4, generator=torch.Generator().manual_seed(2)).double())
    found = score(Found(after, named), plain, listed, rows, real)
    expected = {
        "had": 2 / 6, "gone": 1 / 2, "things gone": 2 / 3, "never: still without": 3 / 4, "positive": 5 / 6, "positive, never": 3 / 4,
        "never: pixels": 51 / 255 / 4, "never: content": 3 / 4, "named": 1 / 2, "named in vain": 1 / 4,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    # What is named but not there before is not named among those that had something.
    assert score(Found(after, labels("smoke", *[""] * 5)), plain, listed, rows, real)["named"] == 0.0


def test_the_best_of_a_way_is_read_off_its_curve() -> None:
    runs = [{"method": "a", "never: content": changed, "gone": gone} for changed, gone in ((0.1, 0.4), (0.3, 0.8))]
    runs.append({"method": "b", "never: content": 0.0, "gone": 1.0})
    assert [best_at(runs, "a", level) for level in (0.05, 0.1, 0.2)] == pytest.approx([0.2, 0.4, 0.6])


def test_a_static_point_is_dominated_by_what_takes_more_away_or_changes_less() -> None:
    points = {
        "equal": (0.5, 0.2),
        "more gone": (0.6, 0.2),
        "less changed": (0.5, 0.1),
        "more of both": (0.9, 0.3),
        "less of both": (0.4, 0.1),
    }
    runs = [
        {"method": name, "strength": 1, "rival": "static", "gone": gone, "never: content": changed}
        for name, (gone, changed) in points.items()
    ]
    runs.append({"method": "another mechanism", "strength": 1, "rival": "other", "gone": 1.0, "never: content": 0.0})
    runs.append({"method": "static", "strength": 2.0, "rival": "", "gone": 0.5, "never: content": 0.2})
    assert dominated(runs, "static") == {2.0: ["more gone 1", "less changed 1"]}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def way(name: str) -> ways.Way:
    return next(one for one in ways.WAYS if one.name == name)


def few_rows() -> list[Row]:
    """Take one prompt of every other thing, under one list."""
    return rows_of(1, 1, (WORDS,))[::2]


class Positions(Script):
    """Name a word for some places of a batch, and nothing for the others."""

    def __init__(self, named: Callable[[int], str]) -> None:
        super().__init__()
        self.named = named

    def ask(self, query: Any) -> list[str]:
        self.queries.append(query)
        return [self.named(place) for place in range(len(query.pictures))]


def test_a_model_that_sees_nothing_changes_nothing_and_one_that_names_is_noted_picture_by_picture(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two batches: in each the first and the last picture are told of a hat, and of the moon, which is on another list."""
    monkeypatch.setattr(run, "BATCH", 4)
    rows, told = few_rows(), [True, False, False, True] * 2
    backend = Positions(lambda place: "none")
    bench = Bench(world, backend, rows)
    found = bench.run(way("VL-DNP, VSF"), 1.0)
    assert len(rows) == 8 and 0.2 < found["had"] < 1 and backend.queries
    assert ", ".join(WORDS) in backend.queries[0].instruction.system
    assert [found[name] for name in ("gone", "things gone", "never: pixels", "never: content", "named", "named in vain")] == [0.0] * 6
    assert found["never: still without"] == 1.0
    backend.named = lambda place: "hat, moon" if place % 3 == 0 else "none"
    again = bench.show(way("VL-DNP, VSF"), 1.0)
    assert torch.equal(again.named, labels(*["hat" if one else "" for one in told]))
    changed = (again.shown.pictures != bench.plain(way("VL-DNP, VSF")).pictures).flatten(1).any(1)
    assert changed.tolist() == told


def test_late_answers_act_so_many_steps_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    late, reports = way("VL-DNP, static strength, late"), []
    monkeypatch.setattr(run, "last_report", lambda model: reports.append(last_report(model)) or reports[-1])
    Bench(world, Script(*[[word] for word in WORDS]), few_rows()[:1]).show(late, 3.0)
    answered = [entry for entry in reports[0].watched[0]["entries"] if entry["kind"] == "phrases"]
    # On a busy machine one may be heard a step later still.
    assert late.late > 1 and len(answered) > 2 and min(entry["used"] - entry["asked"] - 1 for entry in answered) == late.late


def test_the_command_compares_with_the_demos_watcher_and_writes_it_down(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a few prompts and one strength of two ways."""
    plain, watching = way(ways.PLAIN["few_step"]), way("VL-DNP, VSF")
    monkeypatch.setattr(prompts, "rows_of", lambda seeds: few_rows() * seeds)
    monkeypatch.setattr(ways, "WAYS", [plain, ways.Way(**{**vars(watching), "strengths": (1.5,)})])
    lines: list[str] = []
    with script("negation") as negation:
        results = negation.compare_watched(Namespace(weights=None, seeds=1, methods=None), lines.append)
        negation.write_watched(results, tmp_path, {"host": "here", "machine": "this", "seconds": 60.0})
    nothing, watched_run = results.runs
    assert (nothing["method"], nothing["gone"], nothing["never: content"]) == (plain.name, 0.0, 0.0) and len(lines) == 2
    assert watched_run["watched"] and watched_run["had"] == nothing["had"] > 0
    assert watched_run["gone"] > 0.3 and watched_run["named"] > 0.5 and watched_run["positive"] > 0.5
    assert {file.name for file in tmp_path.iterdir()} == {f"negation_watched.{kind}" for kind in ("json", "md", "svg")}
    saved = json.loads((tmp_path / "negation_watched.json").read_text(encoding="utf-8"))
    assert saved["pictures"] == 8 and [run["gone"] for run in saved["runs"]] == pytest.approx([0.0, watched_run["gone"]], abs=1e-5)
    assert f"| {watching.name} | 1.5 | {watched_run['gone']:.3g} |" in (tmp_path / "negation_watched.md").read_text(encoding="utf-8")
