"""Lumina 2, NewBie, Z-Image and Z-Image Turbo: one sequence of [text, image, image padding] (comfy/ldm/lumina/model.py).

A refiner mixes the text alone first, where each prompt keeps to itself. The positions of the image count on from the text's, and Z-Image
fills the text up to a multiple of 32: both are to be as if the positive were all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .base import Family, Grid, Inputs, Laid, input_width, patched, prompt_lengths

PARTS = ("cap_embedder", "context_refiner", "noise_refiner", "layers", "x_embedder", "rope_embedder", "patchify_and_embed")


class NextDiT(Family):
    """Describe what Lumina 2 and the models made of its blocks share."""

    joint = True

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))

    def other_lengths(self, x: Tensor) -> set[int]:
        # The refiner of the image attends to it alone.
        return {self.grid(x).tokens}

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        text, mask = conditions.get("c_crossattn"), conditions.get("attention_mask")
        if text is None or mask is None or mask.shape != (1, text.shape[1]):
            return text
        return text[:, mask[0] != 0]

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        fed = super().feed(inputs, plan)
        if "num_tokens" not in fed.conditions:
            return fed
        return Inputs(fed.text, {**fed.conditions, "num_tokens": fed.conditions["num_tokens"] + plan.added}, fed.options)


class Lumina(NextDiT):
    name = "Lumina 2"
    encoders = frozenset({"gemma2_2b", "gemma3_4b"})

    @classmethod
    def match(cls, diffusion_model: Any) -> Lumina | None:
        if not all(hasattr(diffusion_model, part) for part in PARTS):
            return None
        if getattr(diffusion_model, "pad_tokens_multiple", None) is None:
            return Lumina(diffusion_model)
        # The first hosts with Z-Image pad the text where they also lay out the whole sequence.
        return ZImage(diffusion_model) if hasattr(diffusion_model, "embed_all") else None

    def layers(self) -> int:
        return len(self._model.layers)

    def text_width(self) -> int | None:
        return input_width(self._model.cap_embedder[-1])

    def text_of(self, conditions: Mapping[str, Any]) -> Tensor | None:
        # Their pictures and the pieces of text between them stand before the prompt, and take part in its refiner.
        if conditions.get("ref_latents"):
            raise ValueError(
                f"Avert cannot guide {self.name} models that are given reference images; remove those from the positive prompt, or the Avert node."
            )
        return super().text_of(conditions)

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        # A compiled model holds the one whose methods are called.
        model = getattr(diffusion_model, "_orig_mod", diffusion_model)
        if hasattr(model, "embed_all"):
            return _replaced(model, "embed_all", partial(_embed_all, model, plan))
        return _laid_out_whole(model, plan)


class ZImage(Lumina):
    name = "Z-Image"
    encoders = frozenset({"qwen3_4b"})

    def text_tokens(self, length: int) -> int:
        return patched(length, self._model.pad_tokens_multiple) * self._model.pad_tokens_multiple

    def other_lengths(self, x: Tensor) -> set[int]:
        return {self.text_tokens(self.grid(x).tokens)}


def _embed_all(model: Any, plan: Laid, original: Any, x: Tensor, cap_feats: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any, int]:
    """Embed the positive and the image as if they were alone, and put what is ours in front, each prompt at the first positions."""
    (own, *others), (own_rotary, *rotary), length = original(x, cap_feats[:, plan.added :], *args, **kwargs)
    ids = torch.zeros(1, plan.added, 3, device=x.device)
    ids[..., 0] = torch.cat([torch.arange(1, count + 1, device=x.device) for count in prompt_lengths(plan)[:-1]])
    ours = torch.cat([model.cap_embedder(cap_feats[:, : plan.added]), own], dim=1)
    ours_rotary = torch.cat([model.rope_embedder(ids).movedim(1, 2), own_rotary], dim=1)
    return (ours, *others), (ours_rotary, *rotary), length


@contextmanager
def _laid_out_whole(model: Any, plan: Laid) -> Iterator[None]:
    """Do the same on hosts (0.3.64) that make the positions of text and image at once."""
    with positions_counted_on(model.rope_embedder, plan), _replaced(model, "patchify_and_embed", _patchify):
        yield


@contextmanager
def positions_counted_on(embedder: Any, plan: Laid, text_axes: int = 1) -> Iterator[None]:
    """Let text and image be where they would be without us, where the first axis of the image's positions counts on from the text's.

    embedder: the module that turns ids [B, L, axes] of the whole sequence, text first, into rotary factors; text_axes: axes that count its tokens.
    """

    def restart(module: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        ids, *rest = arguments
        own, text = ids[:, plan.added :].clone(), plan.text - plan.added
        own[..., 0] -= plan.added
        own[:, :text, 1:text_axes] -= plan.added
        return torch.cat([*(ids[:, :count] for count in prompt_lengths(plan)[:-1]), own], dim=1), *rest

    hook = embedder.register_forward_pre_hook(torch.compiler.disable(restart))
    try:
        yield
    finally:
        hook.remove()


def _patchify(original: Any, x: Tensor, cap_feats: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Keep tokens that these hosts cut off where the text has a mask, so that it is as long everywhere; nobody sees them."""
    joined, mask, sizes, lengths, rotary = original(x, cap_feats, *args, **kwargs)
    at, missing = lengths[0], cap_feats.shape[1] - lengths[0]
    if not missing:
        return joined, mask, sizes, lengths, rotary
    if mask is None:
        mask = joined.new_zeros(1, joined.shape[1])
    joined, rotary = (_spread(tensor, at, missing, 0.0) for tensor in (joined, rotary))
    return joined, _spread(mask, at, missing, -torch.finfo(mask.dtype).max), sizes, [cap_feats.shape[1]] * len(lengths), rotary


def _spread(tensor: Tensor, at: int, count: int, value: float) -> Tensor:
    """Put `count` tokens of one value into [B, L, ...]."""
    return torch.cat([tensor[:, :at], tensor.new_full((tensor.shape[0], count, *tensor.shape[2:]), value), tensor[:, at:]], dim=1)


@contextmanager
def _replaced(model: Any, name: str, function: Any) -> Iterator[None]:
    """Let a function stand for a method of one model; it gets that method, which may be another node's, as its first argument."""
    before = vars(model).get(name)
    setattr(model, name, torch.compiler.disable(partial(function, getattr(model, name))))
    try:
        yield
    finally:
        if before is None:
            delattr(model, name)
        else:
            setattr(model, name, before)
