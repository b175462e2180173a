"""Check the benchmark's mathematics on cases whose answer is known, its pairs, and the pictures that it compares with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from avert.benchmarks.negbench import scores
from avert.benchmarks.negbench.pairs import Pair, related, unrelated
from avert.benchmarks.negbench.plots import write_plot
from avert.benchmarks.negbench.real import draw_all, scenes_of
from avert.benchmarks.negbench.results import Results, at_level
from avert.benchmarks.negbench.strip import write_strip
from avert.benchmarks.negbench.tables import write_json, write_markdown
from avert.demo.model.tokenizer import LENGTH, UNKNOWN, encode
from avert.demo.world.scene import LABELS
from avert.demo.world.things import THINGS
from PIL import Image


def gaussian(count: int, size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) @ mix


def test_frechet_of_diagonal_gaussians_is_the_textbooks() -> None:
    a = scores.Spread(torch.tensor([1.0, 2.0]).double(), torch.diag(torch.tensor([4.0, 9.0])).double())
    b = scores.Spread(torch.tensor([0.0, 4.0]).double(), torch.diag(torch.tensor([1.0, 16.0])).double())
    assert scores.frechet(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 4) ** 2)


def test_frechet_against_the_matrix_square_root_of_the_product() -> None:
    a, b = scores.spread(gaussian(60, 5, 1)), scores.spread(gaussian(80, 5, 2) + 0.3)
    values = torch.linalg.eigvals(a.covariance @ b.covariance)
    expected = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * values.sqrt().sum().real
    assert scores.frechet(a, b) == pytest.approx(float(expected))
    assert scores.frechet(b, a) == pytest.approx(float(expected))


def test_frechet_of_the_same_is_zero_also_with_fewer_pictures_than_features() -> None:
    few = scores.spread(gaussian(6, 20, 3))
    assert scores.frechet(few, few) == pytest.approx(0, abs=1e-6 * float(few.covariance.trace()))
    moved = scores.Spread(few.mean + 0.5, few.covariance)
    assert scores.frechet(few, moved) == pytest.approx(20 * 0.25, rel=1e-5)


def test_spread_is_that_of_torch() -> None:
    features = gaussian(30, 4, 4)
    found = scores.spread(features.float())
    torch.testing.assert_close(found.covariance, torch.cov(features.float().double().T))
    assert found.mean.dtype == torch.float64


def test_things_seen_and_targets_gone() -> None:
    seen = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)
    assert scores.shows(seen, [0, 0, 2]).tolist() == [True, False, False]
    # Of two targets both must be gone.
    assert scores.all_gone(seen, [[1], [0, 1], [1, 2]]).tolist() == [True, False, True]
    assert scores.share(torch.tensor([True, False, False, True])) == 0.5
    assert scores.share(torch.tensor([True, False, True]), [True, False, True]) == 1
    assert math.isnan(scores.share(torch.tensor([True]), [False]))


def test_saturation_is_that_of_hsv() -> None:
    pictures = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for picture, found in zip(pictures, scores.saturation(pictures), strict=True):
        hsv = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).convert("HSV")
        expected = torch.tensor(list(hsv.getdata(1)), dtype=torch.float64).mean() / 255
        assert float(found) == pytest.approx(float(expected), abs=2 / 255)
    assert float(scores.saturation(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))) == 0


def test_changes_and_clipping() -> None:
    plain, other = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    other[1] = 255
    assert scores.pixel_change(other, plain).tolist() == [0, 1] and scores.pixel_change(plain, other).tolist() == [0, 1]
    middle = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    middle[0, 1, 0, 0] = 255
    assert float(scores.clipped(middle)) == 1 / 16
    seen = torch.tensor([[True, False], [False, False]])
    assert scores.content_changed(seen, torch.tensor([[True, False], [True, False]])).tolist() == [False, True]


def test_q_is_one_where_only_related_negatives_change_the_picture() -> None:
    centre = torch.ones(3).double()
    plain = torch.tensor([[2.0, 1, 1], [1, 3, 1]]).double()
    turned = torch.tensor([[1.0, 2, 1], [1, 1, 4]]).double()
    same, other = scores.likeness(plain, plain, centre), scores.likeness(turned, plain, centre)
    assert same.tolist() == pytest.approx([1, 1]) and other.tolist() == pytest.approx([0, 0])
    assert scores.q_metric(same, other) == pytest.approx(1) and scores.q_metric(other, other) == 0


def test_best_negative_on_a_curve() -> None:
    curve = [(1.0, 0.1), (0.98, 0.5), (0.88, 0.7), (0.5, 0.9)]
    assert scores.best_negative(curve, 0.98) == 0.5
    assert scores.best_negative(curve, 0.93) == pytest.approx(0.6)
    assert scores.best_negative(curve, 0.4) == 0.9
    assert math.isnan(scores.best_negative([(0.5, 0.9), (0.4, 1.0)], 0.9))
    assert scores.best_negative([(0.5, 0.9), (1.0, 0.4)], 0.9) == pytest.approx(0.5)


def run(method: str, strength: float, positive: float, negative: float, **more: Any) -> dict[str, Any]:
    group = more.pop("group", method)
    found = {"method": method, "group": group, "variant": "few_step", "strength": strength, "positive": positive, "negative": negative}
    return {**found, "both": min(positive, negative), "distance": 1.0, "unrelated pixel change": 0.01, **more}


def test_groups_start_from_no_guidance_and_take_their_best_setting() -> None:
    runs = [run("none", 0, 1.0, 0.2), run("a", 1, 0.8, 0.6, group="g"), run("b", 1, 0.8, 0.8, group="g")]
    assert at_level(runs, "g", 0.9) == pytest.approx(0.5)
    assert at_level(runs, "none", 0.9) == 0.2
    # A method of the other model has another start.
    assert math.isnan(at_level([runs[0], run("c", 1, 0.8, 0.9, variant="guided")], "c", 0.9))


def test_pairs_are_many_fixed_and_never_name_the_target() -> None:
    pairs, strangers = related(), unrelated()
    assert len(pairs) >= 100 and len(strangers) >= 30 and pairs == related() and strangers == unrelated()
    assert {pair.thing for pair in pairs} == set(THINGS) and {pair.kind for pair in pairs} == {"part", "companion", "style", "double"}
    assert len({(pair.positive, pair.negative) for pair in pairs}) == len({pair.number for pair in pairs}) == len(pairs)
    for pair in (*pairs, *strangers):
        words, unwanted = encode(pair.positive), encode(pair.negative)
        assert set(pair.targets) <= set(LABELS) and UNKNOWN not in words + unwanted and len(words) <= LENGTH - 2
        assert all(set(encode(target)) <= set(unwanted) and not set(encode(target)) & set(words) for target in pair.targets)


def test_hard_pairs_are_those_with_essential_parts_and_styles() -> None:
    hard = {target for pair in related() if pair.hard and pair.kind != "double" for target in pair.targets}
    assert hard == {"roof", "wheels", "sail", "carrot", "basket", "hatched", "night", "outline", "sepia"}


def test_unrelated_negatives_never_come_with_the_thing_and_repeat_a_related_positive() -> None:
    known = {pair.number: pair for pair in related()}
    for pair in unrelated():
        kind = THINGS[pair.thing]
        assert known[pair.number].positive == pair.positive
        assert pair.targets[0] not in {part.part for part in kind.parts} | {kind.companion, kind.style}


@pytest.mark.parametrize("pair", [*related()[::4], *(pair for pair in related() if pair.kind == "double")], ids=lambda pair: pair.negative)
def test_drawn_pictures_show_what_was_asked_for_with_and_without_the_targets(pair: Pair) -> None:
    patterns = scenes_of(pair, 3, 1)
    assert patterns == scenes_of(pair, 3, 1) and len(patterns) == 2 ** len(pair.targets)
    for there, scenes in patterns.items():
        for scene in scenes:
            labels = scene.labels()
            assert scene.thing == pair.thing and pair.colour in ("", scene.colour) and pair.ground in ("", scene.ground)
            assert pair.big in (None, scene.big)
            assert [target in labels for target in pair.targets] == list(there)


def test_no_smoke_without_a_chimney() -> None:
    pair = next(pair for pair in related() if pair.targets == ("chimney",))
    for there, scenes in scenes_of(pair, 20, 0).items():
        assert all("chimney" in scene.labels() for scene in scenes if "smoke" in scene.labels())
        assert there == (True,) or not any("smoke" in scene.labels() for scene in scenes)


def test_pictures_come_in_the_order_of_the_scenes() -> None:
    patterns = [scenes_of(pair, 2, 0) for pair in related()[:2]]
    drawn = draw_all(patterns)
    assert drawn.shape == (8, 3, 64, 64) and torch.equal(drawn[4:], draw_all(patterns[1:]))


def test_results_can_be_written(tmp_path: Path) -> None:
    pairs, strangers = related()[::6], unrelated()[:2]
    runs = [run("none", 0.0, 1.0, 0.2, group="none"), run("VSF", 1.0, 0.97, float("nan"), **{"saturation ratio": 1.0})]
    runs[1]["negative"] = 0.8
    pictures = {(one["method"], one["strength"]): torch.zeros(len(pairs), 3, 64, 64, dtype=torch.uint8) for one in runs}
    judge = {"thing": 1.0, "gone, where it is": 1.0, "there, where it is": 1.0}
    results = Results(pairs, strangers, 2, judge, runs, pictures, {"something": 0.5})
    about = {"host": "a host", "machine": "a machine", "seconds": 60.0}
    write_json(results, tmp_path / "n.json", about)
    write_markdown(results, tmp_path / "n.md", about)
    write_plot(runs, tmp_path / "n.svg")
    write_strip(results, tmp_path / "n.jpg")
    assert "| VSF | 1 | 0.970 | 0.800 |" in (tmp_path / "n.md").read_text()
    assert "NaN" not in (tmp_path / "n.json").read_text() and "nan" not in (tmp_path / "n.svg").read_text()
    assert Image.open(tmp_path / "n.jpg").size[0] > 300
