"""What the nodes asked for, before and during a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..guidance.schedule import SigmaRange, Window
from .negative import Prompt

if TYPE_CHECKING:
    from .watch.run import Watch


# Who found words (a Watch, each with its own text encoder), the words, and whether without the tokens around them.
Spoken = tuple[Any, str, bool]


@dataclass(frozen=True)
class Task:
    """Hold what one node asked for: made once in the node, never changed. `negative` None means the sampler's own.

    negative: a Watched; or a Negative or CONDITIONING for mechanisms inside the attention, a tuple of Avoided for those on predictions.
    """

    mechanism: Any
    negative: Any
    window: Window
    layers: frozenset[int] | None = None
    # The node's id in the running workflow; "" outside of a server.
    node: str = ""


@dataclass
class ReadyPrompt:
    """Hold a negative as this run's model takes it; rows: the pictures of the batch that it is for, bool [pictures] (None: all)."""

    prompt: Prompt
    active: SigmaRange
    tokens: Tensor | None = None
    rows: Tensor | None = None


@dataclass
class ReadyTask:
    """Hold a node's task with its negatives found and its window in noise levels; watch: who finds them during the run, if nobody did before."""

    task: Task
    active: SigmaRange
    prompts: list[ReadyPrompt]
    watch: Watch | None = None

    @property
    def words_only(self) -> bool:
        """Tell whether only the negatives' words are to act, without the tokens that encoders put around them."""
        return bool(getattr(self.task.mechanism, "words_only", False))

    def due(self, sigma: float, spoken: Mapping[Spoken, list[ReadyPrompt]]) -> list[ReadyPrompt]:
        """List the negatives that act at this noise level; spoken: what a vision-language model's words became."""
        if not self.active.contains(sigma):
            return []
        found = list(self.prompts)
        for force in self.watch.in_force() if self.watch is not None else ():
            found += [replace(ready, rows=force.rows) for ready in spoken[self.watch, force.text, self.words_only]]
        return [prompt for prompt in found if prompt.active.contains(sigma)]
