"""The layout of VSF's released code, with unflipped copies of the negative before the positive, where text is refined or does not stand first."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import ValueSignFlip
from avert.host.guide import guide
from torch import Tensor

from family_reference import Dense, Reference
from family_spec import all_specs, model_of
from reference.branches import Vsf
from reference.dense import Layout, attention
from tiny import sample

NAMES = ("krea2", "krea2_references", "aura", "lens", "mage_references")


class DenseCopies(Dense):
    """Let the copies belong to the positive among text tokens."""

    def _among(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.zeros(*q.shape[:3], v.shape[-1], dtype=torch.float64)
        for places in (self._layout.positions("N"), self._layout.positions("Na", "P")):
            out[:, :, places] = attention(q[:, :, places], k[:, :, places], v[:, :, places])[0]
        return out


class ReferenceCopies(Reference):
    """Give the model [N, Na, P], of which the copies are placed and shown like a second negative."""

    def _guide(self, executor: Any, args: list, text: Tensor, control: Any, options: dict, extra: dict[str, Any]) -> Tensor:
        spec, negative = self._spec, self._tokens
        assert negative is not None
        own, rest = negative.shape[1], (text.shape[1], spec.image_tokens(args[0]), spec.reference_tokens(extra))
        dense = DenseCopies(spec, Layout((own,), *rest, copies=(own,)), self._mechanism)
        placed = Layout((own, own), *rest)
        longer = torch.cat([negative.to(text).expand(text.shape[0], -1, -1)] * 2 + [text], 1)
        with spec.around(executor.class_obj.diffusion_model, placed):
            out = executor(*args, longer, control, {**options, "optimized_attention_override": dense}, **spec.feed(extra, placed))
        self.calls.append(dense.calls)
        return out


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_released_layout(name: str, cfg: float) -> None:
    spec, model = all_specs()[name], model_of(name)

    def run(patcher: Any) -> Tensor:
        return sample(patcher, spec.prompt(9, 1), spec.prompt(9, 2), cfg, steps=2, latent=spec.latent(1))

    plain, guided = run(model), run(guide(model, ValueSignFlip(1.2, 0.1, "released"), spec.prompt(5, 3), (0.0, 1.0), ""))
    reference = ReferenceCopies(spec, Vsf(0, 1.2, 0.1), spec.prompt(5, 3))
    with reference.on(model) as patched:
        expected = run(patched)
    assert set(reference.calls) == {spec.calls}
    effect = float((expected - plain).norm())
    assert effect > 0.003 * float(plain.norm())
    assert float((guided - expected).norm()) < 1e-3 * effect
