"""Compute NAG and NASA by two whole attentions each (with P, with N), and combinations of mechanisms, in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .dense import Layout, attention, dense_vsf_cross, dense_vsf_joint


@dataclass(frozen=True)
class Vsf:
    """Name one negative (its index) of the shared softmax with its scale alpha and offset beta."""

    negative: int
    scale: float
    offset: float = 0.0


@dataclass(frozen=True)
class Nag:
    """Name one negative for NAG. nag_scale = phi + 1."""

    negative: int
    nag_scale: float
    nag_tau: float = 2.5
    nag_alpha: float = 0.25


@dataclass(frozen=True)
class Nasa:
    """Name one negative for NASA."""

    negative: int
    scale: float


Mechanism = Vsf | Nag | Nasa
Weights = Sequence[Tensor | None] | None


def nag_formula(positive: Tensor, negative: Tensor, nag_scale: float, nag_tau: float, nag_alpha: float) -> Tensor:
    """Apply Eq. 4 and 5 of the VSF paper (NAG) token by token: the L1 norm is over all channels of the joined heads.

    Zg = Z+ + phi (Z+ - Z-), phi = nag_scale - 1; r = |Zg| / |Z+|; Zh = Zg min(r, tau) / r; Z = alpha Zh + (1 - alpha) Z+.
    Where |Z+| = 0 the limit |Zh| = tau |Z+| = 0 is taken.
    """
    plus, minus = positive.double(), negative.double()
    result = torch.empty_like(plus)
    for row in range(plus.shape[0]):
        for token in range(plus.shape[2]):
            zp, zn = plus[row, :, token].reshape(-1), minus[row, :, token].reshape(-1)
            zg = zp + (nag_scale - 1.0) * (zp - zn)
            size, limit = zg.abs().sum(), nag_tau * zp.abs().sum()
            zh = zg * (limit / size) if size > limit else zg
            result[row, :, token] = (nag_alpha * zh + (1.0 - nag_alpha) * zp).reshape(plus.shape[1], plus.shape[3])
    return result


def nasa_formula(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Apply Eq. 3 of the VSF paper (NASA): Z = Z+ - alpha Z-."""
    return positive.double() - scale * negative.double()


def change(mechanism: Nag | Nasa, positive: Tensor, negative: Tensor) -> Tensor:
    """Return what a two-branch mechanism adds to the positive output: Z - Z+."""
    if isinstance(mechanism, Nag):
        return nag_formula(positive, negative, mechanism.nag_scale, mechanism.nag_tau, mechanism.nag_alpha) - positive
    return nasa_formula(positive, negative, mechanism.scale) - positive


def key_bias(length: int, weight: Tensor | None, others: int) -> Tensor:
    """Return the bias [B or 1, 1, 1, length + others] that multiplies the attention weight of each of N's tokens by its weight."""
    logs = torch.zeros(1, length, dtype=torch.float64) if weight is None else torch.log(weight.double()).reshape(-1, length)
    return torch.cat([logs, torch.zeros(logs.shape[0], others, dtype=torch.float64)], dim=1)[:, None, None]


