"""The methods to compare, as a table: a node that lands later needs one entry more.

A method makes of the demo model, the prompts of a batch and a strength what the host's sampler takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...nodes.dng import AvertDNG
from ...nodes.nag import AvertNAG, AvertNASA
from ...nodes.score import AvertNegativeGuidance, AvertPerpNeg, AvertSLD
from ...nodes.vsf import AvertVSF

STEPS = {"few_step": 8, "guided": 20}
# Of what works on predictions, beside the empty prompt.
CFG, ANCESTRAL = 3.0, "euler_ancestral"


class Texts(NamedTuple):
    """Hold a batch's prompts, a row for each picture: CONDITIONINGs as CLIP Text Encode gives them (padded), `negative` as Avert Negative Prompt does."""

    positive: Any
    empty: Any
    padded_negative: Any
    negative: Any


class Sampling(NamedTuple):
    """Hold what the host's sampler takes."""

    model: Any
    positive: Any
    negative: Any
    cfg: float


Build = Callable[[Any, Texts, float], Sampling]


@dataclass(frozen=True)
class Method:
    """Name a way to avoid something, with the strengths to try.

    group: methods that differ in a second setting only share it; variant: of AvertDemoModel; usual: the strength to time, and the default of
    a node where it has one; like: the method that shows the same without the negative; it runs at the same strength if it has it.
    """

    name: str
    group: str
    build: Build
    strengths: tuple[float, ...]
    usual: float
    variant: str = "few_step"
    like: str = "none"
    sampler: str = "euler"


def none(model: Any, texts: Texts, strength: float) -> Sampling:
    return Sampling(model, texts.positive, texts.empty, 1.0)


def vsf(offset: float, words_only: bool = False, cfg: float = 1.0) -> Build:
    def build(model: Any, texts: Texts, scale: float) -> Sampling:
        guided = AvertVSF.execute(model, scale, offset, texts.negative, words_only=words_only).args[0]
        return Sampling(guided, texts.positive, texts.empty, cfg)

    return build


def nag(tau: float, alpha: float) -> Build:
    def build(model: Any, texts: Texts, scale: float) -> Sampling:
        return Sampling(AvertNAG.execute(model, scale, tau, alpha, texts.negative).args[0], texts.positive, texts.empty, 1.0)

    return build


def nasa(model: Any, texts: Texts, scale: float) -> Sampling:
    return Sampling(AvertNASA.execute(model, scale, texts.negative).args[0], texts.positive, texts.empty, 1.0)


def flip(model: Any, texts: Texts, scale: float) -> Sampling:
    """Whole-embedding flip (VSF paper, 6.3): the negative's embedding times -scale behind the positive's, padding kept, as one prompt."""
    ((positive, options),), ((negative, _),) = texts.positive, texts.padded_negative
    return Sampling(model, [[torch.cat([positive, -scale * negative], 1), options]], texts.empty, 1.0)


def negpip(model: Any, texts: Texts, scale: float) -> Sampling:
    """As NegPip, VSF without isolation: the negative's tokens behind the positive's, values times -scale, for text and image to see alike."""
    ((positive, options),) = texts.positive
    negative = torch.cat([prompt.embedding for prompt in texts.negative.prompts], 1)
    start, end = positive.shape[1], positive.shape[1] + negative.shape[1]

    def flipped(func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, *args: Any, **kwargs: Any) -> Tensor:
        # SD3 attends to [text, image], with tokens in the second dimension unless heads come first.
        tokens = 2 if kwargs.get("skip_reshape", False) else 1
        v = v.clone()
        v.narrow(tokens, start, end - start).mul_(-scale)
        return func(q, k, v, heads, *args, **kwargs)

    patched = model.clone()
    patched.model_options["transformer_options"]["optimized_attention_override"] = flipped
    return Sampling(patched, [[torch.cat([positive, negative], 1), options]], texts.empty, 1.0)


def cfg_negative(model: Any, texts: Texts, cfg: float) -> Sampling:
    """Classifier-free guidance with the negative prompt in place of the empty one."""
    return Sampling(model, texts.positive, texts.padded_negative, cfg)


def cfg_empty(model: Any, texts: Texts, cfg: float) -> Sampling:
    return Sampling(model, texts.positive, texts.empty, cfg)


def beside_empty(model: Any, texts: Texts, cfg: float) -> Sampling:
    """Classifier-free guidance with the empty prompt, for what is compared with it."""
    return Sampling(model, texts.positive, texts.empty, cfg)


def static(model: Any, texts: Texts, scale: float) -> Sampling:
    return beside_empty(AvertNegativeGuidance.execute(model, scale, texts.padded_negative).args[0], texts, CFG)


def dng(model: Any, texts: Texts, scale: float) -> Sampling:
    """Compared with the empty prompt, as static guidance here; a temperature for a latent of 1,024 numbers."""
    return beside_empty(AvertDNG.execute(model, scale, 0.3, 1.0, 0.0, 1e-6, 0.9, texts.padded_negative, "empty").args[0], texts, CFG)


