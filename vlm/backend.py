"""The seam between what is asked and who answers: a back end is one class with one method, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from .instructions import Instruction


@dataclass(frozen=True)
class Example:
    """Show a picture, [H, W, 3] in 0..1, with the answer that is wanted for it (the paper's demonstrations D)."""

    picture: Tensor
    answer: str


@dataclass(frozen=True)
class Query:
    """Ask about pictures, each [H, W, 3] in 0..1, all of them with the same instruction and examples.

    gate: answer only where something is there with at least this probability by the first token (0: the answer's words decide; a back end without logits
    cannot); temperature: 0 takes the likeliest answer, more draws one, from `seed`: the same query with the same seed has the same answers; stopped: tells whether
    nobody waits for the answer any more.
    """

    instruction: Instruction
    pictures: Sequence[Tensor]
    examples: Sequence[Example] = ()
    max_tokens: int = 48
    temperature: float = 0.0
    seed: int = 0
    gate: float = 0.0
    stopped: Callable[[], bool] = field(default=lambda: False, compare=False)


class Backend(Protocol):
    """Answer queries. A failure is any Exception; the user's cancel must pass through."""

    @property
    def name(self) -> str:
        """Say who answers, for the report."""

    @property
    def elsewhere(self) -> bool:
        """Tell whether it works on another device than the diffusion model, so that both can work at once."""

    @property
    def takes_examples(self) -> bool:
        """Tell whether it can look at several pictures in one conversation."""

    @property
    def has_gate(self) -> bool:
        """Tell whether it can say how likely something is there, for `Query.gate`."""

    def ask(self, query: Query) -> list[str]:
        """Return the answer for each picture, in its own words."""

    def forget(self) -> None:
        """Drop what was kept for the questions of a run, which has ended."""
