"""Pin the whole attention layers, joint and cross, to the dense references: every row, every combination of mechanisms."""

import math

import pytest
import torch
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.attention.strands import Segment, Strand
from avert.guidance.attention.streams import Lengths, cross_attention, joint_attention

from reference.branches import Nag, Nasa, Vsf, change, dense_cross, dense_joint, text_rows
from reference.dense import Layout, attention, vsf_joint_mask
from tensors import EXACT, SINGLE, close, normal, qkv

TOLERANCE = {torch.float64: EXACT, torch.float32: SINGLE}
PRODUCT = {
    Vsf: (ValueSignFlip, "scale", "offset"),
    Nag: (NormalizedGuidance, "nag_scale", "nag_tau", "nag_alpha"),
    Nasa: (NegativeAway, "scale"),
}

CASES = {
    "VSF": ((3,), [Vsf(0, 3.3, 0.2)]),
    "VSF, negative offset": ((3,), [Vsf(0, 1.0, -0.6)]),
    "NAG": ((3,), [Nag(0, 5.0)]),
    "NASA": ((3,), [Nasa(0, 0.15)]),
    "two VSF": ((3, 2), [Vsf(0, 2.0, 0.2), Vsf(1, 1.0, 0.0)]),
    "two NAG": ((3, 2), [Nag(0, 5.0), Nag(1, 3.0, 1.5, 0.5)]),
    "NAG and NASA": ((3, 2), [Nag(0, 5.0), Nasa(1, 0.3)]),
    "all, in another order": ((3, 2, 4, 1), [Nasa(2, 0.3), Vsf(1, 2.0, 0.2), Nag(0, 5.0), Vsf(3, 1.0, 1.0)]),
    "a negative at rest": ((3, 2), [Vsf(1, 2.0, 0.2)]),
    "the longest text is the negative": ((13,), [Vsf(0, 2.0, 0.2)]),
}


def segments(layout, weights=None):
    """Describe the negatives to the product."""
    weights = weights or [None] * len(layout.negatives)
    return [Segment(span.start, len(span), weight) for span, weight in zip(layout.spans()["N"], weights, strict=True)]


def strands(nodes, parts):
    """Translate the reference's settings, one strand per node."""
    result = []
    for node in nodes:
        kind, *names = PRODUCT[type(node)]
        result.append(Strand(kind(*(getattr(node, name) for name in names)), (parts[node.negative],)))
    return result


def lengths(layout):
    return Lengths(sum(layout.negatives), layout.positive + sum(layout.copies), layout.image, layout.reference)


def joint(layout, nodes, q, k, v, weights=None, **options):
    parts = segments(layout, weights)
    out, effect = joint_attention(q, k, v, lengths(layout), parts, strands(nodes, parts), attend_plain, **options)
    return out.transpose(1, 2), effect


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("reference", [0, 3])
@pytest.mark.parametrize("case", CASES)
def test_joint(case, reference, dtype):
    negatives, nodes = CASES[case]
    layout = Layout(negatives, 4, 9, reference)
    q, k, v = qkv(layout.total, layout.total, heads=4, kv_heads=2, dtype=dtype)
    expected, asking = dense_joint(q, k, v, layout, nodes), layout.total - reference
    close(joint(layout, nodes, q, k, v)[0], expected, **TOLERANCE[dtype])
    # Reference tokens may be keys alone.
    close(joint(layout, nodes, q[:, :, :asking], k, v)[0], expected[:, :, :asking], **TOLERANCE[dtype])


@pytest.mark.parametrize("case", ["VSF", "two VSF", "all, in another order"])
def test_joint_released_layout(case):
    """The unflipped copies are positive text: I, P and themselves see them, Nb does not."""
    negatives, nodes = CASES[case]
    layout = Layout(negatives, 4, 9, copies=tuple(negatives[n.negative] for n in nodes if isinstance(n, Vsf)))
    q, k, v = qkv(layout.total, layout.total)
    close(joint(layout, nodes, q, k, v)[0], dense_joint(q, k, v, layout, nodes))


WEIGHTS = {
    "VSF": [1.0, 1.4, 0.5],
    "VSF, zero and negative": [1.0, 0.0, -1.0],
    "NAG": [1.0, 1.4, 0.5],
    "NASA": [1.0, 0.0, 2.0],
}


