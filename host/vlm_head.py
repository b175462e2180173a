"""Find the output layer of a text encoder in its file, where the host does not load it.

Qwen-Image's text encoder is a whole Qwen2.5-VL, but the host reads only its hidden states and leaves out `lm_head`, the layer that turns them into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_patcher
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

LAYER = "lm_head.weight"
# Beside a layer in 8 bits: what its values are to be multiplied by.
SCALES = ("scale_weight", "weight_scale")
FLOATS = ("F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


def files_of(patcher: Any) -> list[Path]:
    """List the safetensors files that the host read a model from (cached_patcher_init in comfy/sd.py); none where another loader did."""
    return [
        path
        for path in map(Path, _texts(getattr(patcher, "cached_patcher_init", None)))
        if path.suffix in (".safetensors", ".sft") and path.is_file()
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _texts(one)


def has_layer(files: list[Path]) -> bool:
    """Tell whether one of the files has an output layer of any form."""
    return any(key.endswith(LAYER) for file in files for key in _keys(file))


def _keys(file: Path) -> list[str]:
    try:
        with safe_open(file, "pt") as opened:
            return list(opened.keys())
    except (OSError, SafetensorError):
        return []


class Head:
    """Hold the output layer [words, width] of a file as a model of the host's, which moves it where it is needed. Read when it is first asked."""

    def __init__(self, file: Path, key: str, patcher: Any) -> None:
        self._file, self._key, self._like = file, key, patcher
        self.patcher: Any = None

    @classmethod
    def find(cls, files: list[Path], shape: tuple[int, ...], patcher: Any) -> Head | None:
        """Find the layer that fits embeddings of this shape; patcher: of the text encoder, beside which it works."""
        for file in files:
            for key in (key for key in _keys(file) if key.endswith(LAYER)):
                with safe_open(file, "pt") as opened:
                    found = opened.get_slice(key)
                    if tuple(found.get_shape()) == shape and found.get_dtype() in FLOATS:
                        return cls(file, key, patcher)
        return None

    def ready(self) -> Any:
        """Give what the host is to load beside the text encoder."""
        if self.patcher is None:
            weight = self._read()
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
            layer.weight = torch.nn.Parameter(weight, requires_grad=False)
            self.patcher = comfy.model_patcher.ModelPatcher(Held(layer), self._like.load_device, self._like.offload_device)
        return self.patcher

    def _read(self) -> Tensor:
        with safe_open(self._file, "pt") as opened:
            weight: Tensor = opened.get_tensor(self._key)
            stem = self._key.removesuffix("weight")
            scales = [opened.get_tensor(stem + name) for name in SCALES if stem + name in opened.keys()]  # noqa: SIM118
        if weight.dtype.itemsize > 1:
            return weight
        weight = weight.to(torch.bfloat16)
        return weight * scales[0].to(torch.bfloat16) if scales else weight

    def logits(self, x: Tensor) -> Tensor:
        """Give the last token's logits [B, 1, words] of hidden states [B, T, width], wherever the layer lies at the moment."""
        weight: Tensor = self.patcher.model.inner.weight
        return torch.nn.functional.linear(x[:, -1:].to(weight.device, weight.dtype), weight).to(x.device)


class Held(torch.nn.Module):
    """Hold a model for the host, which writes `device` to what it moves; some models do not let it."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner.train(False).requires_grad_(False)
