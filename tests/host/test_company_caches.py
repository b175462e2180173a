"""Check what the report says of evaluations that a cache of the host answers in the model's place."""

from __future__ import annotations

from typing import Any

import pytest
from avert.host.install import last_report
from avert.host.report_text import as_text
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from guided_runs import avoid, guided, host_node, model, prompts, spy
from tiny import sample

REASON = "a cache skipped the model"


def asking(base: Any, asked: list[float]) -> Any:
    """Note the noise level of every evaluation that the sampler asks for, before any other node."""
    clone = base.clone()

    def note(executor: Any, x: Tensor, timestep: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        asked.append(float(timestep[0]))
        return executor(x, timestep, *args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "test", note)
    return clone


def cached(base: Any, node: str) -> Any:
    return host_node("nodes_easycache", node).execute(base, 3.0, 0.1, 1.0, False).result[0]


@pytest.mark.parametrize("first", ["cache", "avert"])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("node", ["EasyCacheNode", "LazyCacheNode"])
def test_evaluations_that_a_cache_leaves_out_are_in_the_report(node: str, sampler: str, first: str) -> None:
    steps, asked, plain = 6, [], []
    base = asking(model("flux"), asked)
    patched = guided(cached(base, node), avoid("flux")) if first == "cache" else cached(guided(base, avoid("flux")), node)
    sample(guided(asking(model("flux"), plain), avoid("flux")), *prompts("flux"), steps=steps, sampler_name=sampler)
    with spy(patched) as calls:
        sample(patched, *prompts("flux"), steps=steps, sampler_name=sampler)
    report = last_report(patched)
    assert asked == plain and {skip["reason"] for skip in report.skipped} == {REASON}
    assert sum(step["evaluations"] for step in report.steps) + len(report.skipped) == len(asked)
    if node == "LazyCacheNode":  # EasyCache leaves out the blocks, but calls the model
        assert sum(step["evaluations"] for step in report.steps) == len(calls) < len(asked)
    # Which step a noise level belongs to: the sampler begins one with each new level of the schedule, in order.
    levels = sorted(set(asked), reverse=True)
    for entry in report.skipped:
        late = 1 if sampler == "heun" else 0
        assert 0 <= levels.index(entry["sigma"]) - entry["step"] <= late
    assert f"{len(report.skipped)} evaluations not guided: {REASON}" in as_text(report)


def test_a_prompt_that_is_not_asked_for_is_not_taken_for_a_cache() -> None:
    positive, negative = prompts("flux")
    late = [[positive[0][0], {**positive[0][1], "start_percent": 0.6}]]
    patched = guided(model("flux"), avoid("flux"))
    sample(patched, late, negative, steps=4)
    assert 0 < len(last_report(patched).steps) < 4 and not last_report(patched).skipped
