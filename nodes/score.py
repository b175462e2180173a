"""Static negative guidance, Safe Latent Diffusion and Perp-Neg as nodes."""

from __future__ import annotations

from typing import Any

from ..guidance.score.combine import NegativeGuidance, Reference
from ..guidance.score.perp_neg import PerpendicularGuidance
from ..guidance.score.presets import OWN, SLD, chosen
from ..guidance.score.sld import SafeLatentDiffusion
from ..host.api import OWN_CACHE, describe, io
from ..host.guide import guide_score
from .score_inputs import ALIASES, CATEGORY, model_and_negative, number, preset, reference, window


class AvertNegativeGuidance(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "w: D = D_cfg - w (D_negative - D_reference), the same in every step. 0 is off."
        return describe(
            node_id="AvertNegativeGuidance",
            display_name="Avert Negative Guidance (three-term CFG)",
            category=CATEGORY,
            search_aliases=["static negative guidance", *ALIASES],
            description="A negative prompt beside the empty one: pushes away from the negative with a strength of its own. One more prediction each time.",
            inputs=[*model_and_negative(), number("negative_scale", 2.0, 100.0, 0.1, scale), reference("empty"), *window()],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        negative_scale: float,
        negative: Any = None,
        reference: Reference = "empty",
        start_percent: float = 0.0,
        end_percent: float = 1.0,
    ) -> io.NodeOutput:
        return io.NodeOutput(guide_score(model, NegativeGuidance(negative_scale, reference), negative, (start_percent, end_percent)))


class AvertSLD(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "s: each number of the latent is guided by m = min(1, s |e_positive - e_negative|), and e = e_cfg - cfg m (e_negative - e_empty). Below 1 is off."
        warmup = "Without guidance at first: so many steps of a run of 50, and the same share of other runs."
        threshold = "lambda: m is 0 where e_positive - e_negative is at least this; more guides more of the picture."
        momentum = "s_m: adds this times the momentum, which remembers the guidance of the steps before."
        beta = "beta_m: how slowly the momentum forgets: n <- beta_m n + (1 - beta_m) g."
        return describe(
            node_id="AvertSLD",
            display_name="Avert SLD (Safe Latent Diffusion)",
            category=CATEGORY,
            search_aliases=["safe latent diffusion", *ALIASES],
            description="Pushes away from the negative only where the picture comes near it. One more prediction each time. Presets weak to max of the paper.",
            inputs=[
                *model_and_negative(own_too=False),
                number("guidance_scale", 1000.0, 100000.0, 1.0, scale),
                number("warmup_steps", 10.0, 50.0, 1.0, warmup),
                number("threshold", 0.01, 10.0, 0.001, threshold),
                number("momentum_scale", 0.3, 1.0, 0.01, momentum),
                number("momentum_beta", 0.4, 1.0, 0.01, beta),
                *window(),
                preset(SLD),
            ],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        guidance_scale: float,
        warmup_steps: float,
        threshold: float,
        momentum_scale: float,
        momentum_beta: float,
        negative: Any = None,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        preset: str = OWN,
    ) -> io.NodeOutput:
        own = {
            "guidance_scale": guidance_scale, "warmup_steps": warmup_steps, "threshold": threshold,
            "momentum_scale": momentum_scale, "momentum_beta": momentum_beta,
        }  # fmt: skip
        settings = SafeLatentDiffusion(**chosen(SLD, preset, own))
        return io.NodeOutput(guide_score(model, settings, negative, (start_percent, end_percent)))


class AvertPerpNeg(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        scale = "w: D = D_cfg - cfg w q, q the part of D_negative - D_empty at right angles to D_positive - D_empty, each picture for itself. 0 is off."
        return describe(
            node_id="AvertPerpNeg",
            display_name="Avert Perp-Neg",
            category=CATEGORY,
            search_aliases=["perpendicular negative guidance", *ALIASES],
            description="A negative prompt that cannot take back what the positive prompt asks for. One more prediction each time.",
            inputs=[*model_and_negative(own_too=False), number("negative_scale", 1.0, 100.0, 0.1, scale), *window()],
            outputs=[io.Model.Output()],
            hidden=OWN_CACHE,
        )

    @classmethod
    def execute(
        cls, model: Any, negative_scale: float, negative: Any = None, start_percent: float = 0.0, end_percent: float = 1.0
    ) -> io.NodeOutput:
        return io.NodeOutput(guide_score(model, PerpendicularGuidance(negative_scale), negative, (start_percent, end_percent)))
