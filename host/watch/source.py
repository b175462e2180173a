"""An `AVERT_NEGATIVE` whose words come during the run, from a vision-language model that watches the picture form (VL-DNP)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from ...vlm.backend import Backend, Example
from ...vlm.instructions import Instruction
from ...vlm.memory import Mode
from ...vlm.transcript import Transcript
from ..negative import NOT_A_CONDITIONING
from ..textgen import ClipBackend
from .said import Said


@dataclass(frozen=True, eq=False)
class Watched:
    """Hold what one node asked for: made once, never changed but for what was said; a run that uses it makes a `Watch` of its own.

    clip: encodes the answers; backend: gives them (None: only `replay` does); vae: decodes what is shown (None: the model's preview decoder);
    query_steps: as in `vlm.schedule`; most: phrases in force at once; min_change: how much a picture must have changed to be asked about again,
    |x0 - x0_before| / |x0_before|; gate: how likely something must be there (`vlm.backend.Query`); overlap: go on sampling while the answer is made,
    where the back end works elsewhere; max_seconds: how long an answer may take (0: as long as it likes).
    """

    clip: Any
    backend: Backend | None
    vae: Any
    instruction: Instruction
    examples: tuple[Example, ...]
    query_steps: str
    mode: Mode
    most: int
    max_tokens: int
    temperature: float
    seed: int
    min_change: float
    gate: float
    overlap: bool
    # Of earlier runs; a run takes its own.
    replay: tuple[Transcript, ...] | None = None
    # Which of several sources of a graph this is, in transcripts.
    label: str = ""
    # A word's CONDITIONING, by which a text encoder of another model is found out before anything is sampled.
    trial: Any = None
    # The node's id in the running workflow.
    node: str = ""
    max_seconds: float = 0.0
    # In all runs of all models that it guides.
    said: Said = field(default_factory=Said)

    def __iter__(self) -> NoReturn:
        """Refuse to be read as the host's CONDITIONING, which is a list."""
        raise TypeError(NOT_A_CONDITIONING)


def backend_of(vlm: Any) -> Backend:
    """Give who answers: what an AVERT_VLM holds, or a CLIP of the host."""
    if hasattr(vlm, "ask"):
        backend: Backend = vlm
        return backend
    return ClipBackend(vlm)
