"""What is known about a run when it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class NodeReport:
    """Describe one node of the run."""

    mechanism: str
    settings: dict[str, Any]
    start_percent: float
    end_percent: float
    blocks: list[int] | None
    negatives: list[dict[str, Any]]
    idle: str
    # Whether it guides inside the attention, where blocks mean something.
    inside: bool = True


@dataclass
class RunReport:
    """Hold what a finished run did; plain numbers but for the maps, float32 [steps, B, frames, h, w] on the CPU (None: not asked for)."""

    family: str
    layers_total: int
    finished: bool = False
    nodes: list[NodeReport] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    backends: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Of each negative of each score mechanism: its strength, posterior and so on in every step.
    curves: list[dict[str, Any]] = field(default_factory=list)
    # Of each vision-language model that watched: the transcript, as it is replayed.
    watched: list[dict[str, Any]] = field(default_factory=list)
    maps: Tensor | None = None
    # Shape and a few values of the latent that the run made, by which it is known again.
    latent: tuple[tuple[int, ...], tuple[float, ...]] | None = None
