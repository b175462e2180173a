"""Run one sampling three times: unguided, with the product, and with a dense reference that uses nothing of the product.

The reference is an APPLY_MODEL wrapper that calls the model once per conditioning of the batch, with that conditioning's own
text (not repeated to a common length): an unguided one as it is; a guided one with [N_1 .. N_k, Na, P] as its text, under the dense
attention of tests/reference. It knows the guided conditionings by their place in the list that each guider passes to the host.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.samplers
import torch
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from avert.host.negative import Negative, Prompt
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_custom_sampler import Guider_DualCFG
from comfy_extras.nodes_perpneg import Guider_PerpNeg
from torch import Tensor

from dense_guidance import DenseGuidance, DenseNode
from reference.branches import Mechanism, Nag, Nasa, Vsf
from tiny import FACTORIES, conditioning, guider_sample, latent, sample, tiny_controlnet, with_control

Conditioning = list[list]

VARIANTS = ("sd3", "sd35_medium", "flux", "kontext", "wan", "wan_i2v", "sd15", "sd15_control", "sdxl")
JOINT = ("sd3", "sd35_medium", "flux", "kontext")


def family_of(variant: str) -> str:
    return {"kontext": "flux", "sd15_control": "sd15"}.get(variant, variant)


@functools.cache
def model_of(variant: str) -> Any:
    """Build the model of a variant once; tests patch clones of it."""
    return FACTORIES[family_of(variant)]()


def small_latent(variant: str, batch: int = 1, height: int = 8, width: int = 12, frames: int = 2) -> Tensor:
    """Make an empty latent, small and not square."""
    return latent(family_of(variant), batch, height=height, width=width, frames=frames)


@functools.cache
def _controlnet() -> Any:
    return tiny_controlnet()


@dataclass(frozen=True)
class Node:
    """Describe one Avert node: method "VSF" (scale, offset), "NAG" (nag_scale, nag_tau, nag_alpha) or "NASA" (scale).

    negative: a CONDITIONING, or None for the sampler's own; weights: one per token for each of its entries.
    """

    method: str
    numbers: tuple[float, ...]
    negative: Conditioning | None = None
    weights: tuple[Tensor | None, ...] | None = None
    window: tuple[float, float] = (0.0, 1.0)
    blocks: tuple[int, ...] | None = None
    layout: str = "paper"

    def patch(self, model: Any) -> Any:
        """Put the product's node on a model."""
        classes = {"VSF": ValueSignFlip, "NAG": NormalizedGuidance, "NASA": NegativeAway}
        extra = (self.layout,) if self.method == "VSF" else ()
        negative: Any = self.negative
        if self.weights is not None:
            pairs = zip(self.negative or [], self.weights, strict=True)
            negative = Negative(tuple(Prompt(tokens, entry, weight) for (tokens, entry), weight in pairs))
        blocks = "" if self.blocks is None else ", ".join(map(str, self.blocks))
        return guide(model, classes[self.method](*self.numbers, *extra), negative, self.window, blocks)

    def mechanism(self, index: int) -> Mechanism:
        """Give the reference's settings for the negative number `index`."""
        return {"VSF": Vsf, "NAG": Nag, "NASA": Nasa}[self.method](index, *self.numbers)

    def dense(self, own: Conditioning) -> DenseNode:
        """Describe this node to the reference; `own` is the sampler's negative."""
        entries = [without_padding(tokens) for tokens, _ in (own if self.negative is None else self.negative)]
        blocks = None if self.blocks is None else frozenset(self.blocks)
        weights = self.weights or (None,) * len(entries)
        return DenseNode(self.mechanism, entries, weights, self.window, blocks, self.layout == "released")

    def apart(self) -> list[Node]:
        """Describe a VSF node with a negative that holds for a part of the run as one node for each such negative."""
        nodes = []
        for tokens, entry in self.negative or []:
            start, end = max(self.window[0], entry.get("start_percent", 0.0)), min(self.window[1], entry.get("end_percent", 1.0))
            nodes.append(replace(self, negative=[[tokens, entry]], window=(start, end)))
        return nodes


def without_padding(tokens: Tensor) -> Tensor:
    """Drop the rows of zeros that Wan's text encoder ends with."""
    return tokens[:, : int((tokens != 0).any(dim=-1).sum(dim=-1).max())]


@dataclass(frozen=True)
class Case:
    """Describe one sampling. `options` go to `tiny.sample` (denoise=, start_step= ...); a latent has its own batch size."""

    variant: str
    nodes: tuple[Node, ...]
    positive: Conditioning
    negative: Conditioning
    cfg: float = 1.0
    guider: str = "standard"
    middle: Conditioning | None = None
    sampler_name: str = "euler"
    steps: int = 2
    batch: int = 1
    latent: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)


def prompt(variant: str, length: int, seed: int, **extra: Any) -> Conditioning:
    """Make a text of `length` tokens for a variant, without its reference picture or ControlNet; Wan's is padded to 512."""
    return conditioning(family_of(variant), length, seed, **extra)


