"""Live beside nodes that replace a UNet's cross-attention (IPAdapter, attention couple): they run as without us, and our change is added.

Such a function takes projected queries, keys and values (`patches_replace["attn2"]`, comfy/ldm/modules/attention.py) and calls attention
itself, mostly without `transformer_options`, so no override reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

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
            return replacement(q, k, v, extra_options, *args, **kwargs)
        out = replacement(q, k[:, start:], v[:, start:], extra_options, *args, **kwargs)
        return out + forward.change(_host_attention(), q, k, v, extra_options["n_heads"])

    return torch.compiler.disable(guided)


def _host_attention() -> Callable[..., Tensor]:
    """Give the host's attention function without its decorator, as an override would receive it."""
    return getattr(optimized_attention, "__wrapped__", optimized_attention)
