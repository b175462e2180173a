"""The pack's nodes, as ComfyUI finds them."""

from __future__ import annotations

from ..host.api import ComfyExtension, io
from .demo import AvertDemoModel
from .nag import AvertNAG, AvertNASA
from .negative import AvertAmplify, AvertNegativePrompt
from .report import AvertReport
from .vsf import AvertVSF


class AvertExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [AvertVSF, AvertNAG, AvertNASA, AvertNegativePrompt, AvertAmplify, AvertReport, AvertDemoModel]


async def comfy_entrypoint() -> AvertExtension:
    return AvertExtension()
