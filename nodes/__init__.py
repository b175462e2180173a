"""The pack's nodes, as ComfyUI finds them."""

from __future__ import annotations

from ..host.api import ComfyExtension, io
from .compare import AvertCompare
from .demo import AvertDemoModel
from .dng import AvertDNG
from .nag import AvertNAG, AvertNASA
from .negative import AvertAmplify, AvertNegativePrompt
from .report import AvertReport
from .score import AvertNegativeGuidance, AvertPerpNeg, AvertSLD
from .vlm import AvertLoadVLM, AvertVLMNegative
from .vsf import AvertVSF


class AvertExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            AvertVSF,
            AvertNAG,
            AvertNASA,
            AvertNegativeGuidance,
            AvertDNG,
            AvertSLD,
            AvertPerpNeg,
            AvertNegativePrompt,
            AvertVLMNegative,
            AvertLoadVLM,
            AvertAmplify,
            AvertReport,
            AvertCompare,
            AvertDemoModel,
        ]


async def comfy_entrypoint() -> AvertExtension:
    return AvertExtension()
