"""What to avoid, as it travels between nodes: an `AVERT_NEGATIVE`, or a plain CONDITIONING of the host's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeGuard

import torch
from torch import Tensor

from ..guidance.schedule import Window

# Keys of a conditioning that say where it acts. A negative acts wherever the positive does.
PLACES = ("area", "mask")
NOT_A_CONDITIONING = (
    "An Avert negative was connected where a CONDITIONING is needed; connect it to the `negative` of an Avert node instead."
)
NO_PLACE = (
    "The negative has an area or a mask, and attention guidance acts wherever the positive prompt does; "
    "remove the area from the negative, or put it on the positive prompt."
)


@dataclass(frozen=True)
class Prompt:
    """Hold one negative prompt as embeddings.

    embedding: [B, L, C], B 1 or one per picture of the batch; weights: float32 [L], how much each token counts (None: all 1), of Anima each of T5's ids,
    of HiDream each of T5's rows and then, twice, each of Llama's; options: the conditioning's own entries (pooled vector, percents); tokens: count per text
    encoder, empty if unknown;
    written: gives the CONDITIONING of the whole line with its padding, as CLIP Text Encode would (None: not known);
    words: gives it without the tokens that encoders put around the words, from CLIP's start token to T5's end token (None: it has none, or they are not known).
    """

    embedding: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Tensor | None = None
    text: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    written: Callable[[], Any] | None = field(default=None, compare=False)
    words: Callable[[], Prompt] | None = field(default=None, compare=False)

    @property
    def length(self) -> int:
        return self.embedding.shape[1]

    @property
    def padding_known(self) -> bool:
        return bool(self.tokens)

    def window(self) -> Window:
        """Give the part of the run in which this prompt holds (ConditioningSetTimestepRange, CLIP schedules)."""
        start = max(self.options.get("start_percent", 0.0), self.options.get("clip_start_percent", 0.0))
        end = min(self.options.get("end_percent", 1.0), self.options.get("clip_end_percent", 1.0))
        return Window(min(start, end), end)


@dataclass(frozen=True)
class Negative:
    """Hold the negative prompts to avoid together; none at all means that there is nothing to avoid."""

    prompts: tuple[Prompt, ...] = ()

    def __iter__(self) -> NoReturn:
        """Refuse to be read as the host's CONDITIONING, which is a list."""
        raise TypeError(NOT_A_CONDITIONING)

    def words(self) -> Negative:
        """Give the prompts' words alone, as far as they are known."""
        return Negative(tuple(prompt.words() if prompt.words is not None else prompt for prompt in self.prompts))


def as_negative(value: Negative | Sequence[Any]) -> Negative:
    """Accept what a `negative` input may hold: a `Negative`, or a CONDITIONING, each of whose entries is a negative of its own."""
    if isinstance(value, Negative):
        return value
    prompts = []
    for embedding, options in value:
        if any(place in options for place in PLACES):
            raise ValueError(NO_PLACE)
        prompts.append(from_conditioning(embedding, options))
    return Negative(tuple(prompts))


def from_conditioning(embedding: Tensor | None, options: Mapping[str, Any]) -> Prompt:
    """Make a prompt of one entry of a CONDITIONING, without padding where it shows: rows that its mask hides, and rows of zeros at its end (Wan)."""
    if embedding is None:
        raise ValueError("The negative has no text embeddings; connect the output of a CLIP Text Encode or Avert Negative Prompt node.")
    embedding, options = _without_hidden(embedding, options)
    rows = embedding.abs().sum(dim=(0, 2)).nonzero()
    if rows.numel() == 0:
        raise ValueError(
            "The negative is zeroed out (ConditioningZeroOut?), so there is nothing to steer away from; "
            "write what you do not want in an Avert Negative Prompt node and connect it to `negative`."
        )
    last = int(rows.max()) + 1
    mask = options.get("attention_mask")
    if _is_of_rows(mask, embedding):
        options = {**options, "attention_mask": mask[:, :last]}
    return Prompt(embedding[:, :last], dict(options))


def _without_hidden(embedding: Tensor, options: Mapping[str, Any]) -> tuple[Tensor, Mapping[str, Any]]:
    """Drop the rows that a text encoder's mask hides in every picture."""
    mask = options.get("attention_mask")
    if not _is_of_rows(mask, embedding):
        return embedding, options
    seen = (mask != 0).any(dim=0).to(embedding.device)
    return embedding[:, seen], {**options, "attention_mask": mask[:, seen.to(mask.device)]}


def _is_of_rows(mask: Any, embedding: Tensor) -> TypeGuard[Tensor]:
    """Tell a text encoder's mask [B, L], 0 or 1 per row, from those that other nodes make for the attention."""
    return isinstance(mask, Tensor) and not mask.is_floating_point() and mask.ndim == 2 and mask.shape[1] == embedding.shape[1]


def check_finite(prompt: Prompt) -> None:
    """Refuse embeddings that are not numbers; they would make the whole picture black."""
    check_finite_tensor(prompt.embedding)


def check_finite_tensor(embedding: Tensor) -> None:
    """Refuse an embedding that is not all numbers."""
    if not bool(torch.isfinite(embedding).all()):
        raise ValueError(
            "The negative's embeddings contain NaN or infinity, so its text encoder overflowed; "
            "encode it again with the text encoder in a higher precision (fp16 or bf16 instead of fp8)."
        )
