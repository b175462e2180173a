"""Attention that also returns its log-sum-exp, from PyTorch's own operators, with an exact plain fallback.

Every kernel takes q [B, H, Lq, D] and k, v [B, Hkv, Lk, D] with Hkv dividing H, and returns a `Partial`.
PyTorch keeps these operators private (torch/_meta_registrations.py lists them); each is asked for by name and checked for, so
that a PyTorch without one of them falls to the next.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .partial import Partial

Kernel = Callable[..., Partial]

# Score rows are made this many bytes at a time by the plain form.
CHUNK_BYTES = 256 * 1024 * 1024


def repeat_heads(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat grouped key and value heads to the number of query heads."""
    groups = q.shape[1] // k.shape[1]
    if groups == 1:
        return k, v
    return k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)


def attend_plain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    mask: Tensor | None = None,
    key_bias: Tensor | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Partial:
    """Attend by softmax(q k^T scale + mask + key_bias) v, in float32 (float64 for float64), a bounded chunk of queries at a time."""
    k, v = repeat_heads(q, k, v)
    batch, heads, length, width = q.shape
    work = torch.float64 if q.dtype == torch.float64 else torch.float32
    scale = width**-0.5 if scale is None else scale
    out = q.new_empty(batch, heads, length, v.shape[-1])
    lse = torch.full((batch, heads, length), -torch.inf, dtype=work, device=q.device)
    if k.shape[2] == 0:
        return Partial(out.zero_(), lse)
    keys, values = k.to(work).transpose(-1, -2), v.to(work)
    bias = _bias(mask, key_bias, work)
    # A row of scores, and the row of queries and of output in the working precision that go with it.
    row_bytes = batch * heads * work.itemsize * (k.shape[2] + 2 * width + v.shape[-1])
    rows = max(1, chunk_bytes // row_bytes)
    for start in range(0, length, rows):
        part = slice(start, start + rows)
        scores = torch.matmul(q[:, :, part].to(work) * scale, keys)
        if bias is not None:
            scores += bias if bias.shape[2] == 1 else bias[:, :, part]
        total = torch.logsumexp(scores, dim=-1, keepdim=True)
        weights = scores.sub_(total).exp_().masked_fill_(total.isneginf(), 0.0)
        lse[:, :, part] = total.squeeze(-1)
        out[:, :, part] = torch.matmul(weights, values)
    return Partial(out, lse)


def _bias(mask: Tensor | None, key_bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Join a mask (bool or additive; 2-D, 3-D or 4-D) and a bias per key [B or 1, Lk] into one additive [., ., ., Lk]."""
    bias = None if key_bias is None else key_bias.to(dtype)[:, None, None, :]
    if mask is None:
        return bias
    mask = mask_4d(mask)
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
    return mask.to(dtype) if bias is None else mask.to(dtype) + bias


def mask_4d(mask: Tensor) -> Tensor:
    """Give a mask its batch and head dimensions, as the host's own back ends do."""
    if mask.ndim == 2:
        return mask[None, None]
    return mask[:, None] if mask.ndim == 3 else mask


def _aligned(mask: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
    """Make a mask additive, [B, H, Lq, Lk], with rows that start at multiples of 8 elements, as the efficient kernel asks."""
    bias = _bias(mask, None, q.dtype)
    if bias is None:
        return None
    keys = k.shape[2]
    bias = torch.nn.functional.pad(bias, (0, -keys % 8))[..., :keys]
    return bias.expand(q.shape[0], q.shape[1], q.shape[2], keys)


def _cpu_flash(q: Tensor, k: Tensor, v: Tensor, scale: float | None, mask: Tensor | None) -> Partial:
    k, v = repeat_heads(q, k, v)
    mask = _aligned(mask, q, k)
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, False, attn_mask=mask, scale=scale)
    return Partial(out, lse)


def _cuda_flash(q: Tensor, k: Tensor, v: Tensor, scale: float | None, mask: Tensor | None) -> Partial:
    out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, False, scale=scale)
    return Partial(out, lse[:, :, : q.shape[2]])


def _cuda_cudnn(q: Tensor, k: Tensor, v: Tensor, scale: float | None, mask: Tensor | None) -> Partial:
    k, v = repeat_heads(q, k, v)
    out, lse, *_ = torch.ops.aten._scaled_dot_product_cudnn_attention(q, k, v, None, True, 0.0, False, scale=scale)
    return Partial(out, lse.reshape(q.shape[0], q.shape[1], -1)[:, :, : q.shape[2]])


def _cuda_efficient(q: Tensor, k: Tensor, v: Tensor, scale: float | None, mask: Tensor | None) -> Partial:
    k, v = repeat_heads(q, k, v)
    out, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, _aligned(mask, q, k), True, 0.0, False, scale=scale)
    # Rounded up to whole tiles by the operator.
    return Partial(out, lse[:, :, : q.shape[2]])


