"""DNG: Dynamic Negative Guidance as a node."""

from __future__ import annotations

from typing import Any

from ..guidance.score.combine import DynamicNegativeGuidance, Reference
from ..guidance.score.presets import DNG, OWN, chosen
from ..host.api import OWN_CACHE, describe, io
from ..host.guide import guide_score
from .score_inputs import ALIASES, CATEGORY, model_and_negative, number, preset, reference, window


class AvertDNG(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "lambda0: D = D_cfg - lambda0 p / (1 - p) (D_negative - D_reference), p the probability that this picture becomes the negative. 0 is off."
        prior = (
            "p0: how probable the negative is before the first step. It never rises far above p0 over the true frequency, but for `offset`."
        )
        temperature = (
            "tau: log p grows by tau times the evidence of each step, a sum over all numbers of the latent. Lower is slower and steadier; larger pictures "
            "need less. The paper: 0.2 to 0.3."
        )
        offset = "delta: what log p gains over the whole run without any evidence, in nats, whatever the scheduler. 3.1 is the paper's delta of 0.004."
        low, high = (
            "p never falls below this.",
            "p never rises above this, so that p / (1 - p) is at most 1 for 0.5, 4 for 0.8, 9 for 0.9, 99 for 0.99.",
        )
        return describe(
            node_id="AvertDNG",
            display_name="Avert DNG (Dynamic Negative Guidance)",
            category=CATEGORY,
            search_aliases=["dynamic negative guidance", "posterior", *ALIASES],
            description="A negative prompt that acts only when the picture is becoming what it says. One more prediction each time. "
            "Made for samplers that add noise: euler_ancestral, dpmpp_sde, ddpm.",
            inputs=[
                *model_and_negative(),
                number("scale", 20.0, 1000.0, 0.1, scale),
                number("prior", 0.01, 0.999, 0.001, prior, 0.000001, 0.000001),
                number("temperature", 0.2, 10.0, 0.01, temperature),
                number("offset", 3.0, 100.0, 0.1, offset, -100.0),
                number("min_posterior", 0.000001, 0.5, 0.000001, low, 0.000000001, 0.000000001),
                number("max_posterior", 0.8, 0.9999, 0.01, high, 0.001, 0.0001),
                reference("positive"),
                *window(),
                preset(DNG),
            ],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        scale: float,
        prior: float,
        temperature: float,
        offset: float,
        min_posterior: float,
        max_posterior: float,
        negative: Any = None,
        reference: Reference = "positive",
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        preset: str = OWN,
    ) -> io.NodeOutput:
        numbers = chosen(DNG, preset, {"scale": scale, "prior": prior, "temperature": temperature, "offset": offset})
        settings = DynamicNegativeGuidance(**numbers, min_posterior=min_posterior, max_posterior=max_posterior, reference=reference)
        return io.NodeOutput(guide_score(model, settings, negative, (start_percent, end_percent)))
