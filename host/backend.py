"""Choose how a guided attention call gets its log-sum-exp, following the back end that the host runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..guidance.attention import external, kernels
from ..guidance.attention.partial import Partial
from ..guidance.attention.streams import Attend

# The host's attention functions (comfy/ldm/modules/attention.py) whose library can return the log-sum-exp itself.
LIBRARIES = {"attention_sage": "sage", "attention_flash": "flash_attn", "attention_xformers": "xformers"}


def attend_with(func: Callable[..., Tensor], scale: float | None) -> tuple[Attend, str]:
    """Give an attention with log-sum-exp for the host's function `func`, and the name of what runs.

    The host's plain PyTorch, split and sub-quadratic forms, and int8, are all served by PyTorch's own operators, which are exact.
    """
    library = LIBRARIES.get(getattr(func, "__name__", ""))
    kernel = None if library is None else external.find(library)

    def attend(q: Tensor, k: Tensor, v: Tensor, *, key_bias: Tensor | None = None, mask: Tensor | None = None) -> Partial:
        if kernel is not None and key_bias is None and mask is None and external.accepts(q, k, v):
            return kernel(q, k, v, scale)
        return kernels.attend(q, k, v, scale=scale, mask=mask, key_bias=key_bias)

    return attend, library if kernel is not None and library is not None else "pytorch"


def attend_through(inner: Callable[..., Tensor], heads: int, scale: float | None, options: dict[str, Any]) -> Attend:
    """Give an attention that runs another node's override, whose log-sum-exp is not ours to see.

    The output is the override's own; the log-sum-exp is computed beside it.
    """
    kwargs = {**options, "skip_reshape": True, "skip_output_reshape": True}

    def attend(q: Tensor, k: Tensor, v: Tensor, *, key_bias: Tensor | None = None, mask: Tensor | None = None) -> Partial:
        exact = kernels.attend(q, k, v, scale=scale, mask=mask, key_bias=key_bias)
        if key_bias is not None or k.shape[2] == 0 or q.shape[2] == 0:
            return exact
        return Partial(inner(q, k, v, heads, mask=mask, **kwargs), exact.lse)

    return attend
