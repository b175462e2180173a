"""What the rest of the pack needs to know about a model family, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import comfy.utils
import torch
from torch import Tensor

from ...guidance.attention.strands import Segment
from ..operator import operators


@dataclass(frozen=True)
class Grid:
    """Give the image tokens of a latent their shape: frames, height, width (in tokens)."""

    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        return self.frames * self.height * self.width


class Laid(Protocol):
    """Say where the tokens of one evaluation's text are: `negative` tokens of negatives, up to `added` all that is ours, `text` in all.

    copies: how long each of the negatives' unflipped copies is, which stand behind the negatives; given: how many rows a text encoder gave for each of
    the negatives, their copies and the positive.
    """

    @property
    def negative(self) -> int: ...
    @property
    def added(self) -> int: ...
    @property
    def text(self) -> int: ...
    @property
    def grid(self) -> Grid: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def copies(self) -> tuple[int, ...]: ...
    @property
    def given(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Inputs:
    """Hold what the model is called with: its text [B, L, C], the other conditions by name, and `transformer_options`."""

    text: Tensor
    conditions: dict[str, Any]
    options: dict[str, Any]


class Family:
    """Describe one model family. Built for one diffusion model, holds no state of a run. What most families share is written here."""

    name: str
    # Text encoders whose tokens the model reads, by the host's names.
    encoders: frozenset[str]
    # True: text and image share one sequence; False: the image attends to text keys (cross-attention).
    joint: bool
    # True: `patches["attn2_patch"]` changes the text before it is projected (UNet; the name means something else in other models).
    text_patches = False
    # True: so it does, as `patch(q, k, v, pe=, attn_mask=, extra_options=)` that gives a dictionary of what is to change (Cosmos-Predict2).
    named_text_patches = False

    def __init__(self, diffusion_model: Any) -> None:
        self._model = diffusion_model

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        """Return the family for this model if it has what the family needs, else None."""
        raise NotImplementedError

    def model_name(self) -> str:
        """Name the model as presets do, more closely than the family where that matters."""
        return self.name

    def layers(self) -> int:
        """Count the attention layers in which the image meets the text, in the order in which they run."""
        raise NotImplementedError

    def text_width(self) -> int | None:
        """Give the width of the text embeddings that the model takes; None if a wrapped model does not tell."""
        raise NotImplementedError

    def grid(self, x: Tensor) -> Grid:
        """Give the image tokens for a latent batch."""
        raise NotImplementedError

    def blocks(self) -> list[tuple[str, int]]:
        """Name the blocks as `patches_replace["dit"]` does, in the order of `layers`; none for models that have no such hook."""
        return []

    def other_lengths(self, x: Tensor) -> set[int]:
        """List key counts of attention calls that are not with the text, so that the text (alone, if joint) can be given another."""
        return set()

    def measure(self, x: Tensor, conditions: Mapping[str, Any]) -> tuple[Grid, set[int]]:
        """Give `grid` and `other_lengths`, where more than the latent's shape decides on them (packed latents, reference pictures)."""
        return self.grid(x), self.other_lengths(x)

    def references(self, queries: int, plan: Laid) -> int:
        """Count the last queries of a cross-attention that are of reference pictures: they see the text as without us."""
        return 0

    def idle(self, options: Mapping[str, Any]) -> str:
        """Say why an evaluation has nothing to guide, if so: a node may run a part of the model alone."""
        return ""

    def attends_text_twice(self, conditions: Mapping[str, Any]) -> bool:
        """Tell whether each block first attends to the whole text as if it were an image, in a call that must be left alone."""
        return False

    def text_of(self, conditions: Mapping[str, Any]) -> Tensor | None:
        """Give a prompt's tokens [B, L, C] among what the model made of its conditioning (`model_conds`, as tensors)."""
        return conditions.get("c_crossattn")

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        """Give a negative's tokens without any padding that the model added; length: as its text encoder gave it."""
        return self.text_of(conditions)

    def whole_text(self, text: Tensor, conditions: Mapping[str, Any]) -> Tensor:
        """Give all tokens of a batch's text, where the model is called with more of it than `text`; `feed` takes it apart again."""
        return text

    def text_tokens(self, length: int) -> int:
        """Count the tokens that a positive text of `length` tokens has in the attention (some models pad it)."""
        return length

    def spans(self, length: int, plan: Laid) -> tuple[int, int]:
        """Say where text and image begin in a joint sequence of `length` tokens; what is neither is seen like the image and never guided."""
        return 0, plan.text

    def places(self, length: int, plan: Laid) -> list[tuple[int, int]] | None:
        """List the spans of a joint sequence in the order text, image, rest, where that is not in as many pieces (else None, and see `spans`)."""
        return None

    def mixes_text(self, queries: int, keys: int, plan: Laid) -> bool:
        """Tell by its lengths whether an attention call is one among text tokens alone, where negatives and positive must stay apart."""
        return self.joint and queries == keys == plan.text

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        """Let what belongs to the text fit the longer one. Masks: all of ours is seen; who sees it is decided in the attention."""
        mask = inputs.conditions.get("attention_mask")
        if mask is None or plan.added == 0 or mask.shape[-1] + plan.added != inputs.text.shape[1]:
            return inputs
        seen = 0.0 if mask.is_floating_point() else 1
        wide = torch.nn.functional.pad(mask, (plan.added, 0), value=seen)
        return Inputs(inputs.text, {**inputs.conditions, "attention_mask": wide}, inputs.options)

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        """Change the model itself for one evaluation, where it has no hook: the copy that runs, which need not be the one this was built for."""
        return nullcontext()


