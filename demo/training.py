"""Share what the training scripts have in common: the learning rate's course, averaged weights, files and the written summary."""

from __future__ import annotations

import argparse
import json
import logging
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .world.kinds import FIRST, SECOND, WORLDS, Kinds

WEIGHTS = Path(__file__).resolve().parent / "weights"
# Models of the second world are for benchmarks alone.
OTHER_WEIGHTS = WEIGHTS.parent.parent / "benchmarks" / "second_world"
SUMMARY = "training.json"
OTHER_SEED = 500_000
# The matrices of attention, MLP and convolutions inside MMDiT, CLIP and UNet; not those that modulate, embed or give out.
INSIDE = re.compile(r"joint_blocks\..*(attn|mlp)|encoder\.layers\.|transformer_blocks\.|(in|out)_layers\.")
log = logging.getLogger("demo")


def world_of(options: argparse.Namespace) -> tuple[Kinds, Path, int]:
    """Give the world that was chosen, the folder of its weights, and what is added to the seeds."""
    return (FIRST, WEIGHTS, 0) if options.world == FIRST.name else (SECOND, OTHER_WEIGHTS, OTHER_SEED)


def offer_worlds(options: argparse.ArgumentParser) -> None:
    options.add_argument("--world", choices=list(WORLDS), default=FIRST.name, help="which world's things to learn")


def start(seed: int) -> None:
    """Fix the seed and let the progress be seen."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.manual_seed(seed)
    # Numbers next to nothing, as in layers that start at zero, make CPUs slow.
    torch.set_flush_denormal(True)


def course(step: int, steps: int, warm: int = 200) -> float:
    """Give the share of the peak learning rate: it rises over `warm` steps, then falls along a cosine to a hundredth."""
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def batches(count: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Give `steps` batches of indices: every picture once before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    order, place = torch.randperm(count, generator=generator), 0
    for _ in range(steps):
        if place + size > count:
            order, place = torch.randperm(count, generator=generator), 0
        yield order[place : place + size]
        place += size


def descend(optimisers: Mapping[torch.optim.Optimizer, float], model: nn.Module, loss: Tensor, share: float) -> None:
    """Take one step at `share` of each optimiser's peak rate, with the gradient's norm held to 1."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser, peak in optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = peak * share
        optimiser.step()


def optimisers_for(model: nn.Module) -> dict[torch.optim.Optimizer, float]:
    """Give Muon the matrices inside the network and AdamW the rest, with their peak rates."""
    inside = {name: value for name, value in model.named_parameters() if INSIDE.search(name) and value.ndim > 1}
    rest = [value for name, value in model.named_parameters() if name not in inside]
    return {Muon(inside.values()): 4e-3, torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=0.01): 1e-3}


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Bring all singular values of a matrix near 1 by Newton-Schulz: X <- a X + (b A + c A^2) X with A = X X^T."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(rounds):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Descend with orthogonalised momentum, for the matrices inside a network: fewer steps than AdamW for the same loss.

    w <- (1 - rate * decay) w - rate * 0.2 sqrt(max(rows, columns)) * orthogonal(momentum), so that AdamW's rates fit. In float32, unlike
    PyTorch's own, which works in bfloat16: that is slow on most CPUs. Source: K. Jordan, "Muon" (2024); arXiv 2502.16982 for the scale.
    """

    def __init__(self, matrices: Iterable[Tensor], momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(matrices, {"lr": 0.0, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                memory = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                memory.lerp_(weight.grad, 1 - group["momentum"])
                # A convolution is the matrix that takes its window to its outputs.
                direction = orthogonal(weight.grad.lerp(memory, group["momentum"]).flatten(1))
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(direction.view_as(weight), alpha=-group["lr"] * 0.2 * max(direction.shape) ** 0.5)


class Average:
    """Follow a model's weights as a moving average: less noisy than the last step's."""

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.decay, self.steps = decay, 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


def resume(name: str, model: nn.Module, folder: Path = WEIGHTS) -> int:
    """Go on from the weights that an earlier training saved; return how many steps they had."""
    from safetensors.torch import load_file

    before = json.loads((folder / SUMMARY).read_text()).get(name, {}) if (folder / SUMMARY).exists() else {}

    model.load_state_dict(
        {
            key: value.float() if value.is_floating_point() else value
            for key, value in load_file(str(folder / f"{name}.safetensors")).items()
        }
    )
    return before.get("steps", 0) + before.get("steps_before", 0)


def begin_with_first(name: str, model: nn.ModuleDict) -> dict[str, str]:
    """Take the first world's diffusion model to start from; the text encoder, and so what every word is, is learned anew."""
    from .model.weights import MODEL, read_weights

    model["diffusion_model"].load_state_dict(read_weights(name, WEIGHTS, MODEL))
    return {"began_with": "the first world's diffusion model"}


def save(name: str, weights: dict[str, Tensor], summary: dict[str, Any], started: float, folder: Path = WEIGHTS) -> None:
    """Write weights as float16 safetensors, and what was measured into the common summary."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    half = {key: value.half().contiguous() if value.dtype.is_floating_point else value.contiguous() for key, value in weights.items()}
    save_file(half, str(folder / f"{name}.safetensors"))
    summarise(name, sum(value.numel() for value in weights.values()), summary, started, folder)


def summarise(name: str, parameters: int, summary: dict[str, Any], started: float, folder: Path = WEIGHTS) -> None:
    """Write what was measured into the common summary."""
    file = folder / SUMMARY
    record = json.loads(file.read_text()) if file.exists() else {}
    record[name] = {
        **summary,
        "parameters": parameters,
        "minutes": round((time.time() - started) / 60, 1),
        "threads": torch.get_num_threads(),
    }
    file.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    log.info("%s: %s", name, record[name])
