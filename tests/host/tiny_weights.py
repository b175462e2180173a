"""Fill models of the host with seeded random weights that keep activations near one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

# Above this a table of embeddings is a view on a small buffer.
LARGE = 4_000_000
EMBEDDING_STRIDE = 8
# Random text averages out under flat attention; queries of this size make attention choose, so that the text shows.
QUERY_GAIN = 2.0
QUERIES = ("ln_q", "query_norm", "norm_q", "to_q")


def _generator(name: str, seed: int) -> torch.Generator:
    """Seed by the name of the parameter, so that both hosts get the same weights whatever their order of parameters."""
    # 0.3.64 calls the weight of Flux's norms "scale".
    name = name.replace(".scale", ".weight")
    return torch.Generator().manual_seed(zlib.crc32(name.encode()) + 7919 * seed)


def _values(name: str, shape: torch.Size, seed: int) -> Tensor:
    """Draw a parameter: 1 + 0.1 n for norms, 0.1 n for biases, n / sqrt(fan in) for matrices and kernels, 0.3 n for the rest."""
    noise = torch.randn(shape, generator=_generator(name, seed))
    kind = name.rsplit(".", 1)[-1]
    gain = QUERY_GAIN if any(part in QUERIES for part in name.split(".")) else 1.0
    if kind == "bias":
        return 0.1 * noise
    if kind in ("weight", "scale", "in_proj_weight", "text_projection"):
        if len(shape) < 2:
            return gain * (1.0 + 0.1 * noise)
        fan_in = noise[0].numel()
        return gain * noise * fan_in**-0.5
    return 0.3 * noise


def _large_table(shape: torch.Size, name: str, seed: int) -> Tensor:
    """Make a table [rows, width] of random rows that takes rows * 8 + width numbers: row i is a buffer from 8 i on.

    A real vocabulary of 32128 rows of 4096 would take half a gigabyte. Any two rows differ; nothing writes to them.
    """
    rows, width = shape
    buffer = torch.randn(rows * EMBEDDING_STRIDE + width, generator=_generator(name, seed))
    return buffer.as_strided((rows, width), (EMBEDDING_STRIDE, 1))


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    for name, buffer in module.named_buffers():
        # Of the buffers only SD3's table of positions is empty after building; position ids and the like hold their values.
        if name.endswith("pos_embed"):
            yield name, buffer


@torch.no_grad()
def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter of `module` random values, in place; same seed, same values on every host."""
    for path, child in module.named_modules():
        if isinstance(child, nn.Embedding):
            name = f"{path}.weight"
            shape = child.weight.shape
            small = torch.randn(shape, generator=_generator(name, seed)) if shape.numel() <= LARGE else None
            table = _large_table(shape, name, seed) if small is None else small.to(child.weight.dtype)
            child.weight = nn.Parameter(table, requires_grad=False)
    tables = {id(child.weight) for child in module.modules() if isinstance(child, nn.Embedding)}
    for name, tensor in _tensors(module):
        if id(tensor) not in tables:
            tensor.copy_(_values(name, tensor.shape, seed))
    return module.requires_grad_(False).eval()
