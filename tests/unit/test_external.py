"""Pin how attention libraries are called: their documented signatures and shapes, played by doubles, since they need a GPU to run.

The doubles compute exactly, in the layouts that the libraries document (external.py names them), so a wrong transpose, a missing scale or
a wrong row count shows.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from avert.guidance.attention import external
from avert.guidance.attention.kernels import attend_plain
from torch import Tensor


def flash_attn_func(q: Tensor, k: Tensor, v: Tensor, softmax_scale: float | None = None, return_attn_probs: bool = False) -> tuple:
    """Play flash_attn: (B, L, H, D) in and out, softmax_lse (B, H, Lq), a third thing that nobody wants."""
    assert return_attn_probs
    done = attend_plain(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=softmax_scale)
    return done.out.transpose(1, 2), done.lse, None


def sageattn(
    q: Tensor, k: Tensor, v: Tensor, tensor_layout: str, is_causal: bool, sm_scale: float | None, smooth_k: bool, return_lse: bool
) -> tuple:
    """Play sageattention 2: (B, H, L, D) with "HND", lse (B, H, Lq), key heads as many as query heads."""
    assert tensor_layout == "HND" and not is_causal and not smooth_k and return_lse and q.shape[1] == k.shape[1]
    done = attend_plain(q, k, v, scale=sm_scale)
    return done.out, done.lse


def memory_efficient(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> tuple:
    """Play xformers: (B, L, H, D) in and out, lse (B, H, rows rounded up to 32)."""
    done = attend_plain(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=scale)
    spare = -done.lse.shape[2] % 32
    return done.out.transpose(1, 2), torch.nn.functional.pad(done.lse, (0, spare), value=7.0)


LIBRARIES: dict[str, tuple[str, str, Callable]] = {
    "flash_attn": ("flash_attn", "flash_attn_func", flash_attn_func),
    "sage": ("sageattention", "sageattn", sageattn),
    "xformers": ("xformers.ops", "memory_efficient_attention_forward_requires_grad", memory_efficient),
}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    external.find.cache_clear()
    yield
    external.find.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, name: str, function: Callable | None = None) -> None:
    """Let the library's import find a double."""
    module, attribute, double = LIBRARIES[name]
    fake = types.ModuleType(module)
    setattr(fake, attribute, function or double)
    real = importlib.import_module
    monkeypatch.setattr(external.importlib, "import_module", lambda path, *rest: fake if path == module else real(path, *rest))


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_library_gives_the_same_partial(monkeypatch: pytest.MonkeyPatch, name: str, heads: tuple[int, int], scale: float | None) -> None:
    install(monkeypatch, name)
    q = torch.randn(2, heads[0], 11, 16)
    k, v = torch.randn(2, heads[1], 7, 16), torch.randn(2, heads[1], 7, 16)
    kernel = external.find(name)
    assert kernel is not None
    found, expected = kernel(q, k, v, scale), attend_plain(q, k, v, scale=scale)
    assert found.lse.dtype == torch.float32
    torch.testing.assert_close(found.out, expected.out)
    torch.testing.assert_close(found.lse, expected.lse)


@pytest.mark.parametrize("name", LIBRARIES)
def test_absent_library_is_no_kernel(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def missing(path: str) -> Any:
        raise ImportError(path)

    monkeypatch.setattr(external.importlib, "import_module", missing)
    assert external.find(name) is None


def test_library_without_log_sum_exp_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "sage", lambda q, k, v, tensor_layout="HND": q)
    assert external.find("sage") is None


def test_only_half_precision_on_a_gpu_is_accepted() -> None:
    q = torch.randn(1, 2, 5, 16)
    for name in LIBRARIES:
        assert not external.accepts(name, q, q, q)
        assert not external.accepts(name, q.half(), q.half(), q.half())
