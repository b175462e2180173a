"""Check that negation works, as the benchmark measures it: VSF takes away what was to be avoided, and leaves what was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from avert.benchmarks.negbench import run
from avert.benchmarks.negbench.bench import Bench
from avert.benchmarks.negbench.methods import METHODS, Method, find
from avert.benchmarks.negbench.pairs import related, unrelated
from avert.benchmarks.negbench.world import World

from tiers import ROOT

EVERY = 3
VSF, SCALE = "VSF, offset -0.6", 0.94
# What VSF takes away best without the rest: by the sweep of benchmarks/negation.py.
GENTLE, GENTLE_SCALE = "VSF, offset 0", 0.75


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def bench(world: World) -> Bench:
    pairs = related()[::EVERY]
    numbers = {pair.number for pair in pairs}
    return Bench(world, pairs, [pair for pair in unrelated() if pair.number in numbers], seeds=1)


@pytest.fixture(scope="module")
def common(world: World) -> Bench:
    """All parts and companions that often come along; without what nearly always comes, styles and pairs of targets, which cost the positive more."""
    return Bench(world, [pair for pair in related() if pair.kind in ("part", "companion") and not pair.hard], [], seeds=1)


def test_negation_works(common: Bench) -> None:
    """The numbers of no guidance are measured here too, so that this fails if VSF does nothing."""
    none, _ = common.run(find("none"), 0.0)
    guided, _ = common.run(find(GENTLE), GENTLE_SCALE)
    assert none["positive"] >= 0.9
    assert guided["negative"] >= 2 * none["negative"] and guided["negative"] >= none["negative"] + 0.2
    assert guided["positive"] >= none["positive"] - 0.05


def test_what_nearly_always_comes_goes_too_with_more(world: World) -> None:
    hard = Bench(world, [pair for pair in related() if pair.hard and pair.kind == "part"], [], seeds=1)
    none, _ = hard.run(find("none"), 0.0)
    guided, _ = hard.run(find(GENTLE), 1.0)
    assert guided["negative"] >= none["negative"] + 0.15


@pytest.mark.slow
def test_unrelated_negatives_change_less_than_related_ones(bench: Bench) -> None:
    guided, _ = bench.run(find(VSF), SCALE)
    assert guided["Q"] > 0


@pytest.mark.slow
def test_vsf_turned_off_is_no_guidance(bench: Bench) -> None:
    none, pictures = bench.run(find("none"), 0.0)
    off, shown = bench.run(find(VSF), 0.0)
    assert torch.equal(shown.pictures, pictures.pictures)
    assert off["negative"] == none["negative"] and off["positive"] == none["positive"] and off["unrelated pixel change"] == 0


def test_the_judge_is_right_about_drawn_pictures(bench: Bench) -> None:
    assert min(bench.real.judge.values()) >= 0.97


# The host's own Perp-Neg mixes the pictures of a batch, and 0.3.64 has no NAG of its own.
OURS = [method for method in METHODS if not method.name.startswith("ComfyUI's")]


@pytest.mark.slow
@pytest.mark.parametrize("method", OURS, ids=lambda method: method.name)
def test_a_batch_of_different_prompts_is_what_each_is_alone(world: World, method: Method) -> None:
    """The benchmark puts a row for each prompt into one batch, the negatives too."""
    pairs = [pair for pair in related() if pair.negative in ("roof", "sail", "flame")]
    rows = run.rows_of(pairs, 1)
    together = run.sample(world, method, method.usual, rows)
    for row, latent in zip(rows[::3], together[::3], strict=True):
        alone = run.sample(world, method, method.usual, [row])[0]
        # SLD switches elements on and off at a threshold, where rounding shows.
        assert (alone - latent).abs().max() <= (1e-3 if method.name == "SLD" else 1e-4) * latent.abs().max()


def test_negpip_with_its_values_left_alone_is_a_longer_prompt(world: World) -> None:
    """Which tokens it flips cannot be seen from outside: at a scale of -1 it must be as if the negative had been written behind the positive."""
    method = find("NegPip-like")
    texts = world.texts("few_step", ["a red house", "a blue car"], ["roof", "wheels"])
    noise = torch.cat([run.noise(1), run.noise(2)])
    longer = torch.cat([texts.positive[0][0], texts.negative.prompts[0].embedding], 1)
    plain = world.sample(find("none"), 0.0, texts._replace(positive=[[longer, texts.positive[0][1]]]), noise)
    torch.testing.assert_close(world.sample(method, -1.0, texts, noise), plain, atol=1e-4, rtol=1e-4)
    assert (world.sample(method, 1.0, texts, noise) - plain).abs().max() > 1e-2


@pytest.mark.slow
def test_the_command_writes_its_results(tmp_path: Path, host_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "negation.py"), "--quick", "--comfyui", str(host_path), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"negation.json", "negation.md", "negation.svg", "negation_pictures.jpg"}
    runs = json.loads((tmp_path / "negation.json").read_text())["runs"]
    assert [one["method"] for one in runs] == ["none", VSF]
