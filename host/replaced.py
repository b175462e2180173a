"""Live beside other nodes' patches of the model's blocks.

Nodes that replace a UNet's cross-attention (IPAdapter, attention couple) run as without us, and our change is added. Such a function takes
projected queries, keys and values (`patches_replace["attn2"]`, comfy/ldm/modules/attention.py) and calls attention itself, mostly without
`transformer_options`, so no override reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .families import changed_text
from .operator import host_attention, operators

if TYPE_CHECKING:
    from .forward import Forward

Replacement = Callable[..., Tensor]


def wrap_replacements(forward: Forward, options: dict[str, Any]) -> dict[str, Any]:
    """Wrap every replacement of cross-attention in a copy of the options; nothing changes where there is none."""
    replaced: Mapping[Any, Replacement] = options.get("patches_replace", {}).get("attn2", {})
    if not replaced:
        return options
    wrapped = {place: _wrap(forward, function) for place, function in replaced.items()}
    return {**options, "patches_replace": {**options["patches_replace"], "attn2": wrapped}}


def _wrap(forward: Forward, replacement: Replacement) -> Replacement:
    start = forward.plan.added

    def guided(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        if k.shape[1] != forward.plan.text:
            raise RuntimeError(changed_text(forward.plan.family.name))
        out = replacement(q, k[:, start:], v[:, start:], extra_options, *args, **kwargs)
        return out + forward.change(host_attention(), q, k, v, extra_options["n_heads"])

    return torch.compiler.disable(guided)


def guard_text(forward: Forward, options: dict[str, Any]) -> dict[str, Any]:
    """Let no patch of the text before its projection change its length: in that block the negative would act as a positive."""
    patches, family = options.get("patches", {}), forward.plan.family
    found = patches.get("attn2_patch")
    if not found or not (family.text_patches or family.named_text_patches):
        return options

    def check(n: Tensor, context: Tensor, value: Tensor, extra_options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        if context.shape[1] != forward.plan.text or value.shape[1] != forward.plan.text:
            raise RuntimeError(changed_text(family.name))
        return n, context, value

    guarded = [_beside(forward, patch) for patch in found] if family.named_text_patches else [*found, check]
    return {**options, "patches": {**patches, "attn2_patch": guarded}}


def _beside(forward: Forward, patch: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Let a patch that goes by names see and change the text that it would have without us."""
    start = forward.plan.added

    def patched(q: Tensor, k: Tensor, v: Tensor, **named: Any) -> dict[str, Any]:
        own = {"q": q, "k": k[:, start:], "v": v[:, start:]}
        out = patch(*own.values(), **named)
        for name, tensor in own.items():
            if out.get(name, tensor).shape[:2] != tensor.shape[:2]:
                raise RuntimeError(changed_text(forward.plan.family.name))
        both = {name: torch.cat([ours[:, :start], out[name]], dim=1) for name, ours in (("k", k), ("v", v)) if name in out}
        return {**out, **both}

    return torch.compiler.disable(patched)


def number_blocks(forward: Forward, options: dict[str, Any], compiled: bool) -> dict[str, Any]:
    """Keep count of the blocks where some were asked for by number; others may be skipped by a node (skip layer guidance).

    compiled: count always, as the graphs of a compiled model do not tell whether `patches_replace` is there (host/compiled.py).
    """
    blocks = forward.plan.family.blocks()
    if not blocks or (not compiled and all(act.layers is None for act in forward.plan.acts)):
        return options
    replaced = options.get("patches_replace", {}).get("dit", {})
    numbered = {block: _number(forward, number, replaced.get(block)) for number, block in enumerate(blocks)}
    return {**options, "patches_replace": {**options.get("patches_replace", {}), "dit": {**replaced, **numbered}}}


def _number(forward: Forward, number: int, replacement: Replacement | None) -> Replacement:
    known = operators()

    def block(arguments: dict[str, Any], extra: dict[str, Any]) -> Any:
        if known is not None and torch.compiler.is_compiling():
            # In a graph only what a tensor went through comes before what it goes into. LTX-2 has two streams: video, audio.
            img = arguments["img"]
            marked = (known.at_block(img[0], number), *img[1:]) if isinstance(img, tuple) else known.at_block(img, number)
            arguments = {**arguments, "img": marked}
        else:
            forward.block = number
        return extra["original_block"](arguments) if replacement is None else replacement(arguments, extra)

    return block