@pytest.mark.parametrize("case", WEIGHTS)
@pytest.mark.parametrize("where", ["joint", "cross"])
def test_token_weights(where, case):
    """VSF: the token's value times its weight; NAG and NASA: its attention times its weight. Its own rows: unweighted."""
    weights, nodes = [torch.tensor(WEIGHTS[case])], CASES[case.split(",")[0]][1]
    if where == "joint":
        layout = Layout((3,), 4, 9, 2)
        q, k, v = qkv(layout.total, layout.total)
        actual, expected = joint(layout, nodes, q, k, v, weights)[0], dense_joint(q, k, v, layout, nodes, weights)
    else:
        layout = Layout((3,), 4)
        q, k, v = qkv(9, layout.total)
        actual, expected = cross(layout, nodes, q, k, v, weights)[0], dense_cross(q, k, v, layout, nodes, weights)
    # The weights are float32 tensors, and so may be their logarithms.
    close(actual, expected, rtol=1e-6, atol=1e-6)


def test_several_lines_of_one_nag_node_are_one_text():
    """Z- attends over all negatives of the node together."""
    layout, whole = Layout((3, 2), 4, 9), Layout((5,), 4, 9)
    q, k, v = qkv(layout.total, layout.total)
    parts = segments(layout)
    for node, kind in ((Nag(0, 5.0), NormalizedGuidance(5.0, 2.5, 0.25)), (Nasa(0, 0.3), NegativeAway(0.3))):
        out, _ = joint_attention(q, k, v, lengths(layout), parts, [Strand(kind, tuple(parts))], attend_plain)
        image = layout.positions("I")
        close(out.transpose(1, 2)[:, :, image], dense_joint(q, k, v, whole, [node])[:, :, image])
        out, _ = cross_attention(q, k[:, :, :9], v[:, :, :9], Lengths(5, 4), [Strand(kind, tuple(parts))], attend_plain)
        close(out.transpose(1, 2), dense_cross(q, k[:, :, :9], v[:, :, :9], Layout((5,), 4), [node]))


def cross(layout, nodes, q, k, v, weights=None, **options):
    parts = segments(layout, weights)
    out, effect = cross_attention(q, k, v, Lengths(sum(layout.negatives), layout.positive), strands(nodes, parts), attend_plain, **options)
    return out.transpose(1, 2), effect


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_cross(case, dtype):
    negatives, nodes = CASES[case]
    layout = Layout(negatives, 4)
    q, k, v = qkv(9, layout.total, heads=4, kv_heads=2, dtype=dtype)
    close(cross(layout, nodes, q, k, v)[0], dense_cross(q, k, v, layout, nodes), **TOLERANCE[dtype])


def test_cross_reads_only_the_first_copy_of_a_repeated_positive():
    layout, nodes = Layout((3,), 4), [Vsf(0, 2.0, 0.2)]
    q, k, v = qkv(9, layout.total)
    tiled = [torch.cat([x, x[:, :, 3:]], dim=2) for x in (k, v)]
    close(cross(layout, nodes, q, *tiled)[0], dense_cross(q, k, v, layout, nodes))


def test_padding_in_front_of_the_negatives_is_not_read():
    """A row with a shorter negative than its batch mates has its tokens behind padding."""
    layout, padded, nodes = Layout((3,), 4, 9), Layout((2, 3), 4, 9), [Vsf(0, 2.0, 0.2)]
    q, k, v = qkv(padded.total, padded.total)
    part = Segment(2, 3)
    out, _ = joint_attention(q, k, v, Lengths(5, 4, 9), [part], strands(nodes, [part]), attend_plain)
    expected = dense_joint(q[:, :, 2:], k[:, :, 2:], v[:, :, 2:], layout, nodes)
    close(out.transpose(1, 2)[:, :, 2:], expected)
    assert torch.isfinite(out).all()
    text = [x[:, :, :9] for x in (k, v)]
    out, _ = cross_attention(q, *text, Lengths(5, 4), strands(nodes, [part]), attend_plain)
    close(out.transpose(1, 2), dense_cross(q, *(x[:, :, 2:] for x in text), Layout((3,), 4), nodes))


