"""Pin Value Sign Flip to the paper's equation 9, its masked joint form and its limits."""

import math

import pytest
import torch
from avert.guidance.attention.kernels import attend, attend_plain
from avert.guidance.attention.partial import Partial, merge
from avert.guidance.attention.vsf import value_sign_flip

from reference.dense import Layout, attention, dense_vsf_cross, dense_vsf_joint, token_weighted_vsf_cross
from tensors import EXACT, SINGLE, close, normal, qkv, relative_error

TOLERANCE = {torch.float64: EXACT, torch.float32: SINGLE}


def flip(q, k_p, v_p, k_ns, v_ns, alphas, betas, function=attend_plain):
    """Compute VSF as the product does: partial attentions, then one combination."""
    parts = [function(q, k, v) for k, v in zip(k_ns, v_ns, strict=True)]
    return value_sign_flip(function(q, k_p, v_p), parts, alphas, betas)


def scene(lengths=(4,), dtype=torch.float64, **options):
    """Draw q, k+, v+ and the keys and values of negatives with the given lengths."""
    q, k_p, v_p = qkv(7, 5, dtype=dtype, **options)
    drawn = [qkv(1, length, seed=3 + i, dtype=dtype, **options)[1:] for i, length in enumerate(lengths)]
    return q, k_p, v_p, [k for k, _ in drawn], [v for _, v in drawn]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(
    ("lengths", "alphas", "betas"),
    [((4,), (3.3,), (0.2,)), ((1,), (1.0,), (0.0,)), ((4, 2), (3.8, 0.5), (0.2, -0.6)), ((9, 1, 3), (1.0, -0.5, 2.0), (0.0, 3.0, -2.0))],
)
def test_equation_9(lengths, alphas, betas, dtype):
    given = (*scene(lengths, dtype), alphas, betas)
    result = flip(*given)
    assert result.dtype == dtype
    close(result, dense_vsf_cross(*given), **TOLERANCE[dtype])
    close(result, token_weighted_vsf_cross(*given), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("negatives", [(3,), (3, 2)])
def test_masked_joint_reference(negatives, dtype):
    """Image rows: [P, I, R] against each N. Reference: duplicated tokens and the mask of figure 3."""
    layout = Layout(negatives, 4, 9, 2)
    alphas, betas = [2.0, 1.3][: len(negatives)], [0.2, -0.4][: len(negatives)]
    q, k, v = qkv(layout.total, layout.total, heads=4, kv_heads=2, dtype=dtype)
    image, stream = layout.positions("I"), layout.positions("P", "I", "R")
    spans = [list(span) for span in layout.spans()["N"]]
    cut = (k[:, :, stream], v[:, :, stream], [k[:, :, s] for s in spans], [v[:, :, s] for s in spans])
    result = flip(q[:, :, image], *cut, alphas, betas)
    close(result, dense_vsf_joint(q, k, v, layout, alphas, betas)[:, :, image], **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_as_good_as_the_masked_call(dtype):
    given = (*scene((4,), dtype, width=64), [3.3], [0.2])
    result = flip(*given, function=attend)
    assert result.dtype == dtype
    assert relative_error(result, dense_vsf_cross(*given)) < {torch.float16: 2e-3, torch.bfloat16: 1.5e-2}[dtype]


def test_alpha_minus_one_is_plain_attention_over_everything():
    q, k_p, v_p, k_ns, v_ns = scene((4, 2))
    result = flip(q, k_p, v_p, k_ns, v_ns, [-1.0, -1.0], [0.0, 0.0])
    close(result, attention(q, torch.cat([k_p, *k_ns], 2), torch.cat([v_p, *v_ns], 2))[0])


def test_infinite_offset_is_the_positive_alone():
    given = scene((4,), torch.float32)
    assert torch.equal(flip(*given, [3.3], [math.inf]), attend_plain(*given[:3]).out)


def test_a_negative_without_tokens_is_the_positive_alone():
    q, k_p, v_p, k_ns, v_ns = scene((4,), torch.float32)
    plain = attend_plain(q, k_p, v_p).out
    assert torch.equal(flip(q, k_p, v_p, [k_ns[0][:, :, :0]], [v_ns[0][:, :, :0]], [3.3], [0.2]), plain)
    assert torch.equal(flip(q, k_p, v_p, [], [], [], []), plain)


def test_alpha_zero_still_takes_attention_away():
    """Appendix C: at alpha = 0 the negative's keys draw attention; the output is W Z+, not Z+."""
    q, k_p, v_p, k_ns, v_ns = scene((4,))
    plus, minus = attend_plain(q, k_p, v_p), attend_plain(q, k_ns[0], v_ns[0])
    close(value_sign_flip(plus, [minus], [0.0], [0.2]), torch.sigmoid(plus.lse - minus.lse + 0.2)[..., None] * plus.out)


def test_the_offset_is_subtracted():
    """A larger beta means less of the negative: the change shrinks."""
    given = scene((4,))
    plain = attend_plain(*given[:3]).out
    sizes = [float((flip(*given, [2.0], [beta]) - plain).norm()) for beta in (-1.0, 0.0, 1.0, 3.0)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]


def test_only_the_values_flip_not_the_keys():
    """Flipping K as well (the paper's weak baseline) is something else, and alpha is linear in the result."""
    q, k_p, v_p, k_ns, v_ns = scene((4,))
    one, two, three = (flip(q, k_p, v_p, k_ns, v_ns, [alpha], [0.0]) for alpha in (1.0, 2.0, 3.0))
    close(three - two, two - one, rtol=1e-10, atol=1e-12)
    assert relative_error(flip(q, k_p, v_p, [-k_ns[0]], v_ns, [1.0], [0.0]), one) > 0.05


def test_negatives_share_one_softmax():
    """Two halves of a negative with one alpha and beta are the whole negative; their order does not matter."""
    q, k_p, v_p, k_ns, v_ns = scene((6,))
    halves = ([k_ns[0][:, :, :2], k_ns[0][:, :, 2:]], [v_ns[0][:, :, :2], v_ns[0][:, :, 2:]])
    whole = flip(q, k_p, v_p, k_ns, v_ns, [2.0], [0.3])
    close(flip(q, k_p, v_p, *halves, [2.0, 2.0], [0.3, 0.3]), whole)
    turned = [x[::-1] for x in halves]
    close(flip(q, k_p, v_p, *turned, [2.0, 2.0], [0.3, 0.3]), whole)


def test_released_layout_in_the_papers_numbers():
    """alpha' = (alpha e^-beta - 1) / (1 + e^-beta), beta' = -ln(1 + e^-beta): 3.3 / 0.2 becomes 0.936 / -0.598."""
    released = Layout((3,), 4, 6, copies=(3,))
    q, k, v = qkv(released.total, released.total)
    k[:, :, 3:6], v[:, :, 3:6] = k[:, :, :3], v[:, :, :3]
    image, stream = released.positions("I"), released.positions("P", "I")
    shrink = math.exp(-0.2)
    alpha, beta = (3.3 * shrink - 1) / (1 + shrink), -math.log1p(shrink)
    assert (alpha, beta) == (pytest.approx(0.936, abs=5e-4), pytest.approx(-0.598, abs=5e-4))
    result = flip(q[:, :, image], k[:, :, stream], v[:, :, stream], [k[:, :, :3]], [v[:, :, :3]], [alpha], [beta])
    close(result, dense_vsf_joint(q, k, v, released, [3.3], [0.2])[:, :, image])


def test_merged_streams_are_one_stream():
    """Z+ may itself be a merge of image and text."""
    q, k_p, v_p, k_ns, v_ns = scene((4,))
    merged = merge(attend_plain(q, k_p[:, :, :2], v_p[:, :, :2]), attend_plain(q, k_p[:, :, 2:], v_p[:, :, 2:]))
    negative = attend_plain(q, k_ns[0], v_ns[0])
    close(value_sign_flip(merged, [negative], [3.3], [0.2]), flip(q, k_p, v_p, k_ns, v_ns, [3.3], [0.2]))


@pytest.mark.parametrize("gap", [1e3, 1e30])
def test_extreme_log_sum_exps(gap):
    shape = (1, 2, 3, 4)
    high = Partial(normal(*shape, dtype=torch.float32), torch.full(shape[:3], gap))
    low = Partial(normal(*shape, seed=1, dtype=torch.float32), torch.full(shape[:3], -gap))
    assert torch.equal(value_sign_flip(high, [low], [3.3], [0.2]), high.out)
    close(value_sign_flip(low, [high], [3.3], [0.2]), -3.3 * high.out, **SINGLE)


def test_inputs_stay_and_samples_are_independent():
    q, k_p, v_p, k_ns, v_ns = scene((4, 2), torch.float32, rows=3)
    plus, minus = attend_plain(q, k_p, v_p), [attend_plain(q, k, v) for k, v in zip(k_ns, v_ns, strict=True)]
    before = [x.clone() for part in (plus, *minus) for x in part]
    whole = value_sign_flip(plus, minus, [2.0, 1.0], [0.1, 0.2])
    assert all(torch.equal(x, y) for x, y in zip([x for part in (plus, *minus) for x in part], before, strict=True))
    for row in range(3):
        alone = [Partial(*(x[row : row + 1] for x in part)) for part in (plus, *minus)]
        close(value_sign_flip(alone[0], alone[1:], [2.0, 1.0], [0.1, 0.2]), whole[row : row + 1], rtol=1e-6, atol=1e-6)
