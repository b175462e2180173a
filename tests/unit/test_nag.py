"""Pin Normalized Attention Guidance to its equations (4 and 5 of the VSF paper), its bound and its limits."""

import pytest
import torch
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.nag import normalized_attention_guidance
from avert.guidance.attention.partial import merge

from reference.branches import Nag, dense_nag_cross, dense_nag_joint, nag_formula
from reference.dense import Layout
from tensors import EXACT, SINGLE, close, normal, qkv, relative_error

TOLERANCE = {torch.float64: EXACT, torch.float32: SINGLE}
SHAPE = (2, 4, 9, 8)


def branches(dtype=torch.float64, size=1.0):
    return normal(*SHAPE, dtype=dtype, scale=size), normal(*SHAPE, seed=1, dtype=dtype, scale=size)


def norms(x):
    """Sum |x| over heads and channels: [B, L]."""
    return x.double().abs().sum((1, 3))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(
    ("scale", "tau", "alpha"), [(5.0, 2.5, 0.25), (11.0, 3.5, 0.5), (12.0, 5.0, 0.5), (1.5, 1.0, 1.0), (3.0, 0.5, 0.1)]
)
def test_equations(scale, tau, alpha, dtype):
    plus, minus = branches(dtype)
    result = normalized_attention_guidance(plus, minus, scale, tau, alpha)
    assert result.dtype == dtype
    close(result, nag_formula(plus, minus, scale, tau, alpha), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_half_precision(dtype, size):
    """The norms of 4 x 8 channels (2560 in Flux) do not fit float16: they must be computed in float32."""
    plus, minus = normal(1, 24, 3, 128, dtype=dtype, scale=size), normal(1, 24, 3, 128, seed=1, dtype=dtype, scale=size)
    result = normalized_attention_guidance(plus, minus, 5.0, 2.5, 0.25)
    assert result.dtype == dtype and torch.isfinite(result).all()
    assert relative_error(result, nag_formula(plus, minus, 5.0, 2.5, 0.25)) < {torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("scale", "tau", "alpha"), [(5.0, 2.5, 0.25), (11.0, 3.5, 0.5), (12.0, 5.0, 0.5)])
@pytest.mark.parametrize("apart", [0.0, 0.01, 0.1])
def test_half_precision_of_branches_that_hardly_differ(apart, scale, tau, alpha, dtype):
    """In joint attention Z- is nearly Z+: rounding s Z+ before (s - 1) Z- is taken off would cost many times the final rounding."""
    plus = normal(1, 24, 8, 64, dtype=dtype)
    minus = (plus.double() + apart * normal(1, 24, 8, 64, seed=1)).to(dtype)
    expected = nag_formula(plus, minus, scale, tau, alpha)
    error = relative_error(normalized_attention_guidance(plus, minus, scale, tau, alpha), expected)
    # One rounding of the result is eps / 4 or so; three of them are allowed.
    assert error < 0.75 * torch.finfo(dtype).eps, f"{error:.1e}, one rounding is {relative_error(expected.to(dtype), expected):.1e}"


def test_phi_is_scale_minus_one():
    """Zg = Z+ + phi (Z+ - Z-) = s Z+ - (s - 1) Z-; with a wide tau and alpha 1 that is the whole result."""
    plus, minus = branches()
    result = normalized_attention_guidance(plus, minus, 5.0, 1e9, 1.0)
    close(result, plus + 4.0 * (plus - minus))
    close(result, minus + 5.0 * (plus - minus))


def test_cases_that_are_the_positive():
    plus, minus = branches(torch.float32)
    for case in ((minus, 1.0, 2.5, 0.25), (minus, 5.0, 2.5, 0.0), (plus, 5.0, 2.5, 0.25), (plus, 11.0, 1.0, 1.0)):
        close(normalized_attention_guidance(plus, *case), plus, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.5])
