"""Help the tests of guidance in the space of scores: settings, and the tiny models with them."""

from __future__ import annotations

from typing import Any

from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
from avert.guidance.score.perp_neg import PerpendicularGuidance
from avert.guidance.score.sld import SafeLatentDiffusion
from avert.host.guide import guide_score

from guided_runs import model
from tiny import conditioning

FAMILIES = ("sd15", "sd3", "flux", "wan")
STATIC, EMPTY = NegativeGuidance(0.7, "positive"), NegativeGuidance(0.7, "empty")
# Random models differ a lot in what they predict, and a small temperature keeps the posterior from falling at once.
DNG = DynamicNegativeGuidance(4.0, 0.3, 1e-4, 0.0, 1e-6, 0.9)
SLD, PERP = SafeLatentDiffusion(1000.0, 0, 0.01, 0.3, 0.4), PerpendicularGuidance(0.8)
ALL = (STATIC, EMPTY, DNG, SLD, PERP)


def unwanted(family: str, seed: int = 2) -> list:
    return conditioning(family, 9, seed)


def scored(family: str, mechanism: Any, window: tuple[float, float] = (0.0, 1.0), negative: Any = ...) -> Any:
    return guide_score(model(family), mechanism, unwanted(family) if negative is ... else negative, window)
