"""Train the few-step model of the demo world: `python -m demo.train_few_step` in the pack's folder, after the autoencoder and the judge.

Rectified flow: x = (1 - sigma) x0 + sigma noise, the model says v = noise - x0 (loss: mean squared error); half of the noise levels are uniform,
half logit-normal. Text encoder and MMDiT learn together. Captions are sometimes empty (5 %), so that an empty prompt means something.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from torch import Tensor, nn

from .latents import SEED as LATENTS_SEED
from .latents import captions, load_autoencoder, scenes_and_latents
from .measure_training import main_thing_shown
from .model.config import MULTIPLIER
from .model.mmdit import MMDiT
from .model.text_encoder import TextEncoder
from .training import Average, batches, begin_with_first, course, descend, log, offer_worlds, optimisers_for, resume, save, start, world_of

SCENES, SEED, BATCH, DROPOUT = 24_000, 3_000, 64, 0.05


def noise_levels(count: int) -> Tensor:
    """Draw sigma [count] in (0, 1]: the first half uniform, the rest logit-normal."""
    uniform = torch.rand(count // 2)
    return torch.cat([1 - uniform, torch.sigmoid(torch.randn(count - count // 2))])


def loss_of(model: nn.ModuleDict, clean: Tensor, tokens: Tensor) -> Tensor:
    sigma, noise = noise_levels(clean.shape[0]), torch.randn_like(clean)
    weight = sigma[:, None, None, None]
    velocity = model["diffusion_model"]((1 - weight) * clean + weight * noise, sigma * MULTIPLIER, model["text_encoder"](tokens))
    return (velocity - (noise - clean)).square().mean()


@torch.no_grad()
def sample(model: nn.ModuleDict, tokens: Tensor, steps: int = 8) -> Tensor:
    """Take Euler steps from noise, evenly spaced."""
    context = model["text_encoder"](tokens)
    x = torch.randn(tokens.shape[0], 16, 8, 8, generator=torch.Generator().manual_seed(SEED))
    levels = torch.linspace(1, 0, steps + 1)
    for sigma, following in zip(levels, levels[1:], strict=False):
        x = x + (following - sigma) * model["diffusion_model"](x, sigma.expand(len(x)) * MULTIPLIER, context)
    return x


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=4400)
    options.add_argument("--resume", action="store_true", help="go on from the weights that are there")
    options.add_argument("--batch", type=int, default=BATCH)
    options.add_argument("--begin-with-first", action="store_true", help="start from the first world's diffusion model")
    offer_worlds(options)
    chosen = options.parse_args()
    steps = chosen.steps
    started = time.time()
    kinds, folder, more = world_of(chosen)
    start(SEED + more)
    rng = random.Random(SEED + more)
    scenes, latents = scenes_and_latents(SCENES, kinds, LATENTS_SEED + more, folder)
    model = nn.ModuleDict({"text_encoder": TextEncoder(), "diffusion_model": MMDiT()})
    about = {"steps_before": resume("few_step", model, folder) if chosen.resume else 0, "batch": chosen.batch, "scenes": SCENES}
    about |= begin_with_first("few_step", model) if chosen.begin_with_first else {}
    average = Average(model)
    optimisers = optimisers_for(model)
    running = 1.0
    for step, rows in enumerate(batches(SCENES, chosen.batch, steps, SEED + more)):
        loss = loss_of(model, latents[rows], captions(rng, scenes, rows.tolist(), DROPOUT, kinds.words))
        descend(optimisers, model, loss, course(step, steps))
        average.follow(model)
        running += 0.01 * (loss.item() - running)
        if step % 200 == 0:
            log.info("step %d loss %.4f", step, running)
        if step % 1000 == 999 or step == steps - 1:
            save("few_step", average.weights, {**about, "steps": step + 1, "loss": round(running, 4)}, started, folder)
    model.load_state_dict(average.weights)
    model.eval()
    shown = {
        f"main_thing_shown_{count}_steps": main_thing_shown(
            lambda tokens, count=count: sample(model, tokens, count), load_autoencoder(folder), kinds, folder
        )
        for count in (4, 8)
    }
    save("few_step", average.weights, {**about, "steps": steps, "loss": round(running, 4), **shown}, started, folder)


if __name__ == "__main__":
    main()
