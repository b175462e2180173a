"""Pin Negative-Away Steer Attention to equation 3 of the VSF paper."""

import pytest
import torch
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.nasa import negative_away_steer
from avert.guidance.attention.partial import merge

from reference.branches import Nasa, dense_nasa_cross, dense_nasa_joint
from reference.dense import Layout
from tensors import EXACT, SINGLE, close, normal, qkv, relative_error

SHAPE = (2, 4, 9, 8)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, EXACT), (torch.float32, SINGLE)], ids=str)
@pytest.mark.parametrize("scale", [0.0, 0.15, 1.0, 3.0])
def test_equation_3(scale, dtype, tolerance):
    plus, minus = normal(*SHAPE, dtype=dtype), normal(*SHAPE, seed=1, dtype=dtype)
    result = negative_away_steer(plus, minus, scale)
    assert result.dtype == dtype
    close(result, plus.double() - scale * minus.double(), **tolerance)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)], ids=str)
def test_half_precision(dtype, bound):
    plus, minus = normal(*SHAPE, dtype=dtype), normal(*SHAPE, seed=1, dtype=dtype)
    result = negative_away_steer(plus, minus, 0.15)
    assert result.dtype == dtype
    assert relative_error(result, plus.double() - 0.15 * minus.double()) < bound


def test_scale_zero_is_the_positive():
    plus, minus = normal(*SHAPE, dtype=torch.float32), normal(*SHAPE, seed=1, dtype=torch.float32)
    assert torch.equal(negative_away_steer(plus, minus, 0.0), plus)


def test_weights_do_not_add_up_to_one():
    """Where Z- = Z+ the output shrinks to (1 - a) Z+ (NAG would leave it)."""
    plus = normal(*SHAPE)
    close(negative_away_steer(plus, plus, 0.15), 0.85 * plus)


def test_cross_attention():
    q, k_p, v_p = qkv(7, 5)
    _, k_n, v_n = qkv(1, 3, seed=2)
    result = negative_away_steer(attend_plain(q, k_p, v_p).out, attend_plain(q, k_n, v_n).out, 0.3)
    close(result, dense_nasa_cross(q, k_p, v_p, k_n, v_n, Nasa(0, 0.3)))


def test_three_partials_are_two_passes():
    layout = Layout((3,), 4, 9, 2)
    q, k, v = qkv(layout.total, layout.total, heads=4, kv_heads=2)
    image = layout.positions("I")
    shared, plus, minus = (
        attend_plain(q[:, :, image], k[:, :, keys], v[:, :, keys])
        for keys in (layout.positions("I", "R"), layout.positions("P"), layout.positions("N"))
    )
    result = negative_away_steer(merge(shared, plus).out, merge(shared, minus).out, 0.3)
    close(result, dense_nasa_joint(q, k, v, layout, Nasa(0, 0.3))[:, :, image])


def test_inputs_stay():
    plus, minus = normal(*SHAPE), normal(*SHAPE, seed=1)
    before = plus.clone(), minus.clone()
    negative_away_steer(plus, minus, 0.3)
    assert torch.equal(plus, before[0]) and torch.equal(minus, before[1])
