"""Attention with its log-sum-exp from the libraries that a host may run on: flash-attn, SageAttention, xformers.

Each is used only if it is installed and can return the log-sum-exp; otherwise PyTorch's own operators serve, which are exact.
All take q, k, v as [B, H, L, D] here. Their log-sum-exps are natural logarithms with the scale included:
flash_attn.flash_attn_func(return_attn_probs=True) -> (out, softmax_lse [B, H, Lq], ...);
sageattention.sageattn(return_lse=True) -> (out, lse [B, H, Lq]), from version 2;
xformers.ops.memory_efficient_attention_forward_requires_grad -> (out, lse [B, H, Lq or more]).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from .kernels import repeat_heads
from .partial import Partial

LibraryKernel = Callable[[Tensor, Tensor, Tensor, float | None], Partial]


# SageAttention refuses wider heads; the others follow flash-attn.
WIDEST = {"sage": 128}


def accepts(name: str, q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Tell whether a library can take these tensors: half precision on CUDA, some keys, heads that are not too wide."""
    half = q.dtype in (torch.float16, torch.bfloat16) and q.dtype == k.dtype == v.dtype
    return half and q.is_cuda and k.shape[2] > 0 and q.shape[2] > 0 and q.shape[-1] <= WIDEST.get(name, 256) and q.shape[-1] % 8 == 0


@cache
def find(name: str) -> LibraryKernel | None:
    """Return the named library's kernel, or None when it is not installed or cannot return a log-sum-exp."""
    try:
        return _LOADERS[name]()
    except (ImportError, AttributeError):
        return None


def _load_flash_attn() -> LibraryKernel | None:
    function = importlib.import_module("flash_attn").flash_attn_func
    if "return_attn_probs" not in inspect.signature(function).parameters:
        return None

    def kernel(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Partial:
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        out, lse, *_ = function(q, k, v, softmax_scale=scale, return_attn_probs=True)
        return Partial(out.transpose(1, 2), lse[:, :, : q.shape[1]].float())

    return kernel


def _load_sage() -> LibraryKernel | None:
    function = importlib.import_module("sageattention").sageattn
    if "return_lse" not in inspect.signature(function).parameters:
        return None

    def kernel(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Partial:
        k, v = repeat_heads(q, k, v)
        # The host turns key smoothing off too (attention_sage in comfy/ldm/modules/attention.py).
        out, lse = function(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=scale, smooth_k=False, return_lse=True)
        return Partial(out, lse[:, :, : q.shape[2]].float())

    return kernel


def _load_xformers() -> LibraryKernel | None:
    function = importlib.import_module("xformers.ops").memory_efficient_attention_forward_requires_grad

    def kernel(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Partial:
        k, v = repeat_heads(q, k, v)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        out, lse = function(q, k, v, scale=scale)
        return Partial(out.transpose(1, 2), lse[:, :, : q.shape[1]].float())

    return kernel


_LOADERS = {"flash_attn": _load_flash_attn, "sage": _load_sage, "xformers": _load_xformers}
