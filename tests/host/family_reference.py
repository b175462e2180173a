"""Sample with a family's model under the dense attention of tests/reference, with nothing of the product: see family_spec.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.sampler_helpers
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from dense_guidance import _rows_of
from family_spec import Conditioning, Spec
from reference.branches import Mechanism, dense_cross, dense_joint
from reference.dense import Layout, attention
from reference.model_reference import to_heads

KEY, PLACE = "dense", "dense_negative"


class Dense:
    """Act as optimized_attention_override for one call of the model with one conditioning."""

    def __init__(self, spec: Spec, layout: Layout, mechanism: Mechanism) -> None:
        self._spec, self._layout, self._mechanism = spec, layout, mechanism
        self.calls = 0

    def __call__(
        self, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **kw: Any
    ) -> Tensor:
        split, layout = kw.get("skip_reshape", False), self._layout
        queries, keys = (x.shape[2 if split else 1] for x in (q, k))
        text = layout.total - layout.image - layout.reference
        joint = self._spec.joint and queries == keys == layout.total
        cross = not self._spec.joint and self._spec.cross_call(queries, keys, layout)
        among = self._spec.text_calls and queries == keys == text
        if not (joint or cross or among):
            return func(q, k, v, heads, mask=mask, **kw)
        # A mask in a guided call must let all tokens be seen.
        assert mask is None or (mask.all() if mask.dtype == torch.bool else (mask == 0).all())
        assert kw.get("scale") is None
        kv_heads = k.shape[1] if split else k.shape[-1] // (q.shape[-1] // heads)
        parts = [to_heads(x, count, split) for x, count in ((q, heads), (k, kv_heads), (v, kv_heads))]
        if among:
            out = self._among(*parts)
        elif joint:
            self.calls += 1
            out = self._joint(*parts)
        else:
            self.calls += 1
            out = dense_cross(*parts, layout, (self._mechanism,))
        out = out.to(q)
        return out if kw.get("skip_output_reshape", False) else out.transpose(1, 2).flatten(2)

    def _joint(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        order = self._spec.order(self._layout)
        if order is None:
            return dense_joint(q, k, v, self._layout, (self._mechanism,))
        ordered = dense_joint(q[:, :, order], k[:, :, order], v[:, :, order], self._layout, (self._mechanism,))
        out = torch.empty_like(ordered)
        out[:, :, order] = ordered
        return out

    def _among(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Let each prompt attend to itself."""
        out = torch.zeros(*q.shape[:3], v.shape[-1], dtype=torch.float64)
        for span in (*self._layout.spans()["N"], *self._layout.spans()["P"]):
            places = list(span)
            out[:, :, places] = attention(q[:, :, places], k[:, :, places], v[:, :, places])[0]
        return out


class Reference:
    """Guide all runs of a clone of a model away from one negative, one conditioning at a time."""

    def __init__(self, spec: Spec, mechanism: Mechanism, negative: Conditioning) -> None:
        self._spec, self._mechanism, self._negative = spec, mechanism, negative
        self._tokens: Tensor | None = None
        self._conditions: dict[str, Any] = {}
        self._guided: set[Any] = set()
        self.calls: list[int] = []

    @contextmanager
    def on(self, model: Any) -> Iterator[Any]:
        """Give the guided clone."""
        patched = model.clone()
        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, self._outer_sample)
        patched.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, self._sampler_sample)
        patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, self._apply_model)
        yield patched

    def _outer_sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        executor.class_obj.conds[PLACE] = comfy.sampler_helpers.convert_cond(self._negative)
        return executor(*args, **kwargs)

    def _sampler_sample(self, executor: Any, guider: Any, *args: Any, **kwargs: Any) -> Any:
        (negative,) = guider.conds.pop(PLACE)
        self._conditions = negative["model_conds"]
        self._tokens = self._spec.tokens(self._conditions, self._negative[0][0].shape[1])
        self._guided = {cond["uuid"] for cond in guider.conds["positive"]}
        return executor(guider, *args, **kwargs)

    def _apply_model(
        self, executor: Any, x: Tensor, t: Tensor, c_concat: Any, text: Tensor, control: Any, options: dict, **kw: Any
    ) -> Tensor:
        ids = options["uuids"]
        rows = x.shape[0] // len(ids)
        out = []
        for i, uid in enumerate(ids):
            *args, own_text, held, extra = _rows_of((x, t, c_concat, text, control, kw), slice(i * rows, (i + 1) * rows), x.shape[0])
            own = {**options, "cond_or_uncond": options["cond_or_uncond"][i : i + 1], "uuids": [uid]}
            out.append(
                self._guide(executor, args, own_text, held, own, extra)
                if uid in self._guided
                else executor(*args, own_text, held, own, **extra)
            )
        return torch.cat(out)

    def _guide(self, executor: Any, args: list, text: Tensor, control: Any, options: dict, extra: dict[str, Any]) -> Tensor:
        spec, negative = self._spec, self._tokens
        assert negative is not None
        positive = spec.positive_tokens(text.shape[1])
        image = spec.image_tokens(args[0]) if spec.joint else 0
        ours = spec.negative_tokens(negative.shape[1])
        layout = Layout((ours,), positive, image, spec.reference_tokens(extra) if spec.joint else 0)
        dense = Dense(spec, layout, self._mechanism)
        both = torch.cat([negative.to(text).expand(text.shape[0], -1, -1), text], 1)
        options = {**options, "optimized_attention_override": dense}
        with spec.around(executor.class_obj.diffusion_model, layout):
            out = executor(*args, both, control, options, **spec.feed(spec.beside(extra, self._conditions), layout))
        self.calls.append(dense.calls)
        return out