def two_branches_joint(q: Tensor, k: Tensor, v: Tensor, layout: Layout, index: int, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return Z+ = Att(Q_I; [Na, P, I, R]) and Z- = Att(Q_I; [N_j, I, R]) as two whole attentions over their own sequences."""
    image, rest = layout.positions("I"), layout.positions("I", "R")
    with_p, span = layout.positions("Na", "P", "I", "R"), list(layout.spans()["N"][index])
    plus, _ = attention(q[:, :, image], k[:, :, with_p], v[:, :, with_p])
    with_n = [*span, *rest]
    minus, _ = attention(q[:, :, image], k[:, :, with_n], v[:, :, with_n], key_bias(len(span), weight, len(rest)))
    return plus, minus


def text_rows(q: Tensor, k: Tensor, v: Tensor, layout: Layout) -> Tensor:
    """Return [B,H,L,D] with every row as the unguided streams have it: Att over [Na,P,I,R], and for N_j over [N_j,I,R]."""
    result = torch.zeros(*q.shape[:3], v.shape[-1], dtype=torch.float64)
    stream = layout.positions("Na", "P", "I", "R")
    result[:, :, stream] = attention(q[:, :, stream], k[:, :, stream], v[:, :, stream])[0]
    for span in layout.spans()["N"]:
        keys = [*span, *layout.positions("I", "R")]
        result[:, :, list(span)] = attention(q[:, :, list(span)], k[:, :, keys], v[:, :, keys])[0]
    return result


def dense_nag_joint(q: Tensor, k: Tensor, v: Tensor, layout: Layout, settings: Nag, token_weights: Weights = None) -> Tensor:
    """Compute NAG in a joint attention, all rows; only image rows are guided (section 3 of the NAG paper)."""
    return dense_joint(q, k, v, layout, [settings], token_weights)


def dense_nasa_joint(q: Tensor, k: Tensor, v: Tensor, layout: Layout, settings: Nasa, token_weights: Weights = None) -> Tensor:
    """Compute NASA in a joint attention, all rows; only image rows are guided (section 4.2 of the VSF paper)."""
    return dense_joint(q, k, v, layout, [settings], token_weights)


def dense_joint(q: Tensor, k: Tensor, v: Tensor, layout: Layout, mechanisms: Sequence[Mechanism], token_weights: Weights = None) -> Tensor:
    """Combine mechanisms in a joint attention: all VSF negatives in one softmax; NAG and NASA add their Z - Z+."""
    weights = token_weights or [None] * len(layout.negatives)
    image = layout.positions("I")
    result = text_rows(q, k, v, layout)
    flipped = {m.negative: m for m in mechanisms if isinstance(m, Vsf)}
    if len(flipped) < sum(isinstance(m, Vsf) for m in mechanisms):
        raise ValueError("two VSF nodes with one negative: list its tokens twice in the layout")
    if flipped:
        # A negative that no VSF node uses gets beta = inf: it lives in the sequence, but no image token sees it flipped.
        alphas = [flipped[j].scale if j in flipped else 0.0 for j in range(len(layout.negatives))]
        betas = [flipped[j].offset if j in flipped else float("inf") for j in range(len(layout.negatives))]
        result = dense_vsf_joint(q, k, v, layout, alphas, betas, weights)
    for mechanism in mechanisms:
        if not isinstance(mechanism, Vsf):
            plus, minus = two_branches_joint(q, k, v, layout, mechanism.negative, weights[mechanism.negative])
            result[:, :, image] += change(mechanism, plus, minus)
    return result


def dense_nag_cross(q: Tensor, kP: Tensor, vP: Tensor, kN: Tensor, vN: Tensor, settings: Nag, weight: Tensor | None = None) -> Tensor:
    """Compute NAG in a cross-attention: Z+ = Att(Q; P), Z- = Att(Q; N)."""
    plus = attention(q, kP, vP)[0]
    return plus + change(settings, plus, attention(q, kN, vN, key_bias(kN.shape[2], weight, 0))[0])


def dense_nasa_cross(q: Tensor, kP: Tensor, vP: Tensor, kN: Tensor, vN: Tensor, settings: Nasa, weight: Tensor | None = None) -> Tensor:
    """Compute NASA in a cross-attention: Z = Att(Q; P) - alpha Att(Q; N) (Eq. 3)."""
    plus = attention(q, kP, vP)[0]
    return plus + change(settings, plus, attention(q, kN, vN, key_bias(kN.shape[2], weight, 0))[0])


def dense_cross(q: Tensor, k: Tensor, v: Tensor, layout: Layout, mechanisms: Sequence[Mechanism], token_weights: Weights = None) -> Tensor:
    """Combine mechanisms in a cross-attention over the keys [N_1 .. N_k, Na, P]; rules as in dense_joint."""
    weights = token_weights or [None] * len(layout.negatives)
    spans, stream = layout.spans()["N"], layout.positions("Na", "P")
    kP, vP = k[:, :, stream], v[:, :, stream]
    parts = [(k[:, :, list(span)], v[:, :, list(span)]) for span in spans]
    flipped = [m for m in mechanisms if isinstance(m, Vsf)]
    result = dense_vsf_cross(
        q, kP, vP,
        [parts[m.negative][0] for m in flipped], [parts[m.negative][1] for m in flipped],
        [m.scale for m in flipped], [m.offset for m in flipped], [weights[m.negative] for m in flipped],
    )  # fmt: skip
    plus = attention(q, kP, vP)[0]
    for mechanism in mechanisms:
        if not isinstance(mechanism, Vsf):
            kN, vN = parts[mechanism.negative]
            minus = attention(q, kN, vN, key_bias(kN.shape[2], weights[mechanism.negative], 0))[0]
            result = result + change(mechanism, plus, minus)
    return result