@pytest.mark.parametrize("rows", [1, 2])
def test_joint_with_a_mask_of_the_hosts(rows):
    """The host's mask is for [P, I, R]; N has none: the negative's rows and columns stay open, N1 is at -beta."""
    layout = Layout((3,), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total)
    own = normal(rows, 1, 15, 15, seed=4)
    own[:, :, 5, 2] = -math.inf
    mask = vsf_joint_mask(layout, [0.2]).repeat(rows, 1, 1, 1)
    mask[:, :, 3:18, 3:18] += own
    expected, _ = attention(q, torch.cat([k, k[:, :, :3]], 2), torch.cat([v, -2.0 * v[:, :, :3]], 2), mask)
    close(joint(layout, [Vsf(0, 2.0, 0.2)], q, k, v, mask=own)[0], expected, **SINGLE)
    for node in (Nag(0, 5.0), Nasa(0, 0.3)):
        result, _ = joint(layout, [node], q, k, v, mask=own)
        open_n = torch.zeros(rows, 1, 9, 3, dtype=torch.float64)
        keys, with_n = list(range(3, 18)), [0, 1, 2, *range(7, 18)]
        plus, _ = attention(q[:, :, 7:16], k[:, :, keys], v[:, :, keys], own[:, :, 4:13])
        n_mask = torch.cat([open_n, own[:, :, 4:13, 4:]], dim=-1)
        minus, _ = attention(q[:, :, 7:16], k[:, :, with_n], v[:, :, with_n], n_mask)
        close(result[:, :, 7:16], plus + change(node, plus, minus), **SINGLE)


@pytest.mark.parametrize("queries", [1, 15])
def test_a_mask_means_the_same_to_every_mechanism(queries):
    """A mask with one row for all queries is that mask written out: text and reference rows, N's too, do not depend on the mechanism."""
    layout = Layout((3,), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total)
    own = normal(1, 1, 1, 15, seed=4)
    unguided = layout.positions("N", "P", "R")
    flipped, _ = joint(layout, [Vsf(0, 2.0, 0.2)], q, k, v, mask=own.expand(1, 1, queries, 15))
    for node in (Nag(0, 5.0), Nasa(0, 0.3)):
        close(joint(layout, [node], q, k, v, mask=own.expand(1, 1, queries, 15))[0][:, :, unguided], flipped[:, :, unguided])


def test_no_strand_is_the_unguided_layer():
    layout = Layout((3, 2), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total)
    out, effect = joint_attention(q, k, v, lengths(layout), segments(layout), [], attend_plain)
    close(out.transpose(1, 2), text_rows(q, k, v, layout))
    assert effect is None


def test_nobody_but_the_image_sees_the_negative():
    """Other keys and values of N change image rows and N's own rows, and no bit of P and R."""
    layout = Layout((3,), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total, dtype=torch.float32)
    for nodes in (CASES["VSF"][1], CASES["NAG"][1], CASES["NASA"][1]):
        first, _ = joint(layout, nodes, q, k, v)
        others = [x.clone() for x in (q, k, v)]
        for x in others:
            x[:, :, :3] = normal(2, 3, 3, 8, seed=77, dtype=torch.float32)
        second, _ = joint(layout, nodes, *others)
        quiet, loud = layout.positions("P", "R"), layout.positions("I", "N")
        assert torch.equal(first[:, :, quiet], second[:, :, quiet])
        assert (first[:, :, loud] - second[:, :, loud]).abs().amax((1, 3)).min() > 1e-4


@pytest.mark.parametrize("case", ["VSF", "NAG", "NASA", "all, in another order"])
def test_batch_rows_are_independent(case):
    negatives, nodes = CASES[case]
    layout = Layout(negatives, 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total, rows=4, dtype=torch.float32)
    whole, _ = joint(layout, nodes, q, k, v)
    for row in range(4):
        alone, _ = joint(layout, nodes, *(x[row : row + 1] for x in (q, k, v)))
        close(alone, whole[row : row + 1], rtol=1e-6, atol=1e-6)


def test_inputs_stay():
    layout, nodes = Layout((3, 2), 4, 9, 2), [Vsf(0, 2.0, 0.2), Nag(1, 5.0)]
    tensors = qkv(layout.total, layout.total, dtype=torch.float32)
    before = [x.clone() for x in tensors]
    joint(layout, nodes, *tensors, weights=[torch.tensor([1.0, 1.4, 0.5]), None])
    assert all(torch.equal(x, y) for x, y in zip(tensors, before, strict=True))
