"""Check that every family that has a spec is guided as before when other nodes and packs had their hands on the model: caches, LoRAs, overrides, weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from avert.host.families import find_family
from avert.host.guide import guide
from avert.host.install import last_report
from comfy.supported_models_base import BASE
from torch import Tensor, nn

from company_runs import ALL, SPECS, VSF, assert_guided, assert_same, distance, guided, run
from family_spec import all_specs, model_of
from guided_runs import Shared, host_node, module_outline, patcher_outline, with_override
from tiny import conditioning, sample, tiny_wan

# Parts of the names of weights of attention and of what makes the text.
PATCHED = ("attn", "attention", "txt", "text", "cap", "context")


@pytest.mark.parametrize("node", ["EasyCacheNode", "LazyCacheNode"])
@pytest.mark.parametrize("name", SPECS)
def test_caches_of_the_host(name: str, node: str) -> None:
    if name == "ltx2_silent" and node == "EasyCacheNode":
        pytest.skip("the host's cache expects sound in every latent of LTX-2")
    if name.startswith(("omnigen2", "boogu")) and node == "EasyCacheNode":
        pytest.skip("the host's class of this model gives its cache no place to act")
    cache, model, steps = host_node("nodes_easycache", node), model_of(name), 4

    def cached(base: Any, threshold: float = 3.0) -> Any:
        return cache.execute(base, threshold, 0.1, 1.0, False).result[0]

    whole, plain = run(name, guided(name, model), steps=steps), run(name, cached(model), steps=steps)
    before, after = guided(name, cached(model)), cached(guided(name, model))
    first = run(name, before, steps=steps)
    assert_guided(first, plain)
    assert distance(first, whole) > 0, "nothing was cached"
    assert torch.equal(first, run(name, after, steps=steps))
    for report in (last_report(before), last_report(after)):
        assert {skip["reason"] for skip in report.skipped} == {"a cache skipped the model"}
        assert report.steps and len(report.steps) + len(report.skipped) == steps


class Override(Shared):
    """Be another node's attention override; `factor` scales every other channel that attention returns (norms would undo it in all)."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.calls = 0

    def __call__(self, func: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        self.calls += 1
        out = func(*args, **kwargs).clone()
        out[..., ::2] *= self.factor
        return out


@pytest.mark.parametrize("factor", [1.0, 0.7])
@pytest.mark.parametrize("name", SPECS)
def test_another_attention_override(name: str, factor: float) -> None:
    model, (alone, before, after) = model_of(name), (Override(factor) for _ in range(3))
    without_ours = run(name, with_override(model, alone), 3.0)
    first = run(name, guided(name, with_override(model, before)), 3.0)
    assert torch.equal(first, run(name, with_override(guided(name, model), after), 3.0))
    assert before.calls == after.calls >= alone.calls > 0
    assert_guided(first, without_ours)
    both = run(name, guided(name, model), 3.0)
    if factor == 1.0:
        assert_same(both, first, without_ours)
    else:
        assert_guided(first, both)


def attention_patches(model: Any) -> dict[str, tuple]:
    """Make a patch for the matrices of attention and text, as a LoRA is one."""
    generator = torch.Generator().manual_seed(5)
    found = {
        n: w for n, w in model.model_state_dict().items() if w.ndim == 2 and n.endswith(".weight") and any(part in n for part in PATCHED)
    }
    return {n: ("diff", (0.3 * w.std() * torch.randn(w.shape, generator=generator),)) for n, w in sorted(found.items())}


@pytest.mark.parametrize("name", SPECS)
def test_lora(name: str) -> None:
    model, baked = model_of(name), all_specs()[name].build()
    patches, patched = attention_patches(model), model.clone()
    assert patches and set(patched.add_patches(patches, 1.0)) == set(patches)
    weights = baked.model_state_dict()
    for key, (_, (change,)) in patches.items():
        weights[key].data += change
    plain, picture = run(name, patched), run(name, guided(name, patched))
    assert_same(picture, run(name, guided(name, baked)), plain)
    late = guided(name, model)
    late.add_patches(patches, 1.0)
    assert torch.equal(picture, run(name, late))
    assert_guided(picture, run(name, guided(name, model)))


def in_precision(monkeypatch: pytest.MonkeyPatch, name: str, weights: torch.dtype, compute: torch.dtype | None) -> Any:
    """Build a model with weights of one precision, computing in another (None: the same), as the host's loaders do."""
    original = BASE.set_inference_dtype
    with monkeypatch.context() as patch:
        patch.setattr(BASE, "set_inference_dtype", lambda self, *_, **options: original(self, weights, compute, **options))
        return all_specs()[name].build()


@pytest.mark.parametrize("name", SPECS)
def test_weights_in_fp8(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Computed in float32, which is also what the same numbers give when they are held in float32."""
    if name == "zimage_pixel":
        pytest.skip("the host cannot make this model's positions in fp8")
    if name.startswith("minimax"):
        pytest.skip("the host's fused norm and rotation of this model takes no fp8 weight")
    model, rounded = in_precision(monkeypatch, name, torch.float8_e4m3fn, torch.float32), all_specs()[name].build()
    eights = model.model_state_dict()
    assert any(weight.dtype == torch.float8_e4m3fn for weight in eights.values())
    for key, weight in rounded.model_state_dict().items():
        weight.data.copy_(eights[key].to(weight.dtype))
    assert_same(run(name, guided(name, model)), run(name, guided(name, rounded)), run(name, model))


@pytest.mark.parametrize("name", SPECS)
def test_in_bfloat16(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name == "hidream":
        pytest.skip("rounding sends single tokens to other experts; hidream_dense has none")
    model = in_precision(monkeypatch, name, torch.bfloat16, None)
    plain, picture = run(name, model), run(name, guided(name, model))
    exact, exact_guided = run(name, model_of(name)), run(name, guided(name, model_of(name)))
    assert torch.isfinite(picture).all() and distance(picture, plain) > 0
    # Guidance rounds no worse than the model does without it.
    assert distance(picture, exact_guided) < 2 * distance(plain, exact)


class Packed(nn.Module):
    """Be a linear layer as packs put in the place of the host's, that does not tell how wide it is."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x)
        return nn.functional.linear(x, self.weight.to(x), bias)


def pack(module: nn.Module) -> int:
    """Replace all linear layers; return how many."""
    count = 0
    for key, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, key, Packed(child))
        count += 1 if isinstance(child, nn.Linear) else pack(child)
    return count


@pytest.mark.parametrize("name", SPECS)
def test_linear_layers_that_do_not_tell_their_width(name: str) -> None:
    model, packed = model_of(name), all_specs()[name].build()
    expected, plain = run(name, guided(name, model)), run(name, model)
    assert pack(packed.model.diffusion_model)
    assert find_family(packed.model).name == find_family(model.model).name
    assert_same(expected, run(name, guided(name, packed)), plain)


@pytest.mark.parametrize("name", SPECS)
def test_a_subclass_of_the_model(name: str) -> None:
    model, other = model_of(name), all_specs()[name].build()
    inner = other.model.diffusion_model
    inner.__class__ = type("Renamed", (type(inner),), {})
    expected = run(name, guided(name, model))
    # The host itself leaves things in a model when it is used for the first time.
    run(name, other)
    before = patcher_outline(other), module_outline(other)
    assert torch.equal(expected, run(name, guided(name, other)))
    assert (patcher_outline(other), module_outline(other)) == before


# Models of videos, and how many frames of theirs a window has; the video has twice as many.
VIDEOS = {"cosmos": 2, "cosmos_predict2": 2, "kandinsky5": 2, "ltxv": 3, "wan": 2}


@pytest.mark.parametrize("name", VIDEOS)
def test_windows_that_do_not_overlap_are_guided_each_for_itself(name: str) -> None:
    node, length = host_node("nodes_context_windows", "ContextWindowsManualNode"), VIDEOS[name]
    # 0.3.64 does not know of these.
    known = {key: False for key in ("freenoise", "causal_window_fix") if key in inspect.signature(node.execute).parameters}
    if name == "wan":
        model, prompts, small = (
            tiny_wan(layers=2),
            [conditioning("wan", 9, seed, pad_to=0) for seed in (1, 2, 3)],
            torch.zeros(1, 16, 2, 8, 8),
        )
    else:
        spec = all_specs()[name]
        model, prompts, small = model_of(name), [spec.prompt(9, seed) for seed in (1, 2, 3)], spec.latent(1)[:, :, :1]
    small = small[:, :, :1].repeat(1, 1, length, 1, 1)
    noise = torch.randn(1, small.shape[1], 2 * length, *small.shape[3:], generator=torch.Generator().manual_seed(0))
    away = guide(model, VSF, prompts[2], ALL, "")

    def windows(base: Any) -> Tensor:
        cut = node.execute(base, length, 0, "batched", 1, False, "flat", 2, **known)[0]
        return sample(cut, *prompts[:2], 3.0, steps=2, latent=torch.cat([small, small], dim=2), noise=noise)

    parts = [sample(away, *prompts[:2], 3.0, steps=2, latent=small, noise=part) for part in noise.chunk(2, dim=2)]
    assert_same(torch.cat(parts, dim=2), windows(away), windows(model))
