"""Check that presets choose the published numbers for the model at hand, that the report names them, and that they end where they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.presets import NAG, VSF
from avert.host.families import FAMILIES
from avert.host.install import last_report
from avert.nodes.nag import AvertNAG
from avert.nodes.vsf import AvertVSF

from guided_runs import avoid, model, prompts
from tiny import sample

OWN: dict[str, dict[str, float]] = {"NAG": {"nag_scale": 2.0, "nag_tau": 1.5, "nag_alpha": 0.9}, "VSF": {"scale": 3.0, "offset": 0.5}}


def patched(name: str, family: str, preset: str, **own: Any) -> Any:
    node = AvertNAG if name == "NAG" else AvertVSF
    return node.execute(model(family), **(OWN[name] | own), negative=avoid(family), preset=preset).args[0]


def run(guided: Any, family: str, steps: int = 2) -> torch.Tensor:
    return sample(guided, *prompts(family), 1.0, steps=steps)


@pytest.mark.parametrize(
    ("family", "nag", "vsf"),
    [
        ("sd15", "SD1.5", "paper, quality"),
        ("sdxl", "SDXL", "paper, quality"),
        ("sd3", "SD3", "SD3"),
        ("flux", "Flux", "paper, quality"),
        ("wan", "Wan", "Wan"),
    ],
)
def test_auto_takes_what_was_published_for_the_model(family: str, nag: str, vsf: str) -> None:
    for name, preset, table in (("NAG", nag, NAG), ("VSF", vsf, VSF)):
        guided = patched(name, family, "auto")
        run(guided, family)
        settings = last_report(guided).nodes[0].settings
        assert settings["preset"] == preset
        assert {key: settings[key] for key in OWN[name]} == table[preset].numbers
        assert settings.get("until_sigma", 0.0) == table[preset].until_sigma


def test_a_preset_is_its_numbers_and_custom_is_ones_own() -> None:
    named, written, own = (patched("VSF", "wan", *rest) for rest in (("Wan",), ("custom",), ("custom",)))
    written = AvertVSF.execute(model("wan"), **VSF["Wan"].numbers, negative=avoid("wan")).args[0]
    assert torch.equal(run(named, "wan"), run(written, "wan"))
    assert not torch.equal(run(named, "wan"), run(own, "wan"))
    assert last_report(own).nodes[0].settings == {"scale": 3.0, "offset": 0.5, "layout": "paper"}


def test_it_rests_below_its_noise_level() -> None:
    """NAG's preset of Flux ends at 0.75: with 8 even steps the first two are above."""
    guided = patched("NAG", "flux", "Flux")
    run(guided, "flux", steps=8)
    report = last_report(guided)
    sigmas = [step["sigma"] for step in report.steps]
    assert sigmas and min(sigmas) > 0.75
    assert all(skip["sigma"] <= 0.75 for skip in report.skipped) and len(report.skipped) + len(sigmas) == 8


def test_presets_are_for_the_papers_layout() -> None:
    guided = AvertVSF.execute(model("sd3"), 3.0, 0.2, avoid("sd3"), layout="released", preset="SD3").args[0]
    run(guided, "sd3")
    assert last_report(guided).nodes[0].settings["layout"] == "paper"


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(ValueError, match="There is no preset 'none such'; there are custom, auto"):
        patched("NAG", "sd3", "none such")


def test_every_preset_for_a_model_is_named_as_the_model_is() -> None:
    """What is named after a model, and not after a paper or a use of it, is found by its name."""
    names = {family.name for family in FAMILIES} | {"SD1.5", "SDXL"}
    for table in (VSF, NAG):
        of_models = {name for name in table if not name.startswith("paper") and "," not in name} - {"Flux Kontext"}
        assert of_models <= names
