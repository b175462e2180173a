"""Guide the runs of a host model densely, with nothing of the product: see dense_run.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from reference.branches import Mechanism, Nag, Nasa, change, key_bias
from reference.dense import Layout, attention
from reference.model_reference import ModelReference, Settings

KEY = "dense"
JOINT_FAMILIES = ("sd3", "sd35_medium", "flux")


@dataclass(frozen=True)
class DenseNode:
    """Describe a node: `negatives` are [1, L, C] without padding, `weights` one [L] or None for each of them.

    mechanism(i) gives the reference's settings for negative i; `copied`: the released layout's unflipped copies.
    """

    mechanism: Callable[[int], Mechanism]
    negatives: Sequence[Tensor]
    weights: Sequence[Tensor | None]
    window: tuple[float, float]
    blocks: frozenset[int] | None
    copied: bool


@dataclass
class Gate:
    """Tell which attention call is the one with the text, whatever its lengths: the last in a cross-attention module.

    images: how many calls come before it in the module (one with image tokens in Wan's image-to-video models).
    """

    images: int = 0
    left: int = -1

    def enter(self, *_: Any) -> None:
        self.left = self.images

    def leave(self, *_: Any) -> None:
        self.left = -1

    def count(self) -> bool:
        """Count an attention call; return whether it is the one with the text."""
        now, self.left = self.left, max(self.left - 1, -1)
        return now == 0


@dataclass(frozen=True)
class Placed:
    """Hold a mechanism, the negatives that it steers away from together, and its blocks."""

    mechanism: Mechanism
    together: tuple[int, ...]
    blocks: frozenset[int] | None


class LayeredReference(ModelReference):
    """Extend the reference by blocks, by NAG and NASA with several negatives in one node, and by telling cross-attention apart."""

    def __init__(self, settings: Settings, placed: Sequence[Placed], gate: Gate | None) -> None:
        super().__init__(settings)
        self._placed, self._gate = placed, gate

    def _is_guided(self, queries: int, keys: int) -> bool:
        if self._gate is None:
            return super()._is_guided(queries, keys)
        is_text = self._gate.count()
        assert not is_text or keys == self.settings.layout.total
        return is_text

    def _row(self, row: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        layer = self.guided_calls - 1
        active = [p for p in self._placed if p.blocks is None or layer in p.blocks]
        alone = [dataclasses.replace(p.mechanism, negative=i) for p in active for i in p.together if not _joins(p)]
        whole = self.settings
        self.settings = dataclasses.replace(whole, mechanisms=tuple(alone))
        try:
            out = super()._row(row, q, k, v)
        finally:
            self.settings = whole
        for p in active:
            if _joins(p):
                self._add_joined(out, p, q, k, v)
        return out

    def _add_joined(self, out: Tensor, placed: Placed, q: Tensor, k: Tensor, v: Tensor) -> None:
        """Add Z - Z+ with Z- = Att(Q_I; [N_1, .., N_k, I, R]): the negatives of one node are one text."""
        layout, weights = self.settings.layout, self.settings.token_weights
        joint = self.settings.kind == "joint"
        image = layout.positions("I") if joint else list(range(q.shape[2]))
        spans = layout.spans()["N"]
        rest = layout.positions("I", "R") if joint else []
        keys = [position for i in placed.together for position in spans[i]] + rest
        bias = torch.cat([key_bias(len(spans[i]), weights[i] if weights else None, 0) for i in placed.together], dim=-1)
        bias = torch.nn.functional.pad(bias, (0, len(rest)))
        with_p = layout.positions("Na", "P", *(("I", "R") if joint else ()))
        plus = attention(q[:, :, image], k[:, :, with_p], v[:, :, with_p])[0]
        minus = attention(q[:, :, image], k[:, :, keys], v[:, :, keys], bias)[0]
        out[:, :, image] += change(placed.mechanism, plus, minus)


def _joins(placed: Placed) -> bool:
    return isinstance(placed.mechanism, Nag | Nasa) and len(placed.together) > 1


@dataclass
class DenseGuidance:
    """Guide all runs of a clone of a model. `guided`: place in the guider's list -> name of that list."""

    family: str
    nodes: Sequence[DenseNode]
    guided: dict[int, str]
    guided_calls: int = 0
    _lengths: dict[tuple[str, Any], int] = field(default_factory=dict)
    _sigmas: list[tuple[float, float]] = field(default_factory=list)
    _gate: Gate | None = None

    @contextmanager
    def installed(self, model: Any) -> Iterator[Any]:
        """Give a guided clone of the model; hooks on its modules last only as long as this."""
        patched = model.clone()
        patched.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, self._sampler_sample)
        patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, self._apply_model)
        with ExitStack() as stack:
            if self.family not in JOINT_FAMILIES:
                self._gate = Gate(images=int(self.family == "wan_i2v"))
                for module in _cross_attentions(model.model.diffusion_model):
                    stack.callback(module.register_forward_pre_hook(self._gate.enter).remove)
                    stack.callback(module.register_forward_hook(self._gate.leave).remove)
            yield patched

    def _sampler_sample(self, executor: Any, guider: Any, *args: Any, **kwargs: Any) -> Any:
        """Note how long each guided text is, and the windows as noise levels."""
        for name in self.guided.values():
            for cond in guider.conds[name]:
                self._lengths[name, cond["uuid"]] = cond["model_conds"]["c_crossattn"].cond.shape[1]
        sampling = guider.model_patcher.get_model_object("model_sampling")
        self._sigmas = [
            (inf if start == 0 else float(sampling.percent_to_sigma(start)), -1.0 if end == 1 else float(sampling.percent_to_sigma(end)))
            for start, end in (node.window for node in self.nodes)
        ]
        return executor(guider, *args, **kwargs)

    def _apply_model(
        self, executor: Any, x: Tensor, t: Tensor, c_concat: Any, c_crossattn: Tensor, control: Any, options: dict, **kwargs: Any
    ) -> Tensor:
        places, ids = options["cond_or_uncond"], options["uuids"]
        rows = x.shape[0] // len(places)
        # The start belongs to the window, the end does not; schedules are float32, so equal means within rounding.
        above = 1 + 1e-5
        due = [node for node, (start, end) in zip(self.nodes, self._sigmas, strict=True) if end * above < float(t[0]) <= start * above]
        out = []
        for i, (place, uid) in enumerate(zip(places, ids, strict=True)):
            own = {**options, "cond_or_uncond": [place], "uuids": [uid]}
            part = _rows_of((x, t, c_concat, c_crossattn, control, kwargs), slice(i * rows, (i + 1) * rows), x.shape[0])
            *args, text, held, extra = part
            if due and place in self.guided:
                text, reference = self._guide(args[0], text[:, : self._lengths[self.guided[place], uid]], due, extra)
                own["optimized_attention_override"] = reference
            out.append(executor(*args, text, held, own, **extra))
            if "optimized_attention_override" in own:
                assert reference.guided_calls, "the reference found nothing to guide"
                self.guided_calls += reference.guided_calls
        return torch.cat(out)

    def _guide(self, x: Tensor, text: Tensor, due: Sequence[DenseNode], extra: dict[str, Any]) -> tuple[Tensor, LayeredReference]:
        """Give [N_1 .. N_k, Na, P] for one conditioning, and the attention that goes with it."""
        joint = self.family in JOINT_FAMILIES
        negatives = [n for node in due for n in node.negatives]
        copies = [n for node in due if node.copied and joint for n in node.negatives]
        placed, first = [], 0
        for node in due:
            together = tuple(range(first, first + len(node.negatives)))
            placed.append(Placed(node.mechanism(first), together, node.blocks))
            first += len(together)
        layout = Layout(
            tuple(n.shape[1] for n in negatives), text.shape[1],
            _patches(x) if joint else 0, sum(map(_patches, extra.get("ref_latents") or ())),
            tuple(n.shape[1] for n in copies),
        )  # fmt: skip
        weights = tuple(weight for node in due for weight in node.weights)
        settings = Settings(layout, (), (True,) * x.shape[0], "joint" if joint else "cross", weights)
        context = torch.cat([*(n.expand(x.shape[0], -1, -1).to(text) for n in (*negatives, *copies)), text], dim=1)
        return context, LayeredReference(settings, placed, self._gate)


def _patches(x: Tensor) -> int:
    """Count tokens of a picture for SD3 and Flux: patches of 2 x 2, sides rounded up."""
    return ceil(x.shape[-2] / 2) * ceil(x.shape[-1] / 2)


def _cross_attentions(model: nn.Module) -> list[nn.Module]:
    """List the modules in which the image attends to the text: attn2 of UNets, cross_attn of Wan."""
    return [module for name, module in model.named_modules() if name.rsplit(".", 1)[-1] in ("attn2", "cross_attn")]


def _rows_of(value: Any, rows: slice, total: int) -> Any:
    """Take the rows of every tensor in a nest of containers that has `total` rows."""
    if isinstance(value, Tensor):
        return value[rows] if value.ndim and value.shape[0] == total else value
    if isinstance(value, dict):
        return {key: _rows_of(item, rows, total) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_rows_of(item, rows, total) for item in value)
    return value
