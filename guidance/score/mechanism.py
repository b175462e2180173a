"""The score mechanisms as settings: what a node sets once, and what it does to an evaluation."""

from __future__ import annotations

from .combine import DynamicNegativeGuidance, NegativeGuidance
from .perp_neg import PerpendicularGuidance
from .sld import SafeLatentDiffusion

ScoreMechanism = NegativeGuidance | DynamicNegativeGuidance | SafeLatentDiffusion | PerpendicularGuidance
