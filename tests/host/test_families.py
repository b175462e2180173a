"""Check every family that has a spec: exact against a dense reference, neutral when it should be, blind where it should be, and clean afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.score.combine import NegativeGuidance
from avert.host.families import find_family
from avert.host.guide import guide, guide_score
from avert.host.install import last_report
from torch import Tensor

from family_reference import Reference
from family_spec import Spec, all_specs, flat, model_of, parts, spec_params
from guided_runs import module_outline, patcher_outline
from reference.branches import Nag, Nasa, Vsf
from support import declare
from tiny import sample

MECHANISMS: dict[str, tuple[Mechanism, Any]] = {
    "VSF": (ValueSignFlip(1.2, 0.0), Vsf(0, 1.2, 0.0)),
    "VSF offset": (ValueSignFlip(0.94, -0.6), Vsf(0, 0.94, -0.6)),
    "NAG": (NormalizedGuidance(5.0, 2.5, 0.25), Nag(0, 5.0, 2.5, 0.25)),
    "NASA": (NegativeAway(0.3), Nasa(0, 0.3)),
}
# (cfg, pictures, tokens of positive, sampler's negative and ours)
CIRCUMSTANCES = ((1.0, 1, (9, 9, 5)), (3.0, 2, (9, 9, 6)), (3.0, 1, (7, 12, 11)), (1.0, 2, (11, 5, 4)))
SPECS = spec_params()
WINDOW = (0.0, 1.0)


def spec_of(name: str) -> Spec:
    return all_specs()[name]


def run(name: str, model: Any, cfg: float = 1.0, batch: int = 1, lengths: tuple[int, int] = (9, 9), **options: Any) -> Tensor:
    spec = spec_of(name)
    positive, negative = spec.prompt(lengths[0], 1), spec.prompt(lengths[1], 2)
    out = sample(model, positive, negative, cfg, **{"steps": 2, "latent": spec.latent(batch)} | options)
    return flat(out)


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm())


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", SPECS)
def test_exact(request: pytest.FixtureRequest, name: str, mechanism: str) -> None:
    """The picture is the reference's to 1e-3 of what guidance changes."""
    declare(request, spec_of(name).title, mechanism.split()[0])
    spec, model = spec_of(name), model_of(name)
    ours, dense = MECHANISMS[mechanism]
    cfg, batch, (positive, own, avoided) = CIRCUMSTANCES[(sum(name.encode()) + list(MECHANISMS).index(mechanism)) % len(CIRCUMSTANCES)]
    settings: dict[str, Any] = {"cfg": cfg, "batch": batch, "lengths": (positive, own)}
    plain = run(name, model, **settings)
    guided = run(name, guide(model, ours, spec.prompt(avoided, 3), WINDOW, ""), **settings)
    reference = Reference(spec, dense, spec.prompt(avoided, 3))
    with reference.on(model) as patched:
        expected = run(name, patched, **settings)
    effect = distance(expected, plain)
    assert set(reference.calls) == {spec.calls}
    assert torch.isfinite(guided).all() and effect > 0.002 * plain.norm(), "the guidance changes too little for a comparison"
    assert distance(guided, expected) <= 1e-3 * effect, f"off by {distance(guided, expected) / effect:.1e} of the effect"


@pytest.mark.parametrize("mechanism", [ValueSignFlip(0.0, 0.0), NormalizedGuidance(1.0, 2.5, 0.25), NegativeAway(0.0)])
@pytest.mark.parametrize("name", SPECS)
def test_neutral_is_the_same_bits(name: str, mechanism: Mechanism) -> None:
    model = model_of(name)
    assert torch.equal(run(name, guide(model, mechanism, spec_of(name).prompt(5, 3), WINDOW, ""), cfg=3.0), run(name, model, cfg=3.0))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("name", SPECS)
