"""Compare whole runs with the dense reference: every family, every mechanism, in changing circumstances."""

from __future__ import annotations

from typing import Any

import pytest
from avert.guidance.score.combine import NegativeGuidance
from avert.host.guide import guide_score

from dense_run import JOINT, VARIANTS, Case, Node, assert_exact, distance, model_of, prompt, small_latent, texts
from support import declare
from tiny import sample

# (cfg, batch, tokens of the sampler's positive and negative and of ours, sampler)
CIRCUMSTANCES = (
    (1.0, 1, (20, 20, 7), "euler"),
    (3.0, 2, (24, 24, 9), "euler"),
    (3.0, 1, (40, 60, 12), "heun"),
    (1.0, 2, (30, 11, 30), "dpmpp_2m"),
    (3.0, 1, (15, 15, 21), "dpmpp_2m"),
    (3.0, 2, (33, 22, 5), "euler"),
)
MECHANISMS = {
    "VSF": ("VSF", (1.2, 0.0), "paper"),
    "VSF offset": ("VSF", (2.1, 0.2), "paper"),
    "VSF negative offset": ("VSF", (0.94, -0.6), "paper"),
    "VSF released": ("VSF", (3.3, 0.2), "released"),
    "NAG": ("NAG", (5.0, 2.5, 0.25), "paper"),
    "NASA": ("NASA", (0.3,), "paper"),
}
# As the README names them.
TITLES = {
    "sd3": "SD3, SD3.5 Large", "sd35_medium": "SD3.5 Medium", "flux": "FLUX.1", "kontext": "FLUX.1 Kontext (reference pictures)",
    "wan": "Wan 2.1, 2.2 text to video", "wan_i2v": "Wan 2.1 image to video", "sd15": "SD1.5", "sd15_control": "SD1.5 with ControlNet", "sdxl": "SDXL",
}  # fmt: skip
MATRIX = [
    pytest.param(variant, name, CIRCUMSTANCES[(i + j) % len(CIRCUMSTANCES)], id=f"{variant}-{name}-{(i + j) % len(CIRCUMSTANCES)}")
    for i, variant in enumerate(VARIANTS)
    for j, name in enumerate(MECHANISMS)
    if variant in JOINT or name != "VSF released"
]


@pytest.mark.parametrize(("variant", "mechanism", "circumstances"), MATRIX)
def test_family_and_mechanism(request: pytest.FixtureRequest, variant: str, mechanism: str, circumstances: tuple) -> None:
    declare(request, TITLES[variant], MECHANISMS[mechanism][0])
    cfg, batch, (positive, negative, avoided), sampler_name = circumstances
    method, numbers, layout = MECHANISMS[mechanism]
    node = Node(method, numbers, prompt(variant, avoided, 3), layout=layout)
    same = positive == negative or variant.startswith(("wan", "sd15", "sdxl"))
    assert_exact(
        Case(variant, (node,), *texts(variant, positive, negative), cfg, sampler_name=sampler_name, steps=3, batch=batch),
        together=cfg > 1 and same,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_predictions_are_guided_too(request: pytest.FixtureRequest, variant: str) -> None:
    """One evaluation is D_empty + 3 (D_positive - D_empty) - 1.5 (D_negative - D_empty), added up from three runs at cfg 1."""
    declare(request, TITLES[variant], "predictions")
    model, (positive, empty) = model_of(variant), texts(variant, 20, 20)
    # What belongs to the picture is the positive's.
    avoided = [[prompt(variant, 20, 3)[0][0], {**empty[0][1], "pooled_output": prompt(variant, 20, 3)[0][1]["pooled_output"]}]]
    settings: dict[str, Any] = {"steps": 4, "start_step": 3, "latent": small_latent(variant)}
    d_positive, d_empty, d_negative = (sample(model, text, empty, 1.0, **settings).double() for text in (positive, empty, avoided))
    guided = sample(guide_score(model, NegativeGuidance(1.5, "empty"), avoided, (0.0, 1.0)), positive, empty, 3.0, **settings)
    expected = d_empty + 3 * (d_positive - d_empty) - 1.5 * (d_negative - d_empty)
    assert distance(guided, expected) < 1e-3 * distance(d_negative, d_empty)
