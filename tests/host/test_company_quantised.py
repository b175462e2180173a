"""Check guidance on models whose linear layers are quantised, in the host's own formats and by its own loading."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from comfy.supported_models_base import BASE
from torch import Tensor, nn

from company_runs import assert_guided, assert_same, distance
from memory_runs import SOME, away, build, picture

# How the host names a format: its layout, and whether this machine computes with it (if not, the host computes with the dequantised weights).
FORMATS = {
    "int8_tensorwise": ("TensorWiseINT8Layout", True),
    "float8_e4m3fn": ("TensorCoreFP8E4M3Layout", False),
    "nvfp4": ("TensorCoreNVFP4Layout", False),
    "mxfp8": ("TensorCoreMXFP8Layout", False),
}


def quantised_weights(model: Any, kind: str, dense: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make a file's weights of a model: quantised where the layer is linear and wide enough; `dense` gets what they stand for."""
    quant = pytest.importorskip("comfy.quant_ops", reason="this host has other quantised layers")
    weights = dict(model.model.diffusion_model.state_dict())
    for name, module in model.model.diffusion_model.named_modules():
        if not isinstance(module, nn.Linear) or module.weight.shape[0] % 32 or module.weight.shape[1] % 32:
            continue
        scale = {"scale": "recalculate"} if kind in ("float8_e4m3fn", "nvfp4") else {}
        packed = quant.QuantizedTensor.from_float(module.weight.detach().clone(), FORMATS[kind][0], **scale)
        del weights[f"{name}.weight"]
        weights.update(packed.state_dict(f"{name}.weight"))
        weights[f"{name}.comfy_quant"] = torch.tensor(list(json.dumps({"format": kind}).encode()), dtype=torch.uint8)
        dense[f"{name}.weight"] = packed.dequantize()
    return weights


@torch.inference_mode()
def quantised(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> tuple[Any, Any]:
    """Give a model with quantised weights, and one with the numbers that they stand for; the host loads models in this mode too."""
    dequantised, dense = build(name), {}
    weights = quantised_weights(dequantised, kind, dense)
    dequantised.model.diffusion_model.load_state_dict(dense, strict=False)
    original = BASE.set_inference_dtype
    with monkeypatch.context() as patch:
        patch.setattr(BASE, "quant_config", {"mixed_ops": True})
        patch.setattr(BASE, "set_inference_dtype", lambda self, *_, **options: original(self, torch.float32, torch.float32, **options))
        model = build(name)
    found = model.model.diffusion_model.load_state_dict(weights, strict=False)
    assert dense and not found.unexpected_keys
    model.model.diffusion_model.requires_grad_(False)
    return model, dequantised


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", SOME)
def test_quantised_layers(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    model, dequantised = quantised(monkeypatch, name, kind)
    layers = [module for module in model.model.modules() if getattr(module, "quant_format", None) == kind]
    assert layers and all(type(layer.weight).__name__ == "QuantizedTensor" for layer in layers)
    plain, picture_of = picture(name, model), picture(name, away(name, model))
    exact_plain, exact = picture(name, dequantised), picture(name, away(name, dequantised))
    assert_guided(picture_of, plain)
    if FORMATS[kind][1]:
        # Activations are rounded too. Guidance rounds no worse than the model does without it, and does the same.
        assert 0 < distance(picture_of, exact) < 2 * distance(plain, exact_plain)
    else:
        assert_same(picture_of, exact, plain, 1e-4)


@torch.inference_mode()
def scaled_fp8(monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[Any, Any]:
    """Do the same in the way of older hosts: fp8 with a factor for each layer."""
    original = BASE.set_inference_dtype
    with monkeypatch.context() as patch:
        patch.setattr(BASE, "scaled_fp8", torch.float8_e4m3fn)
        patch.setattr(BASE, "set_inference_dtype", lambda self, *_, **options: original(self, torch.float32, torch.float32, **options))
        model = build(name)
    dequantised = build(name)
    layers = dict(dequantised.model.diffusion_model.named_modules())
    for path, module in model.model.diffusion_model.named_modules():
        if hasattr(module, "scale_weight"):
            weight = layers[path].weight
            module.scale_weight.data.fill_(weight.abs().max() / torch.finfo(torch.float8_e4m3fn).max)
            module.weight.data.copy_(weight / module.scale_weight)
            weight.data.copy_(module.weight.to(weight.dtype) * module.scale_weight)
            if module.bias is not None:
                layers[path].bias.data.copy_(module.bias.to(weight.dtype))
    return model, dequantised


@pytest.mark.skipif(not hasattr(BASE, "scaled_fp8"), reason="this host has other quantised layers")
@pytest.mark.parametrize("name", SOME)
def test_scaled_fp8_of_older_hosts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model, dequantised = scaled_fp8(monkeypatch, name)
    assert any(weight.dtype == torch.float8_e4m3fn for weight in model.model_state_dict().values())
    assert_same(picture(name, away(name, model)), picture(name, away(name, dequantised)), picture(name, model))
