"""Choose how a guided attention call gets its log-sum-exp, following the back end that the host runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..guidance.attention import external, kernels
from ..guidance.attention.partial import Partial
from ..guidance.attention.strands import Attend

# The host's attention functions (comfy/ldm/modules/attention.py) whose library can return the log-sum-exp itself.
LIBRARIES = {"attention_sage": "sage", "attention_flash": "flash_attn", "attention_xformers": "xformers"}


def attend_with(func: Callable[..., Tensor], scale: float | None, used: set[str]) -> Attend:
    """Give an attention with log-sum-exp for the host's function `func`; what really ran is added to `used`.

    The host's plain PyTorch, split and sub-quadratic forms, and int8, are all served by PyTorch's own operators, which are exact. A
    library that refuses a call is not asked again in this evaluation, as the host too goes on with PyTorch then.
    """
    library = LIBRARIES.get(getattr(func, "__name__", ""), "")
    kernel = external.find(library) if library else None
    refused = f"PyTorch, since {library} refused"

    def attend(q: Tensor, k: Tensor, v: Tensor, *, key_bias: Tensor | None = None, mask: Tensor | None = None) -> Partial:
        plain_call = key_bias is None and mask is None
        if kernel is not None and plain_call and refused not in used and external.accepts(library, q, k, v):
            try:
                attended = kernel(q, k, v, scale)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception:
                used.add(refused)
            else:
                used.add(library)
                return attended
        name = kernels.kernel_name(q, k, v, mask) if key_bias is None else "plain"
        used.add(f"PyTorch {name}")
        return kernels.attend(q, k, v, scale=scale, mask=mask, key_bias=key_bias, kernel=name)

    return attend


def attend_through(inner: Callable[..., Tensor], heads: int, scale: float | None, options: dict[str, Any]) -> Attend:
    """Give an attention that runs another node's override, whose log-sum-exp is not ours to see.

    The output is the override's own; the log-sum-exp is computed beside it.
    """
    kwargs = {**options, "skip_reshape": True, "skip_output_reshape": True}

    def attend(q: Tensor, k: Tensor, v: Tensor, *, key_bias: Tensor | None = None, mask: Tensor | None = None) -> Partial:
        exact = kernels.attend(q, k, v, scale=scale, mask=mask, key_bias=key_bias)
        if key_bias is not None or k.shape[2] == 0 or q.shape[2] == 0:
            return exact
        out = inner(q, k, v, heads, mask=mask, **kwargs)
        if out.ndim == 3:  # overrides written for one model may not know of skip_output_reshape
            out = out.unflatten(-1, (heads, -1)).transpose(1, 2)
        return Partial(out, exact.lse)

    return attend
