"""What the nodes asked for, before and during a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..guidance.schedule import SigmaRange, Window
from .negative import Prompt


@dataclass(frozen=True)
class Task:
    """Hold what one node asked for: made once in the node, never changed. `negative` None means the sampler's own.

    negative: a Negative or CONDITIONING for mechanisms inside the attention, a tuple of Avoided for those on predictions.
    """

    mechanism: Any
    negative: Any
    window: Window
    layers: frozenset[int] | None = None


@dataclass
class ReadyPrompt:
    """Hold a negative as this run's model takes it; rows: the pictures of the batch that it is for, bool [pictures] (None: all)."""

    prompt: Prompt
    active: SigmaRange
    tokens: Tensor | None = None
    rows: Tensor | None = None


@dataclass
class ReadyTask:
    """Hold a node's task with its negatives found and its window in noise levels."""

    task: Task
    active: SigmaRange
    prompts: list[ReadyPrompt]

    def due(self, sigma: float) -> list[ReadyPrompt]:
        """List the negatives that act at this noise level."""
        return [p for p in self.prompts if p.active.contains(sigma)] if self.active.contains(sigma) else []
