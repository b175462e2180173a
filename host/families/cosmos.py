"""Cosmos 1 (comfy/ldm/cosmos/model.py), Cosmos-Predict2 (predict2.py) and Anima (comfy/ldm/anima/model.py): video tokens attend over the
text after each self-attention. They know only texts filled up to 512 tokens with zeros: so is the positive, while a negative has no such tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor

from .base import Family, Grid, Laid, input_width, patched


class _Video(Family):
    """Hold what all three share."""

    encoders = frozenset({"t5xxl"})
    joint = False

    def grid(self, x: Tensor) -> Grid:
        frames, side = self._model.patch_temporal, self._model.patch_spatial
        return Grid(patched(x.shape[-3], frames), patched(x.shape[-2], side), patched(x.shape[-1], side))

    def other_lengths(self, x: Tensor) -> set[int]:
        # 512 text tokens and a negative are easily as many as the image has.
        return {self.grid(x).tokens}


def _cross_attentions(model: Any) -> list[Any]:
    """List Cosmos 1's attention modules that have a context; its blocks are lists of parts in an order of the model's choice."""
    parts = [part for block in model.blocks.values() for part in block.blocks]
    attentions = [getattr(part.block, "attn", None) for part in parts]
    return [attention for attention in attentions if attention is not None and not attention.is_selfattn]


class Cosmos(_Video):
    name = "Cosmos"

    @classmethod
    def match(cls, diffusion_model: Any) -> Cosmos | None:
        parts = ("x_embedder", "affline_norm", "patch_spatial", "patch_temporal")
        if not all(hasattr(diffusion_model, part) for part in parts) or "block0" not in getattr(diffusion_model, "blocks", ()):
            return None
        return cls(diffusion_model) if _cross_attentions(diffusion_model) else None

    def layers(self) -> int:
        return len(_cross_attentions(self._model))

    def text_width(self) -> int | None:
        return input_width(_cross_attentions(self._model)[0].to_k[0])


def _is_predict2(model: Any) -> bool:
    """Tell a model of Cosmos-Predict2's blocks, whatever makes its text."""
    parts = ("blocks", "x_embedder", "t_embedding_norm", "patch_spatial", "patch_temporal")
    if not all(hasattr(model, part) for part in parts) or len(model.blocks) == 0:
        return False
    first = next(iter(model.blocks))
    return hasattr(first, "self_attn") and hasattr(getattr(first, "cross_attn", None), "k_proj")


class CosmosPredict2(_Video):
    name = "Cosmos-Predict2"
    named_text_patches = True

    @classmethod
    def match(cls, diffusion_model: Any) -> CosmosPredict2 | None:
        # Anima's negative is trimmed otherwise, and another adapter would be another model.
        return cls(diffusion_model) if _is_predict2(diffusion_model) and not hasattr(diffusion_model, "llm_adapter") else None

    def layers(self) -> int:
        return len(self._model.blocks)

    def text_width(self) -> int | None:
        return input_width(self._model.blocks[0].cross_attn.k_proj)

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return _text_let_go(diffusion_model, plan)


@contextmanager
def _text_let_go(model: Any, plan: Laid) -> Iterator[None]:
    """Leave the model with the text that it would hold without us: it keeps that of its last call, though nothing reads it."""
    before = getattr(model, "crossattn_emb", None)
    try:
        yield
    finally:
        held = getattr(model, "crossattn_emb", None)
        if held is not None and held is not before:
            model.crossattn_emb = held[:, plan.added :]


class Anima(CosmosPredict2):
    """Take a language model's states and T5 token ids, of which an adapter makes the text before the run (Anima.extra_conds)."""

    name = "Anima"
    encoders = frozenset({"qwen3_06b", "t5xxl"})

    @classmethod
    def match(cls, diffusion_model: Any) -> Anima | None:
        adapted = hasattr(diffusion_model, "llm_adapter") and hasattr(diffusion_model, "preprocess_text_embeds")
        return cls(diffusion_model) if adapted and _is_predict2(diffusion_model) else None

    def text_width(self) -> int | None:
        return input_width(self._model.llm_adapter.blocks[0].cross_attn.k_proj)

    def text_of(self, conditions: Mapping[str, Any]) -> Tensor | None:
        # Outside of inference mode the adapter runs with the model, on one text for all that stand in it.
        if conditions.get("t5xxl_ids") is not None:
            raise ValueError(
                "Avert cannot guide Anima while it is being trained (outside of PyTorch's inference mode); remove the Avert node."
            )
        return super().text_of(conditions)

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        """Drop what the adapter filled up with zeros. A word of weight 0 is such a row too, and is as if it had not been written."""
        text = self.text_of(conditions)
        if text is None:
            return None
        kept = text[:, text.abs().sum(dim=(0, 2)) != 0]
        return kept if kept.shape[1] else None