def test_a_negative_that_nobody_sees_changes_nothing(name: str, cfg: float) -> None:
    """With a large offset the image does not see it, so that neither positions, masks, refiners nor the positive may have noticed it."""
    model, plain = model_of(name), run(name, model_of(name), cfg)
    seen = run(name, guide(model, ValueSignFlip(1.0, 0.0), spec_of(name).prompt(5, 3), WINDOW, ""), cfg)
    for length in (1, 5, 40):
        unseen = run(name, guide(model, ValueSignFlip(1.0, 1e4), spec_of(name).prompt(length, 3), WINDOW, ""), cfg)
        assert distance(unseen, plain) < 1e-4 * distance(seen, plain)


@pytest.mark.parametrize("name", SPECS)
def test_two_negatives_are_two(name: str) -> None:
    """Two nodes: each negative for itself, so that their order does not matter."""
    spec, model = spec_of(name), model_of(name)
    first, second = (ValueSignFlip(1.0, 0.0), spec.prompt(4, 3)), (ValueSignFlip(0.7, 0.1), spec.prompt(7, 4))

    def both(*nodes: Any) -> Tensor:
        guided = model
        for mechanism, negative in nodes:
            guided = guide(guided, mechanism, negative, WINDOW, "")
        return run(name, guided)

    effect = distance(both(first, second), run(name, model))
    assert distance(both(first, second), both(second, first)) < 1e-3 * effect
    assert distance(both(first, second), both(first)) > 0.01 * effect


@pytest.mark.parametrize("name", SPECS)
def test_the_report_counts_the_blocks(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    family = find_family(model.model)
    guided = guide(model, ValueSignFlip(1.0, 0.0), spec.prompt(5, 3), WINDOW, "")
    run(name, guided)
    report = last_report(guided)
    assert (report.family, report.layers_total) == (spec.family, spec.calls) == (family.name, family.layers())
    assert [step["layers"] for step in report.steps] == [spec.calls] * 2 and not report.notes[1:]
    x, *_ = parts(spec.latent(1))
    assert family.grid(x).tokens == spec.image_tokens(x)


@pytest.mark.parametrize("name", SPECS)
def test_only_the_chosen_blocks_act(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    last = str(spec.calls - 1)
    some = run(name, guide(model, ValueSignFlip(1.0, 0.0), spec.prompt(5, 3), WINDOW, last))
    everywhere = run(name, guide(model, ValueSignFlip(1.0, 0.0), spec.prompt(5, 3), WINDOW, ""))
    plain = run(name, model)
    assert distance(some, plain) > 0 and distance(some, everywhere) > 1e-3 * distance(everywhere, plain)


@pytest.mark.parametrize("name", SPECS)
def test_nothing_stays_behind(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    plain, before = run(name, model), (patcher_outline(model), module_outline(model))
    for steps in (1, 2):
        run(name, guide(model, NormalizedGuidance(5.0, 2.5, 0.25), spec.prompt(5, 3), WINDOW, ""), steps=steps)
    assert (patcher_outline(model), module_outline(model)) == before
    assert torch.equal(run(name, model), plain)


@pytest.mark.parametrize("name", SPECS)
def test_predictions_are_guided_too(request: pytest.FixtureRequest, name: str) -> None:
    """In one step the picture is the prediction, so D_empty + 3 (D_positive - D_empty) - 1.5 (D_negative - D_empty) can be added up from three runs."""
    declare(request, spec_of(name).title, "predictions")
    spec, model = spec_of(name), model_of(name)
    positive, empty, avoided = (spec.prompt(length, seed) for length, seed in ((9, 1), (9, 2), (6, 3)))
    # The last of four steps: some samplings begin at a noise of thousands, which would round all else away.
    settings: dict[str, Any] = {"steps": 4, "start_step": 3, "latent": spec.latent(1)}
    d_positive, d_empty, d_negative = (flat(sample(model, text, empty, 1.0, **settings)).double() for text in (positive, empty, avoided))
    guided = flat(sample(guide_score(model, NegativeGuidance(1.5, "empty"), avoided, WINDOW), positive, empty, 3.0, **settings))
    expected = d_empty + 3 * (d_positive - d_empty) - 1.5 * (d_negative - d_empty)
    assert distance(guided, expected) < 1e-3 * distance(d_negative, d_empty)