def sld(model: Any, texts: Texts, scale: float) -> Sampling:
    """The medium preset but for the scale."""
    return beside_empty(AvertSLD.execute(model, scale, 10, 0.01, 0.3, 0.4, texts.padded_negative).args[0], texts, CFG)


def perp_neg(model: Any, texts: Texts, scale: float) -> Sampling:
    return beside_empty(AvertPerpNeg.execute(model, scale, texts.padded_negative).args[0], texts, CFG)


def core_nag(model: Any, texts: Texts, scale: float) -> Sampling:
    """The host's own NAG node with its own defaults: it takes the sampler's negative, and switches the host's saving at cfg 1 off."""
    try:
        from comfy_extras.nodes_nag import NAGuidance
    except ImportError:
        raise SystemExit('This ComfyUI has no NAG node of its own; leave "ComfyUI\'s NAG" out of --methods.') from None

    return Sampling(NAGuidance.execute(model, scale, 0.5, 1.5).args[0], texts.positive, texts.padded_negative, 1.0)


def core_perp_neg(model: Any, texts: Texts, scale: float) -> Sampling:
    """The host's own Perp-Neg, which takes its right angle over the whole batch."""
    from comfy_extras.nodes_perpneg import PerpNeg

    return Sampling(PerpNeg.execute(model, texts.empty, scale).args[0], texts.positive, texts.padded_negative, CFG)


PLAIN_ANCESTRAL = "guided, ancestral"
METHODS = (
    Method("none", "none", none, (0.0,), 0.0),
    Method("VSF, offset -0.6", "VSF", vsf(-0.6), (0.25, 0.5, 0.94, 1.5, 2.0, 3.0), 0.94),
    Method("VSF, offset 0", "VSF", vsf(0.0), (0.25, 0.5, 0.75, 1.0, 1.5, 2.0), 0.75),
    Method("NAG", "NAG", nag(2.5, 0.25), (3.0, 5.0, 9.0, 15.0), 5.0),
    Method("NAG, alpha 0.5", "NAG", nag(2.5, 0.5), (2.0, 3.0, 5.0, 9.0), 5.0),
    Method("VSF, words only", "VSF, words only", vsf(0.0, True), (0.5, 1.0, 1.5, 2.0, 3.0), 1.5),
    Method("NASA", "NASA", nasa, (0.15, 0.3, 0.45, 0.6, 0.8), 0.15),
    Method("whole-embedding flip", "flip", flip, (0.5, 1.0, 2.0), 1.0),
    Method("NegPip-like", "NegPip", negpip, (0.5, 1.0, 1.5, 2.0), 1.0),
    Method("ComfyUI's NAG", "ComfyUI's NAG", core_nag, (5.0, 11.0), 5.0),
    Method("CFG, few steps", "CFG, few steps", cfg_negative, (1.5, 2.0, 3.0), 2.0),
    Method("guided, CFG without negative", "guided, none", cfg_empty, (2.0, 3.0, 5.0), 3.0, "guided"),
    Method("guided, CFG", "guided, CFG", cfg_negative, (2.0, 3.0, 5.0), 3.0, "guided", "guided, CFG without negative"),
    Method(
        "guided, VSF, words only", "guided, VSF", vsf(0.0, True, CFG), (0.5, 1.0, 1.5, 2.0), 1.0, "guided", "guided, CFG without negative"
    ),
    Method(PLAIN_ANCESTRAL, PLAIN_ANCESTRAL, beside_empty, (CFG,), CFG, "guided", PLAIN_ANCESTRAL, ANCESTRAL),
    Method("static", "static", static, (0.5, 1.0, 2.0, 3.0), 2.0, "guided", PLAIN_ANCESTRAL, ANCESTRAL),
    Method("DNG", "DNG", dng, (0.5, 1.0, 2.0, 5.0, 10.0), 5.0, "guided", PLAIN_ANCESTRAL, ANCESTRAL),
    Method("SLD", "SLD", sld, (20.0, 100.0, 1000.0), 1000.0, "guided", PLAIN_ANCESTRAL, ANCESTRAL),
    Method("Perp-Neg", "Perp-Neg", perp_neg, (0.5, 1.0, 2.0), 1.0, "guided", PLAIN_ANCESTRAL, ANCESTRAL),
    Method("ComfyUI's Perp-Neg", "ComfyUI's Perp-Neg", core_perp_neg, (0.5, 1.0, 2.0), 1.0, "guided", PLAIN_ANCESTRAL, ANCESTRAL),
)


def find(name: str) -> Method:
    """Give the method of that name."""
    return next(method for method in METHODS if method.name == name)


def chosen(names: list[str] | None) -> tuple[Method, ...]:
    """Give the methods of these names or groups (None: all), with those that they are compared with."""
    wanted = [method for method in METHODS if names is None or method.name in names or method.group in names]
    unknown = set(names or ()) - {method.name for method in METHODS} - {method.group for method in METHODS}
    if unknown:
        raise SystemExit(f"There is no method {', '.join(sorted(unknown))}; there are {', '.join(method.name for method in METHODS)}.")
    needed = {method.like for method in wanted} | {method.name for method in wanted}
    return tuple(method for method in METHODS if method.name in needed)
