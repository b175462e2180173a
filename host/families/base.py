"""What the rest of the pack needs to know about a model family, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Give the image tokens of a latent their shape: frames, height, width (in tokens)."""

    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        return self.frames * self.height * self.width


class Family(Protocol):
    """Describe one model family. Built for one diffusion model, holds no state of a run."""

    name: str
    # Text encoders whose tokens the model reads, by the host's names.
    encoders: frozenset[str]
    # True: text and image share one sequence [text, image]; False: the image attends to text keys (cross-attention).
    joint: bool
    # True: `patches["attn2_patch"]` changes the text before it is projected (UNet; the name means something else in other models).
    text_patches: bool

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        """Return the family for this model if it has what the family needs, else None."""

    def layers(self) -> int:
        """Count the attention layers in which the image meets the text, in the order in which they run."""

    def blocks(self) -> list[tuple[str, int]]:
        """Name the blocks as `patches_replace["dit"]` does, in the order of `layers`; none for models that have no such hook."""

    def attends_text_twice(self, conditions: Mapping[str, Any]) -> bool:
        """Tell whether each block first attends to the whole text as if it were an image, in a call that must be left alone."""

    def text_width(self) -> int | None:
        """Give the width of the text embeddings that the model takes; None if a wrapped model does not tell."""

    def grid(self, x: Tensor) -> Grid:
        """Give the image tokens for a latent batch."""

    def other_lengths(self, x: Tensor) -> set[int]:
        """List key counts of attention calls that are not with the text, so that the text can be given another."""


def patched(size: int, patch: int) -> int:
    """Count patches along one side; the hosts pad up to whole patches."""
    return ceil(size / patch)


def input_width(layer: Any) -> int | None:
    """Read how wide a linear layer's input is; quantised layers keep the attribute, some wrappers do not."""
    return getattr(layer, "in_features", None)
