"""One evaluation of the model: which rows are guided, where the negatives stand, and the attention calls that are replaced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..guidance.attention.strands import Effect, Strand
from ..guidance.attention.streams import Lengths, cross_attention, joint_attention
from .backend import attend_through, attend_with
from .layout import Rows, from_heads, mask_rows, to_heads, tokens, with_copies
from .plan import Group, Plan


class Forward:
    """Replace the attention between image and text during one evaluation of the model, and keep what it did."""

    def __init__(self, plan: Plan, previous: Callable[..., Tensor] | None) -> None:
        self.plan = plan
        self._previous = previous
        self.calls = 0
        self.layer = 0
        # The block that runs now, if blocks were asked for by number: a node may skip some, so that counting calls would go wrong.
        self.block: int | None = None
        self._image_turn = plan.text_twice
        self.effects: list[Effect] = []
        self.backends: set[str] = set()

    def attention(
        self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **kw: Any
    ) -> Tensor:
        inner = func if self._previous is None else functools.partial(self._previous, func)
        self.calls += 1
        heads_first = kw.get("skip_reshape", False)
        if not self._meets_text(q.shape[2 if heads_first else 1], k.shape[2 if heads_first else 1]):
            return inner(q, k, v, heads, mask=mask, **kw)
        call = Call(self, func, inner, heads, mask, kw)
        if self.plan.text_twice:
            mine, self._image_turn = not self._image_turn, not self._image_turn
            if not mine:
                return call.plain(q, k, v, slice(None))
        return call.run(q, k, v, self._next_strands())

    def change(self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        """Return guided minus unguided attention of one cross-attention [B, L, H*D]: zero in the rows that are not guided."""
        self.calls += 1
        strands = self._next_strands()
        call = Call(self, func, func, heads, None, {})
        out = torch.zeros_like(q)
        for group in self.plan.groups if strands else ():
            out[group.rows] = call.guided(q, k, v, group, strands) - call.guided(q, k, v, group, [])
        return out

    def _next_strands(self) -> list[Strand]:
        """Count a layer, and list what acts in it."""
        layer, self.layer = self.layer, self.layer + 1
        number = layer if self.block is None else self.block
        return [act.strand for act in self.plan.acts if act.layers is None or number in act.layers]

    def _meets_text(self, queries: int, keys: int) -> bool:
        """Tell by its lengths whether an attention call is one of image with text."""
        if self.plan.family.joint:
            return queries == keys and keys >= self.plan.text + self.plan.grid.tokens
        return keys == self.plan.text and queries != keys

    def check(self) -> None:
        """Raise if the model ran, but never attended to its text where it was expected: the negative would act as a positive."""
        if self.calls and not self.layer:
            raise RuntimeError(changed_text(self.plan.family.name))


def changed_text(family: str) -> str:
    """Say that the model's text is not what it should be."""
    return (
        f"Avert could not find this {family} model's attention to its text: another node changes its tokens. "
        "Remove that node (attention-couple and NegPip nodes do this), or the Avert node."
    )


@dataclass
class Call:
    """Compute one attention call between image and text."""

    forward: Forward
    func: Callable[..., Tensor]
    inner: Callable[..., Tensor]
    heads: int
    mask: Tensor | None
    options: dict[str, Any]

    def run(self, q: Tensor, k: Tensor, v: Tensor, strands: Sequence[Strand]) -> Tensor:
        """Guide the guided rows and let the host's own function do the others, on the tokens that they would have without us."""
        plan = self.forward.plan
        if not strands and not plan.family.joint:
            return self.plain(q, k, v, slice(None))
        parts: list[tuple[Rows, Tensor]] = [(group.rows, self.guided(q, k, v, group, strands)) for group in plan.groups]
        if plan.plain is not None:
            parts.append((plan.plain, self.plain(q, k, v, plan.plain)))
        if len(parts) == 1:
            return parts[0][1]
        out = parts[0][1].new_empty(q.shape[0], *parts[0][1].shape[1:])
        for rows, part in parts:
            out[rows] = part
        return out

    def guided(self, q: Tensor, k: Tensor, v: Tensor, group: Group, strands: Sequence[Strand]) -> Tensor:
        """Compute the rows of one group, in the host's layout."""
        plan, forward = self.forward.plan, self.forward
        heads_first = self.options.get("skip_reshape", False)
        width = q.shape[-1] if heads_first else q.shape[-1] // self.heads
        q, k, v = (to_heads(x[group.rows], width, heads_first) for x in (q, k, v))
        scale = self.options.get("scale")
        if self.inner is self.func:
            attend = attend_with(self.func, scale, forward.backends)
        else:
            attend = attend_through(self.inner, self.heads, scale, self.options)
            forward.backends.add("another node's override, with PyTorch beside it")
        mask = with_copies(mask_rows(self.mask, group.rows, plan.rows), plan.added - plan.negative)
        if plan.family.joint:
            reference = q.shape[2] - plan.text - plan.grid.tokens
            lengths = Lengths(plan.negative, plan.text - plan.negative, plan.grid.tokens, reference)
            out, effect = joint_attention(q, k, v, lengths, plan.segments, strands, attend, mask, plan.with_map)
        else:
            out, effect = cross_attention(q, k, v, Lengths(plan.negative, group.positive), strands, attend, mask, plan.with_map)
        if effect is not None:
            forward.effects.append(effect)
        return from_heads(out, self.options.get("skip_output_reshape", False))

    def plain(self, q: Tensor, k: Tensor, v: Tensor, rows: Rows) -> Tensor:
        """Compute rows as they would be without us: the host's own function, on the host's own tokens."""
        plan = self.forward.plan
        heads_first = self.options.get("skip_reshape", False)
        queries = tokens(q[rows], plan.added, heads_first) if plan.family.joint else q[rows]
        keys, values = (tokens(x[rows], plan.added, heads_first) for x in (k, v))
        out = self.inner(queries, keys, values, self.heads, mask=mask_rows(self.mask, rows, plan.rows), **self.options)
        if not plan.family.joint:
            return out
        # These rows have nothing of ours; what stands in its place goes nowhere.
        dim = 2 if self.options.get("skip_output_reshape", False) else 1
        shape = list(out.shape)
        shape[dim] = plan.added
        return torch.cat([out.new_zeros(shape), out], dim=dim)
