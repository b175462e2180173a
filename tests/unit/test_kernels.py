"""Pin the kernels: output and log-sum-exp for every dtype, head width, grouping, mask, bias and odd length, in bounded memory."""

import math
import weakref

import pytest
import torch
from avert.guidance.attention.kernels import attend, attend_plain, kernel_name
from torch.utils._python_dispatch import TorchDispatchMode

from reference.dense import attention
from tensors import EXACT, SINGLE, close, normal, qkv, relative_error

HALF = {torch.float16: 2e-3, torch.bfloat16: 1.5e-2}
DTYPES = [torch.float32, *HALF]


def check(partial, q, k, v, mask=None, scale=None):
    """Compare with the float64 reference on the same rounded inputs: 1e-5 in float32, rounding in half precision."""
    out, lse = attention(q, k, v, mask, scale)
    assert partial.out.dtype == v.dtype and partial.out.shape == out.shape
    assert partial.lse.dtype == torch.float32 and partial.lse.shape == lse.shape
    if q.dtype in HALF:
        assert relative_error(partial.out, out) < HALF[q.dtype]
        close(partial.lse, lse, rtol=1e-3, atol=5e-3)
    else:
        close(partial.out, out, **SINGLE)
        close(partial.lse, lse, **SINGLE)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize("width", [40, 64, 72, 80, 96, 128, 160, 256])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_and_head_widths(dtype, width, function):
    q, k, v = qkv(19, 23, width=width, dtype=dtype)
    check(function(q, k, v), q, k, v)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 7), (7, 1), (2, 3), (33, 129), (65, 31), (17, 513)])
