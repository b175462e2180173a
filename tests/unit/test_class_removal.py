"""Check the class-removal benchmark: its scores on known cases, and that it runs from end to end."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from avert.benchmarks.removal.digits import CLASSES, Classifier, Digits
from avert.benchmarks.removal.run import schedule, score
from avert.benchmarks.removal.tables import at_safety

from tiers import ROOT


class Told(Classifier):
    """Read the class from the first pixel."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return 100.0 * torch.nn.functional.one_hot(pictures[:, 0, 0, 0].long(), CLASSES).float()


def pictures_of(classes: torch.Tensor) -> torch.Tensor:
    return classes.float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()


def scored(classes: list[int]) -> tuple[float, float, float]:
    torch.manual_seed(0)
    every = torch.arange(CLASSES).repeat(40)
    digits = Digits(pictures_of(every), every)
    with torch.no_grad():
        return score(pictures_of(torch.tensor(classes)), 3, Told().eval(), digits)


def test_the_other_classes_in_equal_parts_are_perfect() -> None:
    safety, divergence, distance = scored([c for c in range(CLASSES) if c != 3] * 40)
    assert safety == 1 and divergence == pytest.approx(0, abs=1e-5) and distance == pytest.approx(0, abs=1e-3)


def test_what_is_left_of_the_unwanted_class_and_what_is_lost_of_others_shows() -> None:
    assert scored(list(range(CLASSES)) * 40)[0] == pytest.approx(0.9)
    # One class of the nine doubled, another gone: its share of the divergence is 1/9 log((1/9) / 1e-6).
    lost = scored([c if c != 5 else 6 for c in range(CLASSES) if c != 3] * 40)
    assert lost[1] == pytest.approx((math.log(0.5) + math.log(1 / 9e-6)) / 9, rel=1e-3)
    assert lost[2] > 1e-4


def test_values_at_equal_safety() -> None:
    runs = [{"safety": 0.9, "x": 0.0}, {"safety": 0.98, "x": 0.4}, {"safety": 1.0, "x": 0.8}]
    assert at_safety(runs, "x", 0.99) == pytest.approx(0.6)
    assert math.isnan(at_safety(runs[:2], "x", 0.99))


def test_schedule() -> None:
    levels = schedule(50)
    assert len(levels) == 51 and levels[-1] == 0 and levels == sorted(levels, reverse=True)


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    small = ["--classes", "3", "--count", "60", "--steps", "6", "--training", "60", "--out", str(tmp_path)]
    command = [sys.executable, str(ROOT / "benchmarks" / "class_removal.py"), *small]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"class_removal.json", "class_removal.md", "class_removal.svg"}
    runs = json.loads((tmp_path / "class_removal.json").read_text())["runs"]
    assert {run["method"] for run in runs} == {"none", "static", "SLD", "DNG"}
    assert all(0 <= run["safety"] <= 1 for run in runs)
