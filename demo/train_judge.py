"""Train the judge of the demo world: `python -m demo.train_judge` in the pack's folder.

It sees only drawn pictures, sharp, blurred and noisy, never one that a model made. In half of them things come with what is usual only half of
the time: a judge that learns what goes with what sees a hat on every snowman. Loss: binary cross-entropy over all labels.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor
from torch.nn import functional

from .model.judge import Judge
from .training import Average, batches, course, descend, log, offer_worlds, save, start, world_of
from .world.dataset import Scenes, make, to_float
from .world.kinds import Kinds

PICTURES, SEED, BATCH = 60_000, 2_000_000, 128


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of `sigma` pixels."""
    at = torch.arange(-3, 4, dtype=torch.float32)
    line = torch.exp(-0.5 * (at / sigma) ** 2)
    line = (line / line.sum()).repeat(3, 1)
    padded = functional.pad(pictures, (3, 3, 3, 3), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, line[:, None, None, :], groups=3), line[:, None, :, None], groups=3)


def disturbed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Blur half of the batches, add noise to every picture, change light and contrast a little."""
    if torch.rand((), generator=generator) < 0.5:
        pictures = blurred(pictures, 0.3 + 0.9 * torch.rand((), generator=generator).item())
    count = pictures.shape[0]
    noise = torch.randn(pictures.shape, generator=generator) * 0.12 * torch.rand(count, 1, 1, 1, generator=generator)
    contrast = 1 + 0.15 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)
    light = 0.1 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)
    return ((pictures + noise) * contrast + light).clamp(-1, 1)


def both_ways(count: int, seed: int, kinds: Kinds) -> Scenes:
    """Draw half of the scenes as the world has them, half with each usual part as often there as not."""
    own, even = make(count // 2, seed, kinds=kinds), make(count - count // 2, seed + 1, usual=0.5, kinds=kinds)
    return Scenes(torch.cat([own.pictures, even.pictures]), own.captions + even.captions, torch.cat([own.truth, even.truth]))


@torch.no_grad()
def accuracy(judge: Judge, pictures: Tensor, truth: Tensor, kinds: Kinds) -> dict[str, float]:
    """Return how often the main thing is right, how often a label is right where its answer is open, and the worst label's balanced accuracy."""
    logits = torch.cat([judge(part) for part in pictures.split(256)])
    things = len(kinds.things)
    shown = truth[:, :things].bool().any(1)
    main = logits[shown, :things].argmax(1) == truth[shown, :things].argmax(1)
    right = (logits > 0) == truth.bool()
    there = truth.bool()
    sensitivity = torch.stack([right[there[:, i], i].float().mean() for i in range(len(kinds.labels))])
    specificity = torch.stack([right[~there[:, i], i].float().mean() for i in range(len(kinds.labels))])
    balanced = (sensitivity + specificity) / 2
    return {
        "main_thing": round(main.float().mean().item(), 4), "labels": round(right.float().mean().item(), 5),
        "balanced": round(balanced.mean().item(), 4), "worst_label_balanced": round(balanced.min().item(), 4),
    }  # fmt: skip


def measured(judge: Judge, held_out: Scenes, kinds: Kinds) -> dict[str, dict[str, float]]:
    """Measure on sharp, blurred and noisy pictures that were not trained on."""
    sharp = to_float(held_out.pictures)
    noise = 0.08 * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(SEED))
    cases = {"sharp": sharp, "blurred (sigma 1 px)": blurred(sharp, 1.0), "noisy (sigma 0.08)": (sharp + noise).clamp(-1, 1)}
    return {name: accuracy(judge, pictures, held_out.truth, kinds) for name, pictures in cases.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=1500)
    offer_worlds(options)
    chosen = options.parse_args()
    steps, started = chosen.steps, time.time()
    kinds, folder, more = world_of(chosen)
    start(SEED + more)
    scenes, held_out = both_ways(PICTURES, SEED + more, kinds), both_ways(6000, SEED + more + 2, kinds)
    judge, generator = Judge(len(kinds.labels)), torch.Generator().manual_seed(SEED + more)
    average = Average(judge, 0.99)
    optimisers = {torch.optim.AdamW(judge.parameters(), weight_decay=1e-3): 3e-3}
    for step, rows in enumerate(batches(PICTURES, BATCH, steps, SEED + more)):
        logits = judge(disturbed(to_float(scenes.pictures[rows]), generator))
        loss = functional.binary_cross_entropy_with_logits(logits, scenes.truth[rows].float())
        descend(optimisers, judge, loss, course(step, steps, 100))
        average.follow(judge)
        if step % 200 == 0:
            log.info("step %d loss %.4f", step, loss.item())
    judge.load_state_dict(average.weights)
    judge.eval()
    save(
        "judge",
        judge.state_dict(),
        {"steps": steps, "batch": BATCH, "pictures": PICTURES, "held_out": measured(judge, held_out, kinds)},
        started,
        folder,
    )


if __name__ == "__main__":
    main()
