"""Check the report: what it says is what happened, and it costs nothing that nobody asked for."""

from __future__ import annotations

import json
from typing import Any

import avert.host.install
import pytest
import torch
from avert.guidance.attention import steer
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.encode import encode_negative
from avert.host.families import find_family
from avert.host.guide import guide
from avert.host.install import last_report
from avert.host.report_picture import draw_maps, draw_plot, to_image
from avert.host.report_text import as_json, as_text

from tiny import FACTORIES, conditioning, latent, sample
from tiny_clip import tiny_clip

VSF = ValueSignFlip(1.0, 0.0)


def run(family: str, mechanism: Any = VSF, window: tuple[float, float] = (0.0, 1.0), blocks: str = "", **options: Any) -> Any:
    """Sample once and give the report."""
    model = guide(FACTORIES[family](), mechanism, conditioning(family, 5, 2), window, blocks)
    made = sample(model, conditioning(family, 9, 1), conditioning(family, 9, 3), **options)
    return last_report(model, made)


@pytest.fixture
def asked_for_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a workflow with AvertReport in it; the server tier has the real one."""
    monkeypatch.setattr(avert.host.install, "contains_node", lambda name: name == "AvertReport")


@pytest.mark.parametrize("family", FACTORIES)
@pytest.mark.parametrize("mechanism", [VSF, NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.2)])
def test_every_block_is_hit_in_every_step(family: str, mechanism: Any) -> None:
    report = run(family, mechanism, batch=2)
    layers = find_family(FACTORIES[family]().model).layers()
    assert [step["layers"] for step in report.steps] == [layers] * 3
    assert [step["step"] for step in report.steps] == [0, 1, 2]
    for step in report.steps:
        assert len(step["share"]) == len(step["change"]) == 2
        assert all(0.0 < share < 1.0 for share in step["share"]) and all(change > 0.0 for change in step["change"])
    assert report.finished and report.skipped == [] and report.backends == ["PyTorch cpu_flash"] and report.maps is None


def test_share_is_what_the_logits_say() -> None:
    """One layer of the UNet's cross-attention, computed again from the queries and keys that reach the attention function."""
    model, negative = FACTORIES["sd15"](), conditioning("sd15", 5, 2)
    calls = []

    def spy(func: Any, q: Any, k: Any, v: Any, heads: int, *args: Any, **kw: Any) -> Any:
        if kw.get("skip_reshape") and k.shape[2] != q.shape[2]:
            calls.append((q, k))
        return func(q, k, v, heads, *args, **kw)

    model.model_options["transformer_options"]["optimized_attention_override"] = spy
    patched = guide(model, ValueSignFlip(1.0, 0.3), negative, (0.0, 1.0), "0")
    sample(patched, conditioning("sd15", 9, 1), negative, steps=1)
    (q, plus), (_, minus) = calls[0], calls[1]
    scores = [torch.logsumexp(q.double() @ keys.double().transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1) for keys in (plus, minus)]
    expected = torch.sigmoid(scores[1] - 0.3 - scores[0]).mean()
    assert last_report(patched).steps[0]["share"][0] == pytest.approx(float(expected), rel=1e-4)


def test_window_and_blocks_are_told() -> None:
    report = run("flux", window=(0.4, 0.8), blocks="1-2", steps=8)
    guided, skipped = {step["step"] for step in report.steps}, {skip["step"] for skip in report.skipped}
    assert guided and skipped and guided | skipped == set(range(8)) and not guided & skipped
    assert {skip["reason"] for skip in report.skipped} == {"outside its window"}
    assert report.nodes[0].blocks == [1, 2]
    assert "from 0.4 to 0.8; 2 blocks" in as_text(report) and "not guided: outside its window" in as_text(report)


@pytest.mark.parametrize(("sampler", "evaluations"), [("euler", [1, 1, 1]), ("heun", [2, 2, 1]), ("dpmpp_2s_ancestral", [2, 2, 1])])
def test_evaluations_belong_to_their_step(sampler: str, evaluations: list[int]) -> None:
    report = run("sd3", sampler_name=sampler)
    assert [step["evaluations"] for step in report.steps] == evaluations
    sigmas = [step["sigma"] for step in report.steps]
    assert sigmas == sorted(sigmas, reverse=True) and len(set(sigmas)) == 3


@pytest.mark.parametrize(("family", "size"), [("sd3", (8, 8)), ("flux", (8, 8)), ("wan", (4, 4)), ("sd15", (16, 16))])
def test_maps_cover_the_picture(asked_for_maps: None, family: str, size: tuple[int, int]) -> None:
    report = run(family, batch=2)
    assert report.maps.shape == (3, 2, 2 if family == "wan" else 1, *size)
    mean = report.maps.mean(dim=(2, 3, 4))
    shares = torch.tensor([step["share"] for step in report.steps])
    torch.testing.assert_close(mean, shares, rtol=1e-4, atol=1e-5)
    assert report.maps.std() > 0
    assert to_image(draw_maps(report)).shape[0] == 6 and to_image([draw_plot(report)]).shape[-1] == 3


