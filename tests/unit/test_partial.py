"""Pin partial attention and its merge: two disjoint sets of keys merge to the attention over both."""

import pytest
import torch
from avert.guidance.attention.kernels import attend, attend_plain
from avert.guidance.attention.partial import Partial, merge

from reference.dense import attention
from tensors import EXACT, SINGLE, close, normal, qkv, relative_error

TOLERANCE = {torch.float64: EXACT, torch.float32: SINGLE}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("cuts", [(4,), (1, 6), (2, 3, 8)])
def test_merge_is_concatenated_attention(dtype, cuts):
    q, k, v = qkv(7, 11, dtype=dtype)
    ends = [0, *cuts, 11]
    parts = [attend_plain(q, k[:, :, a:b], v[:, :, a:b]) for a, b in zip(ends, ends[1:], strict=False)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merge(merged, part)
    out, lse = attention(q, k, v)
    close(merged.out, out, **TOLERANCE[dtype])
    close(merged.lse, lse, **TOLERANCE[dtype])
    assert merged.out.dtype == dtype


def test_merge_commutes_and_associates():
    q, k, v = qkv(5, 9)
    a, b, c = (attend_plain(q, k[:, :, i : i + 3], v[:, :, i : i + 3]) for i in (0, 3, 6))
    for one, other in ((merge(a, b), merge(b, a)), (merge(merge(a, b), c), merge(a, merge(b, c)))):
        close(one.out, other.out)
        close(one.lse, other.lse)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_merge_in_half_precision_is_as_good_as_one_call(dtype):
    """Its error is that of the output's rounding, because the weights are float32: at most 1.5 times one rounded call's."""
    q, k, v = qkv(33, 41, width=64, dtype=dtype)
    merged = merge(attend(q, k[:, :, :9], v[:, :, :9]), attend(q, k[:, :, 9:], v[:, :, 9:]))
    exact = attention(q, k, v)[0]
    rounded = relative_error(exact.to(dtype), exact)
    assert merged.out.dtype == dtype and merged.lse.dtype == torch.float32
    assert relative_error(merged.out, exact) < max(4 * rounded, 1.5 * relative_error(attend(q, k, v).out, exact))


def test_merging_no_keys_changes_nothing():
    q, k, v = qkv(5, 6, dtype=torch.float32)
    whole, empty = attend_plain(q, k, v), attend_plain(q, k[:, :, :0], v[:, :, :0])
    for merged in (merge(whole, empty), merge(empty, whole)):
        close(merged.out, whole.out, rtol=0, atol=0)
        close(merged.lse, whole.lse, rtol=0, atol=0)
    nothing = merge(empty, empty)
    assert torch.isneginf(nothing.lse).all()
    assert torch.isfinite(nothing.out).all()


@pytest.mark.parametrize("broken", ["out", "lse"])
def test_what_is_not_a_number_stays_so(broken):
    q, k, v = qkv(5, 6, dtype=torch.float32)
    a, b = attend_plain(q, k[:, :, :2], v[:, :, :2]), attend_plain(q, k[:, :, 2:], v[:, :, 2:])
    getattr(a, broken)[0, 1, 2] = torch.nan
    for merged in (merge(a, b), merge(b, a)):
        assert merged.out[0, 1, 2].isnan().all()
        assert merged.out.isnan().sum() == merged.out.shape[-1]


@pytest.mark.parametrize("gap", [200.0, 1e4, 1e30])
def test_merge_far_apart_keeps_the_larger(gap):
    big = Partial(normal(1, 2, 3, 4, dtype=torch.float32), torch.full((1, 2, 3), gap))
    small = Partial(normal(1, 2, 3, 4, seed=1, dtype=torch.float32), torch.full((1, 2, 3), -gap))
    for merged in (merge(big, small), merge(small, big)):
        assert torch.equal(merged.out, big.out)
        assert torch.equal(merged.lse, big.lse)


def test_merge_leaves_its_inputs_alone():
    q, k, v = qkv(5, 6, dtype=torch.float32)
    a, b = attend_plain(q, k[:, :, :2], v[:, :, :2]), attend_plain(q, k[:, :, 2:], v[:, :, 2:])
    before = [x.clone() for x in (*a, *b)]
    merge(a, b)
    assert all(torch.equal(x, y) for x, y in zip((*a, *b), before, strict=True))


def test_rows_of_the_batch_never_meet():
    q, k, v = qkv(5, 6, rows=3, dtype=torch.float32)
    whole = merge(attend_plain(q, k[:, :, :2], v[:, :, :2]), attend_plain(q, k[:, :, 2:], v[:, :, 2:]))
    for row in range(3):
        one = [x[row : row + 1] for x in (q, k, v)]
        alone = merge(attend_plain(one[0], one[1][:, :, :2], one[2][:, :, :2]), attend_plain(one[0], one[1][:, :, 2:], one[2][:, :, 2:]))
        close(alone.out, whole.out[row : row + 1], rtol=1e-6, atol=1e-6)