def _cuda_choices(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> list[str]:
    """Name PyTorch's CUDA kernels that accept these tensors, best first: the order that the host gives to SDPA."""
    backends = torch.backends.cuda
    grouped = q.shape[1] != k.shape[1]
    try:
        params = backends.SDPAParams(q, k, v, None, 0.0, False, grouped)
    except TypeError:  # before PyTorch 2.5 nothing was known of grouped heads, nor did cuDNN return a log-sum-exp
        k, v = repeat_heads(q, k, v)
        params = backends.SDPAParams(q, k, v, None, 0.0, False)  # type: ignore[call-arg]
    names = []
    if mask is None and q.shape[-1] % 8 == 0 and not (grouped and not _knows_groups()) and backends.can_use_flash_attention(params):
        names.append("flash")
    if mask is None and _knows_groups() and backends.can_use_cudnn_attention(params):
        names.append("cudnn")
    if backends.can_use_efficient_attention(params):
        names.append("efficient")
    return names


def _knows_groups() -> bool:
    """Tell whether this PyTorch's operators are those of 2.5 and later."""
    return hasattr(torch.backends.cuda, "can_use_cudnn_attention")


def kernel_name(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> str:
    """Choose a kernel for these tensors: "flash", "cudnn", "efficient" (CUDA), "cpu_flash", or "plain" (anywhere)."""
    aten = torch.ops.aten
    if k.shape[2] == 0 or q.shape[2] == 0 or v.shape[-1] != q.shape[-1]:
        return "plain"
    if q.device.type == "cuda":
        return next((name for name in _cuda_choices(q, k, v, mask) if hasattr(aten, _OPERATORS[name])), "plain")
    if q.device.type == "cpu" and hasattr(aten, _OPERATORS["cpu_flash"]):
        return "cpu_flash"
    return "plain"


_OPERATORS = {
    "flash": "_scaled_dot_product_flash_attention",
    "cudnn": "_scaled_dot_product_cudnn_attention",
    "efficient": "_scaled_dot_product_efficient_attention",
    "cpu_flash": "_scaled_dot_product_flash_attention_for_cpu",
}
_KERNELS: dict[str, Kernel] = {"flash": _cuda_flash, "cudnn": _cuda_cudnn, "efficient": _cuda_efficient, "cpu_flash": _cpu_flash}


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    mask: Tensor | None = None,
    key_bias: Tensor | None = None,
    kernel: str | None = None,
) -> Partial:
    """Attend with the best kernel of PyTorch's for these tensors; a bias per key, which none of them takes cheaply, goes to the plain form."""
    name = kernel or kernel_name(q, k, v, mask)
    if key_bias is not None or name == "plain":
        return attend_plain(q, k, v, scale=scale, mask=mask, key_bias=key_bias)
    attended = _KERNELS[name](q, k, v, scale, mask)
    return attended if mask is None else _without_blind_rows(attended, mask)


def _without_blind_rows(attended: Partial, mask: Tensor) -> Partial:
    """Make rows whose keys are all masked weigh nothing; the operators give them NaN, or a log-sum-exp of 0 (CPU)."""
    mask = mask_4d(mask)
    hidden = ~mask if mask.dtype == torch.bool else mask.isneginf()
    blind = hidden.all(dim=-1)
    return Partial(attended.out.masked_fill(blind.unsqueeze(-1), 0.0), attended.lse.masked_fill(blind, -torch.inf))
