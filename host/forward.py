"""One evaluation of the model: which rows are guided, where the negatives stand, and the attention calls that are replaced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..guidance.attention.strands import Attend, Effect, Strand
from ..guidance.attention.streams import Lengths, cross_attention, joint_attention
from .backend import attend_through, attend_with
from .families import changed_text, restarted
from .layout import Rows, dropped, from_heads, mask_rows, to_heads, with_copies, with_nothing, without
from .order import Order
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
        # What the model is called with; its transformer_options are for other nodes' overrides.
        self.options: dict[str, Any] = {}
        self._image_turn = plan.text_twice
        self.effects: list[Effect] = []
        self.backends: set[str] = set()

    def attention(
        self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **kw: Any
    ) -> Tensor:
        inner = func if self._previous is None else functools.partial(self._previous, func)
        self.calls += 1
        heads_first = kw.get("skip_reshape", False)
        queries, keys = (x.shape[2 if heads_first else 1] for x in (q, k))
        call = Call(self, func, inner, heads, mask, kw)
        # Among calls as short as the text some are not over the batch (Krea 2 attends over the encoder's layers of each token).
        if q.shape[0] == self.plan.rows and self.plan.family.mixes_text(queries, keys, self.plan):
            return call.text_apart(q, k, v)
        if not self._meets_text(queries, keys):
            return inner(q, k, v, heads, mask=mask, **kw)
        if self.plan.text_twice:
            mine, self._image_turn = not self._image_turn, not self._image_turn
            if not mine:
                return call.plain(q, k, v, slice(None))
        return call.run(q, k, v, self._next_strands())

    def positions(self, ids: Tensor, start: int, filled: int) -> Tensor:
        """Give every prompt of a joint text the positions that it would have alone."""
        return restarted(ids, self.plan, start, filled)

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
            # More keys than queries: reference images that were kept from an earlier evaluation (Flux KV Cache).
            return keys >= queries >= self.plan.text + self.plan.grid.tokens and keys not in self.plan.others
        return keys == self.plan.text and queries != keys

    def check(self) -> None:
        """Raise if the model ran, but never attended to its text where it was expected: the negative would act as a positive."""
        if self.calls and not self.layer:
            raise RuntimeError(changed_text(self.plan.family.name))


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
        mask = self._mask_beside(group.rows, k.shape[2])
        if plan.family.joint:
            order, order_of_keys = Order.of(plan, q.shape[2]), Order.of(plan, k.shape[2])
            q, k, v = order.there(q, 2), order_of_keys.there(k, 2), order_of_keys.there(v, 2)
            mask = order_of_keys.mask(mask, plan.negative)
            lengths = Lengths(plan.negative, plan.text - plan.negative, plan.grid.tokens, k.shape[2] - plan.text - plan.grid.tokens)
            out, effect = joint_attention(q, k, v, lengths, plan.segments, strands, self._attend(), mask, plan.with_map)
            out = order.back(out, 1)
        else:
            lengths = Lengths(plan.negative, group.positive, reference=plan.family.references(q.shape[2], plan))
            out, effect = cross_attention(q, k, v, lengths, strands, self._attend(), mask, plan.with_map)
        if effect is not None:
            forward.effects.append(effect)
        return from_heads(out, self.options.get("skip_output_reshape", False))

    def _attend(self) -> Attend:
        """Give the attention with log-sum-exp that fits the host's function."""
        scale = self.options.get("scale")
        if self.inner is self.func:
            return attend_with(self.func, scale, self.forward.backends)
        self.forward.backends.add("another node's override, with PyTorch beside it")
        return attend_through(self.inner, self.heads, scale, self.options)

    def _mask_beside(self, rows: Rows, keys: int) -> Tensor | None:
        """Give the rows' mask without the negatives: some models make it for the text that they get, others for the one that they had."""
        plan = self.forward.plan
        mask = mask_rows(self.mask, rows, plan.rows)
        if mask is None or mask.shape[-1] != keys:
            return with_copies(mask, plan.added - plan.negative)
        ours = Order.of(plan, keys).first(plan.negative) if plan.family.joint else [(0, plan.negative)]
        return without(mask, ours, keys)

    def plain(self, q: Tensor, k: Tensor, v: Tensor, rows: Rows) -> Tensor:
        """Compute rows as they would be without us: the host's own function, on the host's own tokens."""
        plan = self.forward.plan
        heads_first = self.options.get("skip_reshape", False)
        dim = 2 if heads_first else 1
        joint = plan.family.joint
        ours = Order.of(plan, k.shape[dim]).first(plan.added) if joint else [(0, plan.added)]
        queries = dropped(q[rows], ours, dim) if joint else q[rows]
        keys, values = (dropped(x[rows], ours, dim) for x in (k, v))
        mask = mask_rows(self.mask, rows, plan.rows)
        if mask is not None and mask.shape[-1] == k.shape[dim]:
            mask = without(mask, ours, k.shape[dim])
        out = self.inner(queries, keys, values, self.heads, mask=mask, **self.options)
        # These rows have nothing of ours; what stands in its place goes nowhere.
        return with_nothing(out, ours, 2 if self.options.get("skip_output_reshape", False) else 1) if joint else out

    def text_apart(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend among text tokens: each negative to itself, the positive prompt to itself (its unflipped copies with it where it is guided)."""
        plan = self.forward.plan
        # Padding in front of the negatives is nobody's.
        out = torch.zeros_like(q)
        for segment in plan.segments:
            self._alone(out, q, k, v, slice(None), segment.span, None)
        for group in plan.groups:
            self._alone(out, q, k, v, group.rows, slice(plan.negative, plan.text), self.mask)
        if plan.plain is not None:
            self._alone(out, q, k, v, plan.plain, slice(plan.added, plan.text), self.mask)
        if self.options.get("skip_reshape", False) and not self.options.get("skip_output_reshape", False):
            return out.transpose(1, 2).flatten(2)
        return out

    def _alone(self, out: Tensor, q: Tensor, k: Tensor, v: Tensor, rows: Rows, span: slice, mask: Tensor | None) -> None:
        """Let the host's own function attend within one span of the tokens."""
        heads_first = self.options.get("skip_reshape", False)
        q, k, v = (x[rows][:, :, span] if heads_first else x[rows][:, span] for x in (q, k, v))
        mask = mask_rows(mask, rows, self.forward.plan.rows)
        if mask is not None:
            mask = without(mask, [(0, span.start)], self.forward.plan.text)
        found = self.inner(q, k, v, self.heads, mask=mask, **self.options)
        if heads_first and not self.options.get("skip_output_reshape", False):
            found = found.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        if heads_first:
            out[rows, :, span] = found
        else:
            out[rows, span] = found
