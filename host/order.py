"""Bring a joint sequence into the order in which guidance computes, [text, image, rest], and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .plan import Plan


@dataclass(frozen=True)
class Order:
    """Hold spans of the model's sequence in the order in which guidance takes them; one span is the model's own order."""

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, plan: Plan, length: int) -> Order:
        """Find out where text, image and the rest are."""
        places = plan.family.places(length, plan)
        if places is not None:
            return cls(_joined([span for span in places if span[0] < span[1]]))
        text, image = plan.family.spans(length, plan)
        first = ((text, text + plan.text), (image, image + plan.grid.tokens))
        ends = [0, *(end for span in sorted(first) for end in span), length]
        rest = [(ends[i], ends[i + 1]) for i in (0, 2, 4)]
        return cls(_joined([*first, *(span for span in rest if span[0] < span[1])]))

    def there(self, x: Tensor, dim: int) -> Tensor:
        """Reorder the tokens of a tensor."""
        if len(self.spans) == 1:
            return x
        return torch.cat([x.narrow(dim, start, end - start) for start, end in self.spans], dim)

    def back(self, x: Tensor, dim: int) -> Tensor:
        """Undo `there`."""
        if len(self.spans) == 1:
            return x
        parts, at = [], 0
        for start, end in self.spans:
            parts.append((start, x.narrow(dim, at, end - start)))
            at += end - start
        return torch.cat([part for _, part in sorted(parts, key=lambda one: one[0])], dim)

    def first(self, count: int) -> list[tuple[int, int]]:
        """List where the first `count` tokens stand in the model's sequence, from front to back."""
        found = []
        for start, end in self.spans:
            if count > 0:
                found.append((start, min(end, start + count)))
            count -= end - start
        return sorted(found)

    def mask(self, mask: Tensor | None, negative: int) -> Tensor | None:
        """Reorder a mask whose `negative` first text tokens were taken out."""
        if mask is None or len(self.spans) == 1:
            return mask
        gone = self.first(negative)

        def moved(at: int) -> int:
            return at - sum(min(max(at - start, 0), end - start) for start, end in gone)

        spans = [(moved(start), moved(end)) for start, end in self.spans]
        own = Order(tuple(span for span in spans if span[0] < span[1]))
        mask = own.there(mask, mask.ndim - 1)
        return mask if mask.shape[-2] == 1 else own.there(mask, mask.ndim - 2)


def _joined(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join neighbours that follow one another."""
    joined = [spans[0]]
    for start, end in spans[1:]:
        if start == joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
