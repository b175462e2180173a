"""Write the papers' attention equations out, slowly and in float64, as the references of the tests.

Nothing here is fast, shares code with the product, or knows the host. Sources: VSF = arXiv 2508.10931 (equations 3 to 9,
figure 3, listing 1), NAG = arXiv 2505.21179, NASA = arXiv 2412.02687. Tensors are [B, H, L, D].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

NEVER = -math.inf


@dataclass(frozen=True)
class Layout:
    """Say how many tokens of each kind stand in a sequence, in the order [N_1 .. N_k, Na_1 .. Na_m, P, I, R].

    Na are the unflipped copies of the released layout (they belong to the positive stream); R are reference tokens.
    In cross-attention I and R are zero: only keys have a layout there.
    """

    negatives: tuple[int, ...]
    positive: int
    image: int = 0
    reference: int = 0
    copies: tuple[int, ...] = ()

    def spans(self) -> dict[str, list[range]]:
        """Return the token positions of each kind as ranges."""
        lengths = [*self.negatives, *self.copies, self.positive, self.image, self.reference]
        ends = list(accumulate(lengths))
        ranges = [range(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        k, m = len(self.negatives), len(self.copies)
        names = {"N": ranges[:k], "Na": ranges[k : k + m], "P": [ranges[k + m]], "I": [ranges[k + m + 1]], "R": [ranges[k + m + 2]]}
        return names

    def positions(self, *kinds: str) -> list[int]:
        """List the positions of all tokens of the given kinds, for example ("Na", "P", "I", "R")."""
        spans = self.spans()
        return [position for kind in kinds for span in spans[kind] for position in span]

    @property
    def total(self) -> int:
        """Return the length of the sequence."""
        return sum(self.negatives) + sum(self.copies) + self.positive + self.image + self.reference


def probabilities(q: Tensor, k: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Return softmax(q k^T / sqrt(d) + mask) [B,H,Lq,Lk] and its log-sum-exp [B,H,Lq], one head at a time in float64.

    Query head h reads key head h // (H / Hkv). mask broadcasts to [B,H,Lq,Lk]. A row without any key has probabilities 0.
    """
    q, k = q.double(), k.double()
    rows, heads, queries, width = q.shape
    scale = 1.0 / math.sqrt(width) if scale is None else scale
    group = heads // k.shape[1]
    bias = torch.zeros(1, 1, 1, 1) if mask is None else mask
    bias = bias.double().expand(rows, heads, queries, k.shape[2])
    shares = torch.zeros(rows, heads, queries, k.shape[2], dtype=torch.float64)
    lse = torch.full((rows, heads, queries), NEVER, dtype=torch.float64)
    for row in range(rows):
        for head in range(heads):
            logits = q[row, head] @ k[row, head // group].T * scale + bias[row, head]
            top = logits.amax(dim=1, keepdim=True) if logits.shape[1] else torch.full((queries, 1), NEVER, dtype=torch.float64)
            weights = torch.exp(logits - torch.where(top == NEVER, 0.0, top))
            total = weights.sum(dim=1, keepdim=True)
            shares[row, head] = torch.where(total > 0, weights / total, 0.0)
            lse[row, head] = (top + torch.log(total))[:, 0]
    return shares, lse


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Return softmax(q k^T / sqrt(d) + mask) v [B,H,Lq,Dv] and its log-sum-exp [B,H,Lq], in float64."""
    shares, lse = probabilities(q, k, mask, scale)
    group = q.shape[1] // v.shape[1]
    return shares @ v.double().repeat_interleave(group, dim=1), lse


def dense_vsf_cross(
    q: Tensor,
    kP: Tensor,
    vP: Tensor,
    kNs: Sequence[Tensor],
    vNs: Sequence[Tensor],
    alphas: Sequence[float],
    betas: Sequence[float],
    token_weights: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """Compute Eq. 9: Z = softmax(Q (K+ (+) K-)^T / sqrt(d)) (V+ (+) -alpha V-), with -beta added to the logits of K- (figure 3).

    token_weights[j] is [L_j]: token i of negative j is flipped with alpha_j * weight_i instead of alpha_j.
    """
    weights = token_weights or [None] * len(kNs)
    values, bias = [vP.double()], [torch.zeros(kP.shape[2], dtype=torch.float64)]
    for k, v, alpha, beta, weight in zip(kNs, vNs, alphas, betas, weights, strict=True):
        values.append(-alpha * weigh(v, weight))
        bias.append(torch.full((k.shape[2],), -float(beta), dtype=torch.float64))
    mask = torch.cat(bias)[None, None, None]
    return attention(q, torch.cat([kP, *kNs], dim=2), torch.cat(values, dim=2), mask)[0]


def token_weighted_vsf_cross(
    q: Tensor,
    kP: Tensor,
    vP: Tensor,
    kNs: Sequence[Tensor],
    vNs: Sequence[Tensor],
    alphas: Sequence[float],
    betas: Sequence[float],
    token_weights: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """Compute Eq. 6 to 8: Z = W Z+ - alpha (1 - W) Z-, W = sum A+ / sum(A+ + A-), A = exp(QK^T / sqrt(d)), A- *= e^-beta.

    With several negatives (1 - W) is split among them by their own sums of A. No maximum is subtracted: keep logits small.
    """
    weights = token_weights or [None] * len(kNs)
    scale = 1.0 / math.sqrt(q.shape[-1])

    def raw(k: Tensor) -> Tensor:
        return torch.exp(q.double() @ k.double().transpose(2, 3) * scale)

    mass_p = raw(kP).sum(-1, keepdim=True)
    masses = [raw(k).sum(-1, keepdim=True) * math.exp(-beta) for k, beta in zip(kNs, betas, strict=True)]
    total = mass_p + sum(masses)
    result = mass_p / total * (raw(kP) @ vP.double() / mass_p)
    for k, v, alpha, mass, weight in zip(kNs, vNs, alphas, masses, weights, strict=True):
        steered = raw(k) @ weigh(v, weight) / raw(k).sum(-1, keepdim=True)
        result = result - alpha * (mass / total) * steered
    return result


def weigh(v: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply each token's value by its weight [L] or [B, L]."""
    if weight is None:
        return v.double()
    return v.double() * weight.double().reshape(-1, 1, v.shape[2], 1)


def vsf_joint_mask(layout: Layout, betas: Sequence[float], guided: bool = True) -> Tensor:
    """Build the additive mask of figure 3, [L, L + |N1|]: rows are queries, columns [the sequence (N0, Na, P, I, R), then N1].

    I sees Na, P, I, R and N1 at -beta. P, Na and R see Na, P, I, R. N0_j sees itself, I and R. In a row of the batch that
    is not guided, P, I and R see P, I, R. Na is empty in the paper's layout; with it this is the table of the released code.
    """
    spans = layout.spans()
    mask = torch.full((layout.total, layout.total + sum(layout.negatives)), NEVER, dtype=torch.float64)
    stream = ("Na", "P", "I", "R") if guided else ("P", "I", "R")
    for query in layout.positions("Na", "P", "I", "R"):
        mask[query, layout.positions(*stream)] = 0.0
    for span in spans["N"]:
        for query in span:
            mask[query, [*span, *layout.positions("I", "R")]] = 0.0
    if guided:
        column = layout.total
        for length, beta in zip(layout.negatives, betas, strict=True):
            for query in layout.positions("I"):
                mask[query, column : column + length] = -float(beta)
            column += length
    return mask


def dense_vsf_joint(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: Layout,
    alphas: Sequence[float],
    betas: Sequence[float],
    token_weights: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """Compute the paper's masked joint attention (section 3.2, figure 3) with N duplicated, and return all rows [B,H,L,D].

    N1 = K of N0 unchanged, V of N0 times -alpha; N1 asks no query.
    """
    weights = token_weights or [None] * len(layout.negatives)
    keys, values = [k.double()], [v.double()]
    for span, alpha, weight in zip(layout.spans()["N"], alphas, weights, strict=True):
        keys.append(k[:, :, list(span)].double())
        values.append(-alpha * weigh(v[:, :, list(span)], weight))
    mask = vsf_joint_mask(layout, betas)
    return attention(q, torch.cat(keys, dim=2), torch.cat(values, dim=2), mask)[0]


def negative_share(q: Tensor, k: Tensor, layout: Layout, betas: Sequence[float]) -> Tensor:
    """Return 1 - W of Eq. 8 for the image queries of a joint call, [B, H, I]: the attention that went to all N1 together."""
    keys = torch.cat([k, k[:, :, layout.positions("N")]], dim=2)
    shares, _ = probabilities(q, keys, vsf_joint_mask(layout, betas))
    return shares[:, :, layout.positions("I"), layout.total :].sum(-1)
