"""Check the search over forms of attention guidance: the forms against formulas written out, and the intervals against known cases."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from avert.benchmarks.mechbench import entries, intervals, tables
from avert.benchmarks.mechbench.forms import BOUNDS, DIRECTIONS, SHAPES, SHARES, Form
from avert.benchmarks.mechbench.posterior import PRIOR, Gate, gated
from avert.benchmarks.mechbench.results import Found
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.attention.partial import Parts, merge
from avert.guidance.attention.strands import Segment, Strand
from avert.guidance.attention.streams import Lengths, joint_attention

from reference.dense import Layout, attention, negative_share
from tensors import EXACT, close, qkv


def parts(cross: bool = False) -> Parts:
    """Attend from nine image tokens of two pictures to image, positive and negative."""
    q, k, v = qkv(9, 16, heads=3)
    image, text, negative = (attend_plain(q, k[:, :, span], v[:, :, span]) for span in (slice(9), slice(9, 13), slice(13, 16)))
    return Parts(text, text, negative) if cross else Parts(merge(image, text), text, negative, image)


@pytest.mark.parametrize("offset", [0.0, 0.4])
def test_contrast_in_a_joint_layer(offset: float) -> None:
    """Z = Z+ + alpha (1 - W) (A_P - A_N), with 1 - W as what the negative's tokens get in one softmax with all others."""
    layout = Layout((3,), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total, heads=4, kv_heads=2)
    strand = Strand(Form(3.0, offset=offset), (Segment(0, 3),))
    out, _ = joint_attention(q, k, v, Lengths(3, 4, 9, 2), strand.segments, [strand], attend_plain)
    image, plain = layout.positions("I"), layout.positions("P", "I", "R")
    away = negative_share(q, k, layout, [offset])[..., None]
    whole, text, negative = (
        attention(q[:, :, image], k[:, :, keys], v[:, :, keys])[0] for keys in (plain, layout.positions("P"), [0, 1, 2])
    )
    close(out.transpose(1, 2)[:, :, image], whole + 3.0 * away * (text - negative))


def test_published_mechanisms_are_forms() -> None:
    """NAG with its own bound apart: Z+ + s (Z+ - Z-), and NASA: Z+ - s Z- in cross-attention."""
    joint, cross = parts(), parts(cross=True)
    plain = NormalizedGuidance(5.0, 1e6, 1.0).steer(joint)
    close(Form(4.0, "merged", "one").steer(joint), plain, **EXACT)
    close(Form(0.3, "away", "one").steer(cross), NegativeAway(0.3).steer(cross), **EXACT)


def test_orthogonal_has_nothing_along_the_whole() -> None:
    one = parts()
    change = Form(1.0, "orthogonal", "one").steer(one) - one.positive.out
    close((change * one.positive.out).sum((1, 3)), torch.zeros(2, 9), **EXACT)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_form_is_neutral_at_nothing_and_finite(direction: str, share: str, shape: str, bound: str) -> None:
    one = parts()
    assert Form(3.0, direction, share, shape, bound).steer(one).isfinite().all()
    close(Form(0.0, direction, share, shape, bound).steer(one), one.positive.out, **EXACT)


def test_shapes() -> None:
    share = torch.tensor([[[0.1, 0.3, 0.2]], [[0.2, 0.2, 0.2]]], dtype=torch.float64)
    one = parts()
    close(SHAPES["excess"](share, one), torch.tensor([[[0.0, 0.2, 0.0]], [[0.0, 0.0, 0.0]]], dtype=torch.float64), **EXACT)
    close(SHAPES["sharp"](share, one), torch.tensor([[[0.05, 0.45, 0.2]], [[0.2, 0.2, 0.2]]], dtype=torch.float64), **EXACT)
    heads = torch.tensor([[[0.1], [0.5]]], dtype=torch.float64)
    close(SHAPES["joined"](heads, one), torch.tensor([[[0.3], [0.3]]], dtype=torch.float64), **EXACT)


def test_a_kept_token_is_as_large_as_before() -> None:
    one = parts()
    guided = Form(4.0, bound="kept").steer(one)
    close(guided.abs().sum((1, 3)), one.positive.out.abs().sum((1, 3)), **EXACT)


def test_the_gate_follows_the_evidence() -> None:
    """A step that goes to where the negative's prediction leads makes the negative likelier, for that picture alone."""
    gate = Gate(temperature=1.0)
    assert gate.strength() == 1.0
    start = torch.zeros(2, 1, 2, 2)
    there, here = torch.ones(2, 1, 2, 2), -torch.ones(2, 1, 2, 2)
    gate.see({"conds_out": [here, there], "input": start, "sigma": torch.tensor([0.8, 0.8])})
    # From x at t = 0.8 straight to a prediction: x_s = s/t x + (1 - s/t) D.
    moved = 0.5 * start + 0.5 * torch.stack([there[0], here[1]])
    gate.see({"conds_out": [here, there], "input": moved, "sigma": torch.tensor([0.4, 0.4])})
    strength = gate.strength()
    assert isinstance(strength, torch.Tensor) and strength[0] > 1.5 and strength[1] < 0.5
    one = parts()
    plain, form = one.positive.out, Form(3.0)
    expected = plain + strength.double()[:, None, None, None] * (form.steer(one) - plain)
    close(gated(form, gate).steer(one), expected, rtol=1e-6, atol=1e-6)
    assert PRIOR == 0.5


