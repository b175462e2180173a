"""Pin attention contrast to its formula, written out here and as two texts' attentions over whole sequences, and to its limits."""

import math

import pytest
import torch
from avert.guidance.attention.contrast import attention_contrast
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.partial import Partial, Parts, merge

from reference.branches import Contrast, dense_cross, dense_joint
from reference.dense import Layout
from tensors import EXACT, SINGLE, close, normal, qkv, relative_error

TOLERANCE = {torch.float64: EXACT, torch.float32: SINGLE}
SHAPE = (2, 4, 9, 8)
NUMBERS = [(0.0, 0.0), (1.0, 0.0), (3.0, -0.4), (4.0, 2.0)]


def parts(dtype=torch.float64):
    """Draw three attentions; log-sum-exps are float32 at least, as attention gives them."""
    wide = torch.promote_types(dtype, torch.float32)
    drawn = [Partial(normal(*SHAPE, seed=i, dtype=dtype), normal(*SHAPE[:3], seed=9 + i, dtype=wide)) for i in range(3)]
    return Parts(*drawn)


def formula(given, scale, offset):
    """Z = Z+ + alpha (1 - W) (A_P - A_N) token by token, W = e^L+ / (e^L+ + e^(L_N - beta))."""
    plus, text, minus = (part.out.double() for part in (given.positive, given.text, given.negative))
    result = torch.empty_like(plus)
    for place in torch.cartesian_prod(*map(torch.arange, SHAPE[:3])).tolist():
        here = tuple(place)
        seen, unseen = math.exp(float(given.positive.lse[here])), math.exp(float(given.negative.lse[here]) - offset)
        result[here] = plus[here] + scale * (1 - seen / (seen + unseen)) * (text[here] - minus[here])
    return result


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("scale", "offset"), NUMBERS)
def test_the_formula(scale, offset, dtype):
    given = parts(dtype)
    result = attention_contrast(given, scale, offset)
    assert result.dtype == dtype
    close(result, formula(given, scale, offset), **TOLERANCE[dtype])


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)], ids=str)
@pytest.mark.parametrize("apart", [0.01, 1.0])
def test_half_precision(apart, dtype, bound):
    """Also where both texts say nearly the same, the error is that of rounding a few numbers of the size of the result."""
    given = parts(dtype)
    near = (given.text.out.double() + apart * normal(*SHAPE, seed=5)).to(dtype)
    given = Parts(given.positive, given.text, Partial(near, given.negative.lse))
    result = attention_contrast(given, 3.0, -0.4)
    assert result.dtype == dtype
    assert relative_error(result, formula(given, 3.0, -0.4)) < bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("scale", "offset"), [(0.0, 0.3), (3.0, 1e30), (3.0, math.inf)])
def test_cases_that_are_the_positive_bit_for_bit(scale, offset, dtype):
    given = parts(dtype)
    assert torch.equal(attention_contrast(given, scale, offset), given.positive.out)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_negative_that_says_the_same_changes_nothing(dtype):
    given = parts(dtype)
    same = Parts(given.positive, given.text, Partial(given.text.out, given.negative.lse))
    assert torch.equal(attention_contrast(same, 4.0, -2.0), given.positive.out)


def test_no_keys_at_all_change_nothing():
    """A picture that the negative is not for has a log-sum-exp of -inf there."""
    given = parts(torch.float32)
    nobody = Partial(given.negative.out, torch.full_like(given.negative.lse, -math.inf))
    assert torch.equal(attention_contrast(Parts(given.positive, given.text, nobody), 3.0, -0.4), given.positive.out)


def test_the_change_is_a_difference_of_two_texts():
    """Swapping them turns it round where both are seen alike, so what is added for one is taken for the other; it is linear in the scale."""
    given = parts()
    alike = given.negative.lse
    there = attention_contrast(Parts(given.positive, Partial(given.text.out, alike), given.negative), 2.0, 0.0) - given.positive.out
    back = attention_contrast(
        Parts(given.positive, given.negative, Partial(given.text.out, alike)), 2.0, 0.0
    ) - given.positive.out  # fmt: skip
    close(there + back, torch.zeros_like(there))
    close(attention_contrast(given, 4.0, 0.0) - given.positive.out, 2 * there)


def test_values_that_all_texts_share_do_not_matter():
    """Weights of P and N each add up to one: what is added to all values is added to the result once."""
    q, k_p, v_p = qkv(7, 5)
    _, k_n, v_n = qkv(1, 3, seed=2)
    common = normal(1, 1, 1, 8, seed=7)

    def result(more):
        plus = attend_plain(q, k_p, v_p + more)
        return attention_contrast(Parts(plus, plus, attend_plain(q, k_n, v_n + more)), 3.0, -0.4)

    close(result(common), result(0 * common) + common)


def test_the_offset_is_subtracted():
    """A larger beta means less of the negative: the change shrinks."""
    given = parts()
    sizes = [float((attention_contrast(given, 2.0, beta) - given.positive.out).norm()) for beta in (-1.0, 0.0, 1.0, 3.0)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]


@pytest.mark.parametrize(("scale", "offset"), NUMBERS)
def test_cross_attention(scale, offset):
    """A_P is Z+."""
    layout = Layout((3,), 5)
    q, k, v = qkv(7, layout.total)
    plus = attend_plain(q, k[:, :, 3:], v[:, :, 3:])
    result = attention_contrast(Parts(plus, plus, attend_plain(q, k[:, :, :3], v[:, :, :3])), scale, offset)
    close(result, dense_cross(q, k, v, layout, [Contrast(0, scale, offset)]))


@pytest.mark.parametrize(("scale", "offset"), NUMBERS)
def test_three_partials_are_whole_attentions(scale, offset):
    """Z+ = merge(A_IR, A_P) beside A_P and A_N, against attention over each set of keys."""
    layout = Layout((3,), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total, heads=4, kv_heads=2)
    image = layout.positions("I")
    shared, text, negative = (
        attend_plain(q[:, :, image], k[:, :, keys], v[:, :, keys])
        for keys in (layout.positions("I", "R"), layout.positions("P"), layout.positions("N"))
    )
    result = attention_contrast(Parts(merge(shared, text), text, negative, shared), scale, offset)
    close(result, dense_joint(q, k, v, layout, [Contrast(0, scale, offset)])[:, :, image])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_into(dtype):
    """Also into rows that do not lie one after the other, as those of a layer's output."""
    given = parts(dtype)
    rows = torch.full((2, 9, 4, 8), 7.0, dtype=dtype).transpose(1, 2)
    result = attention_contrast(given, 3.0, -0.4, into=rows)
    assert result is rows and torch.equal(rows, attention_contrast(given, 3.0, -0.4))


def test_inputs_stay():
    given = parts(torch.float32)
    tensors = [x for part in (given.positive, given.text, given.negative) for x in part]
    before = [x.clone() for x in tensors]
    attention_contrast(given, 3.0, -0.4)
    assert all(torch.equal(x, y) for x, y in zip(tensors, before, strict=True))