def texts(variant: str, positive: int, negative: int, **extra: Any) -> tuple[Conditioning, Conditioning]:
    """Make the sampler's two conditionings (seeds 1 and 2), with what the variant brings along."""
    if variant == "kontext":
        extra["reference_latents"] = [latent("flux", 1, seed=5, height=8, width=12), latent("flux", 1, seed=6, height=6, width=4)]
    pair = prompt(variant, positive, 1, **extra), prompt(variant, negative, 2, **extra)
    return with_control(*pair, _controlnet()) if variant == "sd15_control" else pair


class SwappedGuider(comfy.samplers.CFGGuider):
    """Pass [negative, positive] to the host, the other way round than the host does."""

    def predict_noise(self, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: int | None = None) -> Tensor:
        negative, positive = self.conds["negative"], self.conds["positive"]
        out = comfy.samplers.calc_cond_batch(self.inner_model, [negative, positive], x, timestep, model_options or {})
        return out[0] + self.cfg * (out[1] - out[0])


# Which list of the guider stands at which place of the list that it passes to the host, for lists that are guided.
GUIDED = {
    "standard": {0: "positive"},
    "swapped": {1: "positive"},
    "dual": {2: "positive"},
    "nested": {2: "positive"},
    "perp": {0: "positive"},
}


def _guider(case: Case, model: Any) -> Any:
    if case.guider == "swapped":
        guider = SwappedGuider(model)
        guider.set_conds(case.positive, case.negative)
        guider.set_cfg(case.cfg)
    elif case.guider == "perp":
        guider = Guider_PerpNeg(model)
        guider.set_conds(case.positive, case.negative, case.middle)
        guider.set_cfg(case.cfg, 1.0)
    else:
        guider = Guider_DualCFG(model)
        guider.set_conds(case.positive, case.middle, case.negative)
        guider.set_cfg(case.cfg, 2.0, case.guider == "nested")
    return guider


@dataclass
class Outcome:
    """Hold a run: the picture, the first step's denoised prediction, and the list places that each call of the model served."""

    picture: Tensor
    first: Tensor
    calls: list[tuple[int, ...]]


@dataclass
class Comparison:
    """Hold the three runs of a case."""

    plain: Outcome
    ours: Outcome
    dense: Outcome


def run(case: Case, model: Any) -> Outcome:
    """Sample a case with a model."""
    calls: list[tuple[int, ...]] = []

    def watch(executor: Any, x: Tensor, t: Tensor, c_concat: Any, c_crossattn: Any, control: Any, options: dict, **kwargs: Any) -> Tensor:
        calls.append(tuple(options["cond_or_uncond"]))
        return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)

    steps: list[Tensor] = []
    watched = model.clone()
    watched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "watch", watch)
    start = small_latent(case.variant, case.batch) if case.latent is None else case.latent
    settings: dict[str, Any] = {"sampler_name": case.sampler_name, "steps": case.steps, "latent": start}
    settings["callback"] = lambda step, denoised, x, total: steps.append(denoised.clone())
    if case.guider == "standard":
        picture = sample(watched, case.positive, case.negative, case.cfg, **settings, **case.options)
    else:
        picture = guider_sample(_guider(case, watched), **settings)
    return Outcome(picture, steps[0], calls)


def product(case: Case, model: Any) -> Any:
    """Put the case's nodes on a model, one after the other."""
    return functools.reduce(lambda patched, node: node.patch(patched), case.nodes, model)


def assert_exact(case: Case, model: Any = None, together: bool | None = None, nodes: Sequence[Node] = ()) -> Comparison:
    """Check that the product's picture is the reference's, to 1e-3 of what guidance changes, and its first step to 1e-4.

    together: whether several conditionings must (True) or must not (False) have shared a call, or either (None);
    nodes: what the reference does, if not what the case says.
    """
    model = model_of(case.variant) if model is None else model
    plain, ours = run(case, model), run(case, product(case, model))
    dense_nodes = [node.dense(case.negative) for node in nodes or case.nodes]
    with DenseGuidance(family_of(case.variant), dense_nodes, GUIDED[case.guider]).installed(model) as patched:
        dense = run(case, patched)
    effect = distance(dense.picture, plain.picture)
    assert torch.isfinite(ours.picture).all()
    assert effect > 0.01 * plain.picture.norm(), "the guidance changes too little for a comparison"
    error = distance(ours.picture, dense.picture)
    assert error <= 1e-3 * effect, f"the picture is off by {error / effect:.1e} of the effect"
    first, first_error = distance(dense.first, plain.first), distance(ours.first, dense.first)
    if first < 1e-5 * plain.first.norm():
        # Not guided: the reference differs by rounding, because it runs the conditionings one by one.
        assert torch.equal(ours.first, plain.first)
    else:
        assert first_error <= 1e-4 * first, f"the first step is off by {first_error / first:.1e} of its effect"
    assert ours.calls == plain.calls, "guidance must not add, split or reorder calls of the model"
    if together is not None:
        assert any(len(call) > 1 for call in ours.calls) == together
    return Comparison(plain, ours, dense)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Measure |a - b| in float64."""
    return (a.double() - b.double()).norm()