def test_bound(tau):
    """|Zh|_1 <= tau |Z+|_1 for every token, reached where the clamp acts, and the direction stays that of Zg."""
    plus, minus = branches()
    result = normalized_attention_guidance(plus, minus, 11.0, tau, 1.0)
    assert (norms(result) <= tau * norms(plus) * (1 + 1e-9)).all()
    raw = 11.0 * plus - 10.0 * minus
    clamped = norms(raw) > tau * norms(plus)
    assert clamped.any()
    close(norms(result)[clamped], tau * norms(plus)[clamped])
    cosine = torch.nn.functional.cosine_similarity(result.transpose(1, 2).flatten(2), raw.transpose(1, 2).flatten(2), dim=-1)
    close(cosine, torch.ones_like(cosine))


def test_the_norm_is_l1_over_the_joined_heads():
    """Two heads of unlike size: neither a norm per head nor an L2 norm gives the result."""
    plus, minus = branches()
    plus = plus * torch.tensor([1.0, 10.0, 0.1, 3.0]).double()[:, None, None]
    result = normalized_attention_guidance(plus, minus, 5.0, 1.5, 0.5)
    close(result, nag_formula(plus, minus, 5.0, 1.5, 0.5))
    per_head = torch.cat([nag_formula(plus[:, h : h + 1], minus[:, h : h + 1], 5.0, 1.5, 0.5) for h in range(4)], dim=1)
    assert relative_error(result, per_head) > 0.05
    raw = 5.0 * plus - 4.0 * minus
    ratio = raw.norm(dim=(1, 3), keepdim=True) / plus.norm(dim=(1, 3), keepdim=True)
    l2 = 0.5 * raw * ratio.clamp(max=1.5) / ratio + 0.5 * plus
    assert relative_error(result, l2) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_zero_tokens_give_no_nan(dtype):
    plus, minus = branches(dtype)
    plus[:, :, 0] = 0  # Z+ = 0: bound 0
    plus[:, :, 1] = minus[:, :, 1] = 0  # both 0
    minus[:, :, 2] = plus[:, :, 2] * 5 / 4  # Zg = 0
    result = normalized_attention_guidance(plus, minus, 5.0, 2.5, 0.25)
    assert torch.isfinite(result).all()
    close(result[:, :, :2], torch.zeros_like(result[:, :, :2]), rtol=0, atol=1e-5)
    close(result[:, :, 2], 0.75 * plus[:, :, 2], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("settings", [Nag(0, 5.0), Nag(0, 12.0, 5.0, 0.5)])
def test_cross_attention(settings):
    q, k_p, v_p = qkv(7, 5)
    _, k_n, v_n = qkv(1, 3, seed=2)
    numbers = (settings.nag_scale, settings.nag_tau, settings.nag_alpha)
    result = normalized_attention_guidance(attend_plain(q, k_p, v_p).out, attend_plain(q, k_n, v_n).out, *numbers)
    close(result, dense_nag_cross(q, k_p, v_p, k_n, v_n, settings))


def test_three_partials_are_two_passes():
    """Z+ = merge(A_IR, A_P), Z- = merge(A_IR, A_N) against two whole attentions."""
    layout, settings = Layout((3,), 4, 9, 2), Nag(0, 5.0)
    q, k, v = qkv(layout.total, layout.total, heads=4, kv_heads=2)
    image = layout.positions("I")
    shared, plus, minus = (
        attend_plain(q[:, :, image], k[:, :, keys], v[:, :, keys])
        for keys in (layout.positions("I", "R"), layout.positions("P"), layout.positions("N"))
    )
    result = normalized_attention_guidance(merge(shared, plus).out, merge(shared, minus).out, 5.0, 2.5, 0.25)
    close(result, dense_nag_joint(q, k, v, layout, settings)[:, :, image])


def test_inputs_stay_and_samples_are_independent():
    plus, minus = branches(torch.float32)
    before = plus.clone(), minus.clone()
    whole = normalized_attention_guidance(plus, minus, 5.0, 1.5, 0.5)
    assert torch.equal(plus, before[0]) and torch.equal(minus, before[1])
    for row in range(2):
        alone = normalized_attention_guidance(plus[row : row + 1], minus[row : row + 1], 5.0, 1.5, 0.5)
        close(alone, whole[row : row + 1], rtol=1e-6, atol=1e-6)