def changed_text(family: str) -> str:
    """Say that the model's text is not what it should be."""
    return (
        f"Avert could not find this {family} model's attention to its text: another node changes its tokens. "
        "Remove that node (attention-couple and NegPip nodes do this), or the Avert node."
    )


def unpacked(x: Tensor, conditions: Mapping[str, Any]) -> list[Tensor]:
    """Take apart a latent that holds several behind one another (video and audio); old hosts pack none, and have no function for it."""
    shapes = conditions.get("latent_shapes") or ()
    return comfy.utils.unpack_latents(x, shapes) if len(shapes) > 1 else [x]


def patched(size: int, patch: int) -> int:
    """Count patches along one side; the hosts pad up to whole patches."""
    return ceil(size / patch)


def input_width(layer: Any) -> int | None:
    """Read how wide a linear layer's input is; quantised layers keep the attribute, some wrappers do not."""
    return getattr(layer, "in_features", None)


def prompt_lengths(plan: Laid) -> list[int]:
    """Count the tokens of each piece of a joint text, in order: any padding, the negatives, their copies, the positive."""
    counts = [segment.length for segment in plan.segments]
    return [plan.negative - sum(counts), *counts, *plan.copies, plan.text - plan.added]


def restarted(ids: Tensor, plan: Laid, start: int = 0, filled: int = 0) -> Tensor:
    """Let the ids [B, L, axes] of every prompt of the text, which begins at `start`, be those that it would have alone.

    filled: the length up to which a prompt alone is filled with padding in front of it, so that its positions begin behind that (0: none is).
    """
    lengths = prompt_lengths(plan)
    firsts = [start + max(min(filled, lengths[-1]) - length, 0) for length in lengths]
    pieces = [ids[:, first : first + length] for first, length in zip(firsts, lengths, strict=True)]
    return torch.cat([ids[:, :start], *pieces, ids[:, start + plan.text :]], dim=1)


@contextmanager
def positions_restarted(embedder: Any, plan: Laid, start: int = 0, filled: int = 0) -> Iterator[None]:
    """Let every prompt count its positions as if it were alone: neither image nor positive may notice the negatives.

    embedder: the module that turns ids [B, L, axes] of the whole sequence into rotary factors; start, filled: see `restarted`.
    """
    known = operators()

    def restart(module: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        ids, *rest = arguments
        if known is not None and torch.compiler.is_compiling():
            return known.positions(ids, start, filled), *rest
        return restarted(ids, plan, start, filled), *rest

    hook = embedder.register_forward_pre_hook(restart if known is not None else torch.compiler.disable(restart))
    try:
        yield
    finally:
        hook.remove()
