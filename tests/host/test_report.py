"""Check the report's numbers against attention computed apart, and when maps are made at all."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import avert.host.record
import comfy.model_management
import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.install import last_report
from avert.host.report_picture import draw_maps, draw_plot, to_image
from avert.host.report_text import as_json, as_text
from avert.host.running_prompt import contains_node
from torch import Tensor

from guided_runs import VSF, Shared, avoid, guided, model, prompts, unpadded, with_override
from tiny import sample

TEXT, TOKENS, OFFSET = 20, 7, 0.4


def running(monkeypatch: pytest.MonkeyPatch, *classes: str) -> None:
    """Stand for a server that runs a workflow with these nodes (server.PromptServer.instance.prompt_queue.currently_running)."""
    workflow = {str(i): {"class_type": name, "inputs": {}} for i, name in enumerate(classes)}
    server = ModuleType("server")
    queue = SimpleNamespace(currently_running={0: (0, "id", workflow, {}, [])})
    server.PromptServer = SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "server", server)


class Keep(Shared):
    """Pass attention on, and keep the queries and keys of calls whose queries are image tokens and keys are wanted, as [B, H, L, D]."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, *args: Any, **kw: Any) -> Tensor:
        if kw.get("skip_reshape"):
            self.calls.append((q, k))
        return func(q, k, v, heads, *args, **kw)


def log_sum(q: Tensor, k: Tensor) -> Tensor:
    return torch.logsumexp(q.double() @ k.double().transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)


@pytest.mark.parametrize("mechanism", [ValueSignFlip(1.0, OFFSET), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.3)])
def test_share_and_map_of_a_joint_layer(monkeypatch: pytest.MonkeyPatch, mechanism: Mechanism) -> None:
    running(monkeypatch, "KSampler", "AvertReport")
    keep = Keep()
    patched = guided(with_override(model("sd3"), keep), avoid("sd3", TOKENS), mechanism, blocks="1")
    sample(patched, *prompts("sd3", TEXT), steps=1, batch=2)
    report = last_report(patched)
    image = math.prod(report.maps.shape[-2:])
    whole = TEXT + image
    # Of the guided layer: the call that has the image's queries with the negative's keys alone.
    (queries, minus), *more = [(q, k) for q, k in keep.calls if q.shape[2] == image and k.shape[2] == TOKENS]
    assert not more
    # Of the same layer: every key of image and prompt.
    plus = whole_keys(keep.calls, queries, whole)
    offset = getattr(mechanism, "offset", 0.0)
    share = torch.sigmoid(log_sum(queries, minus) - offset - log_sum(queries, plus)).mean(dim=1)
    assert report.steps[0]["share"] == pytest.approx(share.mean(dim=1).tolist(), rel=1e-4)
    torch.testing.assert_close(report.maps[0, :, 0].flatten(1).double(), share, rtol=1e-3, atol=1e-6)


def whole_keys(calls: list[tuple[Tensor, Tensor]], queries: Tensor, size: int) -> Tensor:
    """Find the keys of prompt and image that go with the image's queries: in one call (VSF), or apart (all others)."""
    image = queries.shape[2]
    same = [(q, k) for q, k in calls if q.shape[2] >= image and torch.equal(q[:, :, -image:], queries)]
    together = [k for _, k in same if k.shape[2] == size]
    if together:
        return together[0]
    text = next(k for q, k in same if k.shape[2] == TEXT and q.shape[2] == size)
    return torch.cat([text, next(k for _, k in same if k.shape[2] == image)], dim=2)


@pytest.mark.parametrize("classes", [(), ("KSampler", "AvertVSF"), ("AvertReporter",)])
def test_no_map_is_made_when_nobody_looks(monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...]) -> None:
    running(monkeypatch, *classes)
    monkeypatch.setattr(avert.host.record, "mean_map", None)
    patched = guided(model("sd3"), avoid("sd3"))
    sample(patched, *prompts("sd3"), steps=1)
    assert last_report(patched).maps is None
    assert json.loads(as_json(last_report(patched)))["has_attention_map"] is False
    assert to_image(draw_maps(last_report(patched))).shape[0] == 1


def test_looking_does_not_change_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = guided(model("sd15"), avoid("sd15"))
    alone = sample(patched, *prompts("sd15"), 3.0, steps=2)
    running(monkeypatch, "AvertReport")
    assert torch.equal(alone, sample(patched, *prompts("sd15"), 3.0, steps=2))
    assert last_report(patched).maps is not None


@pytest.mark.parametrize("queue", [None, {}, {0: (1, "id")}, {0: (1, "id", [1])}, {0: (1, "id", {"1": None})}, {0: None}])
def test_strange_queues_hold_no_nodes(monkeypatch: pytest.MonkeyPatch, queue: Any) -> None:
    running(monkeypatch)
    sys.modules["server"].PromptServer.instance.prompt_queue.currently_running = queue
    assert not contains_node("AvertReport")
    monkeypatch.setitem(sys.modules, "server", ModuleType("server"))
    assert not contains_node("AvertReport")


@pytest.mark.parametrize("family", ["sd3", "wan", "sd15"])
def test_two_clones_have_two_reports_with_maps(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    running(monkeypatch, "AvertReport")
    patched = [guided(model(family), avoid(family, size), VSF) for size in (3, 30)]
    for one in (*patched, patched[0]):
        sample(one, *prompts(family), 3.0, steps=2, batch=2)
    few, many = (last_report(one) for one in patched)
    assert [r.nodes[0].negatives[0]["length"] for r in (few, many)] == [3, 30]
    assert few.maps.mean() < many.maps.mean()
    for report in (few, many):
        assert 0 < report.maps.min() <= report.maps.max() < 1
        assert len(draw_maps(report)) == 4


def test_report_of_a_run_that_ran_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    running(monkeypatch, "AvertReport")

    def fail(step: int, *_: Any) -> None:
        if step == 1:
            raise comfy.model_management.OOM_EXCEPTION("no memory")

    patched = guided(model("sd3"), avoid("sd3"))
    with pytest.raises(comfy.model_management.OOM_EXCEPTION):
        sample(patched, *prompts("sd3"), callback=fail)
    report = last_report(patched)
    assert not report.finished
    assert [step["step"] for step in report.steps] == [0, 1]
    assert "The run did not finish." in report.notes
    assert to_image([draw_plot(report)]).shape == (1, *to_image([draw_plot(report)]).shape[1:])


def test_padding_of_a_conditioning_is_unknown_and_of_ours_known() -> None:
    cond = prompts("sd3")[1]
    notes = []
    for negative in (cond, unpadded(cond)):
        patched = guided(model("sd3"), negative)
        sample(patched, *prompts("sd3"), steps=1)
        notes.append(last_report(patched).notes)
    assert len(notes[0]) == 1
    assert "padding is unknown" in notes[0][0]
    assert notes[1] == []


def test_run_without_guided_steps_says_so_everywhere() -> None:
    patched = guided(model("sd3"), avoid("sd3"), VSF, (0.99, 1.0))
    sample(patched, *prompts("sd3"), steps=2, last_step=1)
    report = last_report(patched)
    assert report.steps == []
    assert "No step was guided: outside its window." in as_text(report)
    assert json.loads(as_json(report))["steps"] == []
    assert to_image([draw_plot(report)]).max() <= 1