def test_map_lies_where_the_attention_is(asked_for_maps: None) -> None:
    """A latent that is not square keeps its orientation."""
    shape = latent("sd3", height=8, width=24)
    assert run("sd3", latent=shape).maps.shape[-2:] == (4, 12)


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (60, 104), (62, 62)])
def test_change_is_seen_wherever_it_is(size: tuple[int, int]) -> None:
    """Twenty of the columns of a picture change; a sample that met only some columns would say nothing, or everything."""
    rows, columns = size
    before = torch.ones(1, 2, rows * columns, 4)
    after = before.clone().view(1, 2, rows, columns, 4)
    after[:, :, :, 8:28] += 1.0
    effect = steer._effect(after.flatten(2, 3), before, [torch.zeros(1, 2, rows * columns)], False)
    assert float(effect.change) == pytest.approx((20 / columns) ** 0.5, rel=0.2)


def test_prompts_for_areas_do_not_break_the_report(asked_for_maps: None) -> None:
    model = FACTORIES["sd15"]()
    patched = guide(model, VSF, conditioning("sd15", 5, 2), (0.0, 1.0), "")
    positive = conditioning("sd15", 9, 1) + conditioning("sd15", 9, 4, area=(8, 8, 0, 0), strength=1.0)
    made = sample(patched, positive, conditioning("sd15", 9, 3), 3.0)
    assert last_report(patched, made).maps.shape[-2:] == (16, 16)


def test_words_and_json_agree() -> None:
    clip, model = tiny_clip("sd3"), FACTORIES["sd3"]()
    negative = encode_negative(clip, "glasses\n(hat:1.3)")
    patched = guide(
        guide(model, ValueSignFlip(0.9, -0.6), negative, (0.0, 1.0), ""), NegativeAway(0.1), conditioning("sd3", 5), (0.0, 0.5), ""
    )
    made = sample(patched, conditioning("sd3", 9, 1), conditioning("sd3", 9, 3), batch=2)
    report = last_report(patched, made)
    text, data = as_text(report), json.loads(as_json(report))
    assert [node["mechanism"] for node in data["nodes"]] == ["VSF", "NASA"]
    assert [n["text"] for n in data["nodes"][0]["negatives"]] == ["glasses", "(hat:1.3)"]
    tokens = data["nodes"][0]["negatives"][0]["tokens"]
    assert set(tokens) == {"clip_l", "clip_g", "t5xxl"}
    for words in (
        'away from "glasses"',
        f"clip_l {tokens['clip_l']}",
        "VSF: scale 0.9, offset -0.6",
        "NASA: scale 0.1; from 0 to 0.5",
        "SD3 model, 3",
    ):
        assert words in text
    assert any("padding is unknown" in note for note in data["notes"]) and data["finished"] and not data["has_attention_map"]


def test_several_samplers_on_one_model() -> None:
    """The report belongs to the latent that it is shown with."""
    positive, patched = conditioning("sd3", 9, 1), guide(FACTORIES["sd3"](), VSF, conditioning("sd3", 5, 2), (0.0, 1.0), "")
    long, short = sample(patched, positive, positive, steps=5), sample(patched, positive, positive, steps=2)
    assert len(last_report(patched, long).steps) == 5 and len(last_report(patched, short).steps) == 2
    assert len(last_report(patched, short.half().float()).steps) == 2
    other = sample(guide(FACTORIES["sd3"](), VSF, conditioning("sd3", 5, 2), (0.0, 1.0), ""), positive, positive, seed=9)
    assert any("not what the last runs" in note for note in last_report(patched, other).notes)


def test_each_model_has_its_own_report() -> None:
    model, negative, positive = FACTORIES["sd3"](), conditioning("sd3", 5, 2), conditioning("sd3", 9, 1)
    weak = guide(model, ValueSignFlip(0.1, 0.0), negative, (0.0, 1.0), "")
    strong = guide(model, ValueSignFlip(2.0, 0.0), negative, (0.0, 1.0), "")
    sample(weak, positive, positive)
    sample(strong, positive, positive)
    assert last_report(weak).nodes[0].settings["scale"] == 0.1 and last_report(strong).nodes[0].settings["scale"] == 2.0
    assert last_report(weak).steps[0]["change"][0] < last_report(strong).steps[0]["change"][0]
    # Nodes after ours (a LoRA) work on clones; the report is found from either.
    assert last_report(strong.clone()) is last_report(strong)


def test_report_says_what_is_missing() -> None:
    model = FACTORIES["sd3"]()
    with pytest.raises(ValueError, match="no Avert node before it"):
        last_report(model)
    patched = guide(model, VSF, conditioning("sd3", 5), (0.0, 1.0), "")
    with pytest.raises(ValueError, match="No run with this model has been recorded"):
        last_report(patched)
    made = sample(patched, conditioning("sd3", 9), conditioning("sd3", 9))
    assert not last_report(patched, made).notes[1:]
    assert any("not what the last runs" in note for note in last_report(patched, made * 3).notes)


def test_broken_off_run_is_told() -> None:
    def stop(step: int, *args: Any) -> None:
        if step == 1:
            raise KeyboardInterrupt

    patched = guide(FACTORIES["sd3"](), VSF, conditioning("sd3", 5), (0.0, 1.0), "")
    with pytest.raises(KeyboardInterrupt):
        sample(patched, conditioning("sd3", 9), conditioning("sd3", 9), callback=stop)
    report = last_report(patched)
    assert not report.finished and "did not finish" in as_text(report) and len(report.steps) == 2


def test_released_layout_without_meaning_is_told() -> None:
    assert any("released has no meaning on a Wan model" in note for note in run("wan", ValueSignFlip(1.0, 0.2, "released")).notes)