def found(positive: list[bool], gone: list[bool], numbers: list[int]) -> Found:
    generator = torch.Generator().manual_seed(1)
    count, pairs = len(positive), sorted(set(numbers))
    features = torch.randn(count, 3, generator=generator).double()
    nothing = torch.zeros(len(pairs))
    return Found(
        torch.tensor(positive), torch.tensor(gone), features, features[:, None].repeat(1, 2, 1), torch.tensor(numbers),
        nothing.bool(), nothing, torch.tensor(pairs),
    )  # fmt: skip


class TestIntervals:
    """Check what is said of scores."""

    def test_they_are_the_binomials_where_pairs_have_one_picture(self) -> None:
        yes = [i % 4 == 0 for i in range(100)]
        value, low, high = intervals.with_intervals(intervals.drawn(found(yes, yes, list(range(100)))))["both"]
        expected = 1.96 * math.sqrt(0.25 * 0.75 / 100)
        assert value == 0.25 and abs((high - low) / 2 - expected) < 0.02

    def test_pictures_of_one_pair_are_no_evidence_of_their_own(self) -> None:
        """Four equal pictures for each of 25 pairs: the interval of 25, not of 100."""
        yes = [i // 4 % 4 == 0 for i in range(100)]
        _, low, high = intervals.with_intervals(intervals.drawn(found(yes, yes, [i // 4 for i in range(100)])))["positive"]
        assert abs((high - low) / 2 - 1.96 * math.sqrt(0.28 * 0.72 / 25)) < 0.05

    def test_a_difference_is_drawn_together(self) -> None:
        """One that is always there has no interval to speak of, however much both vary."""
        yes, numbers = [i % 2 == 0 for i in range(60)], list(range(60))
        one, other = intervals.drawn(found(yes, yes, numbers)), intervals.drawn(found(yes, yes, numbers))
        assert intervals.with_intervals(one, other)["both"] == (0.0, 0.0, 0.0)

    def test_the_distance_to_itself_is_nothing(self) -> None:
        one = found([True] * 40, [True] * 40, list(range(40)))
        assert intervals.scored(one)["distance"] < 0.2

    def test_a_value_is_in_its_interval(self) -> None:
        """Also a distance, which is larger where pictures repeat."""
        one = found([i % 3 > 0 for i in range(40)], [True] * 40, list(range(40)))
        other = one._replace(real=one.real + torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(2)).double())
        for value, low, high in intervals.with_intervals(intervals.drawn(other)).values():
            assert low <= value <= high


def test_entries_have_names_of_their_own() -> None:
    names = [entry.name for entry in entries.ALL]
    assert len(set(names)) == len(names) and set(entries.AGAINST) <= {entry.name for entry in entries.FINALISTS}
    assert [entry.name for entry in entries.chosen(["NAG", "VSF"], entries.ALL)] == ["NAG", "VSF"]
    with pytest.raises(SystemExit, match="There is no entry NGA"):
        entries.chosen(["NGA"], entries.ALL)
    assert isinstance(entries.PUBLISHED[0].make(0.5), ValueSignFlip)
    assert all(getattr(entry.make(1.0), "words_only", False) == entry.name.startswith("words: ") for entry in entries.ALL)


def test_written_numbers() -> None:
    assert tables.written("both", 0.25, 0.2, 0.31, compared=False) == "0.250 [0.200, 0.310]"
    assert tables.written("both", 0.25, 0.2, 0.31, compared=True) == "+0.250 [+0.200, +0.310] *"
    assert tables.written("distance", -3.2, -9.0, 2.0, compared=True) == "-3 [-9, +2]"


def test_the_published_table_is_of_the_published_numbers() -> None:
    """Every line of benchmarks/results/mechanisms.md stands in mechanisms.json, and was made at the strength that the search found."""
    results = Path(tables.__file__).resolve().parent.parent / "results"
    kept, tuning = (json.loads((results / name).read_text(encoding="utf-8")) for name in ("mechanisms.json", "mechanisms_tuning.json"))
    for model, lines in kept["compared"].items():
        for line in lines:
            own = [run for run in tuning if (run["entry"], run["variant"]) == (line["entry"], model.split("/")[1])]
            assert (
                not line["tuned"]
                or line["entry"] == "none"
                or line["strength"] == max(own, key=lambda run: run["both"] - run["changed"])["strength"]
            )
    text = (results / "mechanisms.md").read_text(encoding="utf-8")
    assert all(
        tables.written("both", *line["scores"]["both"], compared=False) in text for lines in kept["compared"].values() for line in lines
    )
