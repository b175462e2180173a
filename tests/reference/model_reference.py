"""Give host tests a whole-model reference: an attention override that computes every guided call densely in float64.

The test extends the context to [N_1 .. N_k, Na, P] itself (an APPLY_MODEL wrapper) and puts a ModelReference for that very
call into transformer_options["optimized_attention_override"]; nothing of the product takes part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .branches import Mechanism, dense_cross, dense_joint
from .dense import Layout, attention


@dataclass(frozen=True)
class Settings:
    """Describe the guided calls of one model call.

    layout: token counts; for kind "cross" its image and reference counts are not used.
    guided: one flag per row of the batch. kind: "joint" or "cross".
    token_weights: one [L_j] (or None) per negative.
    """

    layout: Layout
    mechanisms: tuple[Mechanism, ...]
    guided: tuple[bool, ...]
    kind: str = "joint"
    token_weights: tuple[Tensor | None, ...] | None = None


class ModelReference:
    """Act as optimized_attention_override: dense float64 for guided calls, the host's own function for every other call.

    `guided_calls` and `other_calls` count what was seen, so that a test can tell that the reference did act.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.guided_calls = 0
        self.other_calls = 0

    def __call__(
        self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **kw
    ) -> Tensor:
        split = kw.get("skip_reshape", False)
        if not self._is_guided(q.shape[2 if split else 1], k.shape[2 if split else 1]):
            self.other_calls += 1
            return func(q, k, v, heads, mask=mask, **kw)
        if mask is not None or kw.get("scale") is not None:
            raise NotImplementedError("the dense reference has no mask and no own scale in guided calls")
        self.guided_calls += 1
        kv_heads = k.shape[1] if split else k.shape[-1] // (q.shape[-1] // heads)
        parts = [to_heads(x, count, split) for x, count in ((q, heads), (k, kv_heads), (v, kv_heads))]
        out = torch.cat([self._row(row, *(part[row : row + 1] for part in parts)) for row in range(q.shape[0])]).to(q)
        return out if kw.get("skip_output_reshape", False) else out.transpose(1, 2).flatten(2)

    def _is_guided(self, queries: int, keys: int) -> bool:
        layout = self.settings.layout
        if self.settings.kind == "joint":
            return queries == keys == layout.total
        text = layout.total - layout.image - layout.reference
        return keys == text and queries != text

    def _row(self, row: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Compute one row of the batch, [1, H, L, D]; rows never meet."""
        settings = self.settings
        if not settings.guided[row]:
            return self._unguided(q, k, v)
        dense = dense_joint if settings.kind == "joint" else dense_cross
        return dense(q, k, v, settings.layout, settings.mechanisms, settings.token_weights)

    def _unguided(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend over [P] or [P, I, R] only; in joint calls the queries of N and Na give zeros, which nobody reads."""
        if self.settings.kind != "joint":
            keys = self.settings.layout.positions("P")
            return attention(q, k[:, :, keys], v[:, :, keys])[0]
        own = self.settings.layout.positions("P", "I", "R")
        result = torch.zeros(*q.shape[:3], v.shape[-1], dtype=torch.float64)
        result[:, :, own] = attention(q[:, :, own], k[:, :, own], v[:, :, own])[0]
        return result


def to_heads(x: Tensor, heads: int, split: bool) -> Tensor:
    """Return [B, H, L, D] in float64 from (B, L, H*D), from (B, H, L, D) when split, or from SD3's (B, L, H, D) values."""
    if split:
        return x.detach().double()
    if x.dim() == 4:
        return x.detach().double().transpose(1, 2)
    return x.detach().double().unflatten(2, (heads, -1)).transpose(1, 2)