def test_tiny_and_odd_lengths(queries, keys, function):
    for dtype in DTYPES:
        q, k, v = qkv(queries, keys, width=40, rows=1, dtype=dtype)
        check(function(q, k, v), q, k, v)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 1), (6, 2), (6, 3), (5, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_grouped_heads(dtype, heads, kv_heads, function):
    q, k, v = qkv(9, 11, heads=heads, kv_heads=kv_heads, width=16, dtype=dtype)
    check(function(q, k, v), q, k, v)


@pytest.mark.parametrize("function", [attend, attend_plain])
def test_float64_stays_float64(function):
    q, k, v = qkv(9, 11)
    out, lse = attention(q, k, v)
    partial = function(q, k, v)
    assert partial.out.dtype == torch.float64
    close(partial.out, out, **EXACT)
    close(partial.lse, lse, **(EXACT if partial.lse.dtype == torch.float64 else SINGLE))


@pytest.mark.parametrize("function", [attend, attend_plain])
def test_log_sum_exp_is_natural_and_scaled(function):
    """Three equal keys with q.k = 8 and width 4: lse = 8 / 2 + ln 3."""
    q, k = torch.full((1, 1, 2, 4), 2.0), torch.ones(1, 1, 3, 4)
    partial = function(q, k, normal(1, 1, 3, 4, dtype=torch.float32))
    close(partial.lse, torch.full((1, 1, 2), 4 + math.log(3)), **SINGLE)


@pytest.mark.parametrize("function", [attend, attend_plain])
def test_own_scale(function):
    q, k, v = qkv(9, 11, width=40, dtype=torch.float32)
    check(function(q, k, v, scale=0.3), q, k, v, scale=0.3)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_key_bias(dtype, rows, function):
    q, k, v = qkv(9, 11, width=40, dtype=dtype)
    bias = normal(rows, 11, seed=5, dtype=torch.float32)
    bias[0, 3] = -math.inf
    check(function(q, k, v, key_bias=bias), q, k, v, bias[:, None, None])


MASKS = {"2-D": (9, 11), "3-D": (2, 9, 11), "4-D": (2, 1, 9, 11), "per head": (1, 3, 9, 11), "one row": (2, 1, 1, 11)}


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize("shape", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("boolean", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_masks(shape, boolean, biased, function):
    q, k, v = qkv(9, 11, width=40, dtype=torch.float32)
    mask = normal(*shape, seed=6, dtype=torch.float32)
    additive = torch.where(mask < 0.7, 0.0, -math.inf) if boolean else mask
    mask = mask < 0.7 if boolean else mask
    additive = additive[:, None] if len(shape) == 3 else additive
    bias = normal(1, 11, seed=7, dtype=torch.float32) if biased else None
    expected = additive if bias is None else additive + bias[:, None, None]
    check(function(q, k, v, mask=mask, key_bias=bias), q, k, v, expected)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize("boolean", [True, False])
def test_a_query_that_may_see_nothing_weighs_nothing(boolean, function):
    """A mask cut to some keys can leave a row empty: lse = -inf and a finite output, so that a merge ignores it."""
    q, k, v = qkv(9, 11, width=40, dtype=torch.float32)
    mask = torch.ones(9, 11, dtype=torch.bool)
    mask[4] = False
    partial = function(q, k, v, mask=mask if boolean else torch.zeros(9, 11).masked_fill(~mask, -math.inf))
    assert torch.isneginf(partial.lse[:, :, 4]).all()
    assert torch.isfinite(partial.out).all()
    others = [i for i in range(9) if i != 4]
    close(partial.out[:, :, others], attention(q[:, :, others], k, v)[0], **SINGLE)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64], ids=str)
def test_no_keys_and_no_queries(dtype, function):
    q, k, v = qkv(5, 4, width=40, dtype=dtype)
    empty = function(q, k[:, :, :0], v[:, :, :0])
    assert empty.out.shape == q.shape and torch.isfinite(empty.out).all()
    assert empty.lse.shape == q.shape[:3] and torch.isneginf(empty.lse).all()
    nobody = function(q[:, :, :0], k, v)
    assert nobody.out.shape == (2, 3, 0, 40) and nobody.lse.shape == (2, 3, 0)


@pytest.mark.parametrize("function", [attend, attend_plain])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sign", [1, -1])
def test_very_large_logits_do_not_overflow(sign, dtype, function):
    """Logits near +-1e5 (beyond float16, and far beyond exp): finite, and right where float32 can tell."""
    q = torch.full((1, 2, 5, 64), 100.0, dtype=dtype)
    k = sign * torch.full((1, 2, 7, 64), 125.0, dtype=dtype)
    v = normal(1, 2, 7, 64, dtype=dtype)
    partial = function(q, k, v)
    close(partial.lse, torch.full((1, 2, 5), sign * 1e5 + math.log(7)), rtol=1e-6, atol=0)
    close(partial.out, v.double().mean(2, keepdim=True).expand(1, 2, 5, 64), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("function", [attend, attend_plain])
def test_what_is_not_a_number_stays_so(function):
    """Garbage in the model must not come out as a finite picture: a key that is NaN spoils its head, a value its channel."""
    q, k, v = qkv(5, 6, width=40, dtype=torch.float32)
    k[1, 2, 3, 4], v[0, 1, 3, 4] = math.nan, math.nan
    spoiled = torch.zeros_like(q, dtype=torch.bool)
    spoiled[1, 2], spoiled[0, 1, :, 4] = True, True
    assert torch.equal(function(q, k, v).out.isnan(), spoiled)


@pytest.mark.parametrize("function", [attend, attend_plain])
def test_strided_inputs_as_the_hosts_make_them(function):
    """(B, L, H*D) seen as [B, H, L, D], cut in the middle: neither contiguous nor at the start of its memory."""
    q, k, v = (normal(2, 20, 3 * 40, seed=i, dtype=torch.float32).unflatten(2, (3, 40)).transpose(1, 2)[:, :, 3:16] for i in range(3))
    before = [x.clone() for x in (q, k, v)]
    check(function(q, k, v), q, k, v)
    assert all(torch.equal(x, y) for x, y in zip((q, k, v), before, strict=True))


def test_values_of_another_width_go_the_plain_way():
    q, k, _ = qkv(5, 6, width=16, dtype=torch.float32)
    v = normal(2, 3, 6, 24, dtype=torch.float32)
    check(attend_plain(q, k, v), q, k, v)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_each_kernel_of_the_cpu_can_be_asked_for(dtype):
    q, k, v = qkv(33, 21, width=64, dtype=dtype)
    assert kernel_name(q, k, v) in ("cpu_flash", "plain")
    for kernel in {kernel_name(q, k, v), "plain"}:
        check(attend(q, k, v, kernel=kernel), q, k, v)


def test_the_cpus_own_kernel_is_used_where_there_is_one():
    if not hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"):
        pytest.skip("this PyTorch has no flash attention for the CPU")
    q, k, v = qkv(33, 21, width=64, dtype=torch.float32)
    assert kernel_name(q, k, v) == "cpu_flash"


@pytest.mark.parametrize("chunk_bytes", [1, 64, 1000, 4096])
def test_chunks_are_the_whole(chunk_bytes):
    q, k, v = qkv(29, 17, heads=4, kv_heads=2, width=40, dtype=torch.float32)
    mask, bias = normal(2, 1, 29, 17, seed=8, dtype=torch.float32), normal(2, 17, seed=9, dtype=torch.float32)
    whole = attend_plain(q, k, v, mask=mask, key_bias=bias, chunk_bytes=1 << 40)
    chunked = attend_plain(q, k, v, mask=mask, key_bias=bias, chunk_bytes=chunk_bytes)
    close(chunked.out, whole.out, rtol=1e-6, atol=1e-6)
    close(chunked.lse, whole.lse, rtol=1e-6, atol=1e-6)


class LiveBytes(TorchDispatchMode):
    """Follow the memory of all tensors made inside, by storage; `peak` is the most that lived at once."""

    def __init__(self):
        super().__init__()
        self.live, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        return out

    def _note(self, tensor):
        storage = tensor.untyped_storage()
        held = self.live.setdefault(storage.data_ptr(), [storage.nbytes(), 0])
        held[1] += 1
        weakref.finalize(tensor, self._drop, storage.data_ptr())
        self.peak = max(self.peak, sum(size for size, _ in self.live.values()))

    def _drop(self, pointer):
        self.live[pointer][1] -= 1
        if not self.live[pointer][1]:
            del self.live[pointer]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("biased", [False, True])
def test_plain_memory_is_bounded(dtype, biased):
    """Beside outputs and float32 copies of q, k, v the peak is a few chunks, not Lq x Lk logits (8 MiB here)."""
    q, k, v = qkv(2048, 512, heads=2, width=16, rows=1, dtype=dtype)
    bias = normal(1, 512, dtype=torch.float32) if biased else None
    chunk = 1 << 16
    with LiveBytes() as memory:
        partial = attend_plain(q, k, v, key_bias=bias, chunk_bytes=chunk)
    results = partial.out.nbytes + partial.lse.nbytes
    copies = 4 * (q.numel() + k.numel() + v.numel())
    assert memory.peak < results + copies + 6 * chunk
    with LiveBytes() as memory:
        attend_plain(q, k, v, key_bias=bias, chunk_bytes=1 << 40)
    assert memory.peak > 4 * 2 * 2048 * 512, "the meter does not see the logits"


def test_a_sample_does_not_depend_on_its_batch():
    q, k, v = qkv(9, 11, width=64, rows=4, dtype=torch.float32)
    whole = attend(q, k, v)
    for row in range(4):
        alone = attend(*(x[row : row + 1] for x in (q, k, v)))
        close(alone.out, whole.out[row : row + 1], rtol=1e-6, atol=1e-6)
        close(alone.lse, whole.lse[row : row + 1], rtol=1e-6, atol=1e-6)
