"""Check that a compiled model gives what it gives uncompiled, in whatever order runs with and without guidance come.

The host's node leaves `transformer_options` out of what a compiled graph is chosen by (comfy_extras/nodes_torch_compile.py), and our
attention override lives there: a graph made with it must never serve a run without it, nor the other way round.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from avert.guidance.attention.mechanism import ValueSignFlip
from comfy_api.torch_helpers import set_torch_compile_wrapper
from torch import Tensor

from family_spec import all_specs
from guided_runs import MECHANISMS, avoid, change, guided
from tiny import conditioning, sample, tiny_flux, tiny_sd3, tiny_wan

SMALL: dict[str, Callable[[], Any]] = {
    "flux": lambda: tiny_flux(double=1, single=1),
    "sd3": lambda: tiny_sd3(layers=1),
    "wan": lambda: tiny_wan(layers=1),
}
CLOSE = 1e-4
# A run: tokens of the positive, tokens of the negative (0: no Avert node), mechanism, window, cfg.
Step = tuple[int, int, str, tuple[float, float], float]
ALL, MIDDLE = (0.0, 1.0), (0.2, 0.7)
SHORT: list[Step] = [
    (20, 0, "", ALL, 1.0),
    (20, 7, "vsf", ALL, 1.0),
    # As many tokens as the run before had with its negative.
    (27, 0, "", ALL, 1.0),
    (13, 7, "vsf", ALL, 1.0),
    (20, 7, "vsf", MIDDLE, 1.0),
    (20, 0, "", ALL, 1.0),
]
LONG: list[Step] = [
    *SHORT,
    (22, 5, "nag", MIDDLE, 1.0),
    (20, 7, "vsf", ALL, 3.0),
    (20, 0, "", ALL, 3.0),
    (18, 9, "nasa", ALL, 3.0),
    (27, 0, "", ALL, 3.0),
    (20, 7, "released", ALL, 1.0),
    (34, 0, "", ALL, 1.0),
]
GUIDED_FIRST: list[Step] = [(20, 7, "vsf", MIDDLE, 1.0), (27, 0, "", ALL, 1.0), (15, 5, "nag", ALL, 1.0), (20, 0, "", ALL, 1.0)]


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def keep_no_guards_on_options(entries: Any) -> list[bool]:
    return ["transformer_options" not in entry.name for entry in entries]


def compiled(base: Any, backend: str, filtered: bool = True) -> Any:
    clone = base.clone()
    options = {"guard_filter_fn": keep_no_guards_on_options} if filtered else None
    set_torch_compile_wrapper(model=clone, backend=backend, options=options)
    return clone


def run(base: Any, family: str, step: Step) -> Tensor:
    length, avoided, mechanism, window, cfg = step
    setting = {**MECHANISMS, "released": ValueSignFlip(1.0, -0.5, "released")}.get(mechanism)
    patched = base if setting is None else guided(base, avoid(family, avoided), setting, window)
    sides = conditioning(family, length, 1, pad_to=0), conditioning(family, 11, 3, pad_to=0)
    return sample(patched, *sides, cfg, steps=3 if window == ALL else 5)


def walk(family: str, steps: list[Step], backend: str, filtered: bool = True) -> None:
    base = SMALL[family]()
    quick = compiled(base, backend, filtered)
    for index, step in enumerate(steps):
        plain, fast = run(base, family, step), run(quick, family, step)
        assert change(plain, fast) < CLOSE, f"run {index}: {step}"


def test_compiled() -> None:
    walk("sd3", SHORT, "eager")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["flux", "sd3", "wan"])
@pytest.mark.parametrize("steps", [LONG, GUIDED_FIRST], ids=["plain first", "guided first"])
def test_compiled_long(family: str, steps: list[Step]) -> None:
    walk(family, steps, "eager")


@pytest.mark.slow
def test_compiled_when_graphs_run_out() -> None:
    # Above this many graphs a function goes on uncompiled, and the functions that it calls are looked up by themselves.
    with torch._dynamo.config.patch(recompile_limit=2):
        walk("flux", LONG, "eager")


@pytest.mark.slow
def test_compiled_with_guards_on_the_options() -> None:
    walk("flux", SHORT, "eager", filtered=False)


@pytest.mark.slow
def test_compiled_with_blocks_chosen_in_some_runs() -> None:
    base = SMALL["flux"]()
    quick = compiled(base, "eager")
    sides = conditioning("flux", 20, 1), conditioning("flux", 11, 3)
    for blocks in ("1", "", "0", ""):
        plain, fast = (sample(guided(m, avoid("flux"), blocks=blocks), *sides) for m in (base, quick))
        assert change(plain, fast) < CLOSE, blocks


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiled_by_inductor() -> None:
    walk("sd3", LONG, "inductor")


@pytest.mark.parametrize(
    "family", ["sd3", pytest.param("flux", marks=pytest.mark.slow), pytest.param("qwen_image", marks=pytest.mark.slow)]
)
def test_guidance_breaks_no_graph(family: str) -> None:
    """One graph for the whole model, as without guidance; with blocks chosen too."""
    base = SMALL[family]() if family in SMALL else all_specs()[family].build()
    quick, counters = compiled(base, "eager"), torch._dynamo.utils.counters
    spec = all_specs().get(family)
    settings: dict[str, Any] = {} if spec is None else {"latent": spec.latent(1)}
    positive = conditioning(family, 20, 1) if spec is None else spec.prompt(9, 1)
    avoided = avoid(family) if spec is None else spec.prompt(5, 3)
    for number, blocks in enumerate((None, "", "0")):
        counters.clear()
        plain, fast = (
            sample(m if blocks is None else guided(m, avoided, blocks=blocks), positive, positive, **settings) for m in (base, quick)
        )
        assert change(plain, fast) < CLOSE, f"run {number}"
        # Which blocks act is found out while the graph runs.
        assert not counters["graph_break"] and counters["stats"]["unique_graphs"] == (0 if blocks == "0" else 1)


def test_a_compiled_model_is_not_compiled_again_for_the_same_run() -> None:
    quick = compiled(SMALL["sd3"](), "eager")
    graphs = torch._dynamo.utils.counters["stats"]
    pictures, counts = [], []
    for _ in range(3):
        pictures.append(run(quick, "sd3", (20, 7, "vsf", ALL, 1.0)))
        counts.append(graphs["unique_graphs"])
    assert counts[0] > 0
    assert counts[1] == counts[2]
    assert torch.equal(pictures[1], pictures[2])
