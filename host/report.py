"""What is known about a run when it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Shown:
    """Hold what a vision-language model was shown: JPEG files by (step, picture of the batch)."""

    node: str = ""
    pictures: dict[tuple[int, int], bytes] = field(default_factory=dict)


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
    # Its id in the workflow.
    node: str = ""


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
    # The transcripts of all runs that led to its picture, such as both passes of two; None: not known.
    led: list[dict[str, Any]] | None = None
    # Beside each of its own transcripts: what was shown, as small JPEG files by step and picture, and the node's id.
    shown: list[Shown] = field(default_factory=list)
    # The node that sampled, by its mark (running_prompt.py).
    mark: str = ""
    # How many steps the solver was to take.
    total: int = 0
    # The last preview of the first picture, a JPEG file, where something shows it.
    picture: bytes = b""
    maps: Tensor | None = None
    # Shape and a few values of the latent that the run made, by which it is known again.
    latent: tuple[tuple[int, ...], tuple[float, ...]] | None = None
