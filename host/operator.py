"""Be operators to a compiler: what guidance does in Python stays out of compiled graphs without breaking them into pieces.

A compiled graph keeps what it was traced with: lengths, strengths, the very objects. So the operators hold nothing: when a graph runs, they look up the
evaluation that is going on and let it do its work.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor


class Evaluation(Protocol):
    """Do the work of one evaluation of the model."""

    block: int | None
    options: dict[str, Any]

    def attention(
        self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **kw: Any
    ) -> Tensor: ...
    def positions(self, ids: Tensor, start: int, filled: int) -> Tensor: ...


# Set only while an evaluation runs, for its thread alone: the way to it for operators, whose arguments are tensors and numbers.
_GOING_ON: ContextVar[Evaluation] = ContextVar("avert_evaluation")


class Operators(NamedTuple):
    """Hold the operators: attention(q, k, v, mask, heads, scale, precision, flags ...), at_block(x, number) -> x, positions(ids, start, filled) -> ids."""

    attention: Callable[..., Tensor]
    at_block: Callable[[Tensor, int], Tensor]
    positions: Callable[[Tensor, int, int], Tensor]


@contextmanager
def going_on(evaluation: Evaluation, options: dict[str, Any]) -> Iterator[None]:
    """Let the operators find an evaluation while it runs; options: what the model is called with."""
    token = _GOING_ON.set(evaluation)
    evaluation.options = options
    try:
        yield
    finally:
        _GOING_ON.reset(token)
        # They hold the evaluation in turn, and it is to be freed at once.
        evaluation.options = {}


def host_attention() -> Callable[..., Tensor]:
    """Give the host's attention function without its decorator, as an override would receive it."""
    return getattr(optimized_attention, "__wrapped__", optimized_attention)


@cache
def operators() -> Operators | None:
    """Register the operators once; None where PyTorch is too old: there the compiler makes a graph for each piece between ours."""
    if not (hasattr(torch.library, "custom_op") and hasattr(torch.Tag, "cudagraph_unsafe")):
        return None
    # A captured CUDA graph would repeat the first evaluation's numbers for ever.
    tags = (torch.Tag.cudagraph_unsafe,)
    # The pack may be imported under several names in one process; the same name in every process, for the compiler's caches.
    space = f"avert_{zlib.crc32(__name__.encode())}"
    attention = torch.library.custom_op(f"{space}::attention", _attention, mutates_args=(), tags=tags)
    attention.register_fake(_attention_shape)
    at_block = torch.library.custom_op(f"{space}::at_block", _at_block, mutates_args=(), tags=tags)
    at_block.register_fake(lambda x, number: torch.empty_like(x))
    positions = torch.library.custom_op(f"{space}::positions", _positions, mutates_args=(), tags=tags)
    positions.register_fake(lambda ids, start, filled: torch.empty_like(ids))
    return Operators(attention, at_block, positions)


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    heads: int,
    scale: float | None,
    attn_precision: torch.dtype | None,
    skip_reshape: bool,
    skip_output_reshape: bool,
    low_precision_attention: bool,
    enable_gqa: bool,
) -> Tensor:
    evaluation = _GOING_ON.get()
    # As the host's decorator calls an override; what has its usual value is left out, for hosts that do not know it.
    options: dict[str, Any] = {"attn_precision": attn_precision, "skip_reshape": skip_reshape, "skip_output_reshape": skip_output_reshape}
    options |= {"scale": scale} if scale is not None else {}
    options |= {} if low_precision_attention else {"low_precision_attention": False}
    options |= {"enable_gqa": True} if enable_gqa else {}
    options |= {"transformer_options": evaluation.options, "_inside_attn_wrapper": True}
    return evaluation.attention(host_attention(), q, k, v, heads, mask, **options).contiguous()


def _attention_shape(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    heads: int,
    scale: float | None,
    attn_precision: torch.dtype | None,
    skip_reshape: bool,
    skip_output_reshape: bool,
    low_precision_attention: bool,
    enable_gqa: bool,
) -> Tensor:
    batch, length = q.shape[0], q.shape[2 if skip_reshape else 1]
    # Grouped heads come with skip_reshape, where a head's width is the last dimension.
    width = v.shape[-1] if v.ndim == 4 else v.shape[-1] // heads
    return q.new_empty(batch, heads, length, width) if skip_output_reshape else q.new_empty(batch, length, heads * width)


def _at_block(x: Tensor, number: int) -> Tensor:
    _GOING_ON.get().block = number
    # An operator may not return what it was given.
    return x.clone()


def _positions(ids: Tensor, start: int, filled: int) -> Tensor:
    return _GOING_ON.get().positions(ids, start, filled)


def override_for(evaluation: Evaluation) -> Callable[..., Tensor]:
    """Give what the host calls in the place of its attention."""
    known = operators()
    if known is None:
        return torch.compiler.disable(evaluation.attention)

    def attend(func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **kw: Any) -> Tensor:
        if not torch.compiler.is_compiling():
            return evaluation.attention(func, q, k, v, heads, mask, **kw)
        flags = (kw.get(name, default) for name, default in FLAGS)
        return known.attention(q, k, v, mask, heads, kw.get("scale"), kw.get("attn_precision"), *flags)

    return attend


FLAGS = (("skip_reshape", False), ("skip_output_reshape", False), ("low_precision_attention", True), ("enable_gqa", False))
