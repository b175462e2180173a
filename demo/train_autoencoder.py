"""Train the autoencoder of the demo world: `python -m demo.train_autoencoder` in the pack's folder.

First from crops, which are cheap, then from whole pictures: crops alone teach it to lean on their borders. Loss: 5 (x - x')^2 + 0.3 |x - x'|,
means (absolute differences alone lose what is small: apples in a tree); latents are held to mean 0 and deviation 1 per channel, and a little
noise on them makes the decoder forgive what a sampler leaves. `--whole-only` goes on from the weights that are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from .model.autoencoder import Autoencoder
from .training import Average, batches, course, descend, log, offer_worlds, resume, save, start, world_of
from .world.dataset import make, to_float

PICTURES, SEED, CROP = 40_000, 1_000, 32
NOISE = 0.03


def loss_of(model: Autoencoder, pictures: Tensor) -> Tensor:
    latents = model.taesd_encoder(pictures * 0.5 + 0.5)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    decoded = (model.taesd_decoder(latents + NOISE * torch.randn_like(latents)) - 0.5) * 2
    difference = decoded - pictures
    return 5 * difference.square().mean() + 0.3 * difference.abs().mean() + 0.02 * (mean.square() + (std - 1).square()).mean()


def crops(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Cut a square of CROP pixels out of each picture, at a multiple of 8: where the cells are."""
    places = torch.randint(0, (pictures.shape[-1] - CROP) // 8 + 1, (pictures.shape[0], 2), generator=generator) * 8
    cut = [picture[:, top : top + CROP, left : left + CROP] for picture, (top, left) in zip(pictures, places.tolist(), strict=True)]
    return to_float(torch.stack(cut)).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode_all(model: Autoencoder, pictures: Tensor, size: int = 64) -> Tensor:
    """Encode byte pictures in portions."""
    parts = [model.encode(to_float(part).contiguous(memory_format=torch.channels_last)) for part in pictures.split(size)]
    return torch.cat(parts).contiguous()


@torch.no_grad()
def error(model: Autoencoder, pictures: Tensor) -> dict[str, float]:
    """Measure on whole pictures that were not trained on."""
    latents = encode_all(model, pictures)
    decoded = torch.cat([model.decode(part) for part in latents.split(64)]).clamp(-1, 1)
    difference = decoded - to_float(pictures)
    inside = (latents - model.vae_shift) * model.vae_scale
    return {
        "held_out_l1": round(difference.abs().mean().item(), 5), "held_out_psnr_db": round(-10 * torch.log10(difference.square().mean() / 4).item(), 2),
        "latent_mean": round(inside.mean().item(), 3), "latent_std": round(inside.std().item(), 3),
    }  # fmt: skip


def learn(model: Autoencoder, pictures: Tensor, steps: int, batch: int, rate: float, cut: Callable[[Tensor], Tensor]) -> None:
    """Train for `steps` batches of what `cut` makes of byte pictures, and leave the averaged weights."""
    average = Average(model, 0.99)
    optimisers = {torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.0): rate}
    for step, rows in enumerate(batches(PICTURES, batch, steps, SEED + batch)):
        loss = loss_of(model, cut(pictures[rows]))
        descend(optimisers, model, loss, course(step, steps, 50))
        average.follow(model)
        if step % 100 == 0:
            log.info("step %d loss %.4f", step, loss.item())
    model.load_state_dict(average.weights)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--crop-steps", type=int, default=4500)
    options.add_argument("--whole-steps", type=int, default=1200)
    options.add_argument("--whole-only", action="store_true")
    options.add_argument("--whole-rate", type=float, default=7e-4, help="lower, when it only goes on")
    offer_worlds(options)
    chosen, started = options.parse_args(), time.time()
    kinds, folder, more = world_of(chosen)
    start(SEED + more)
    pictures, held_out = make(PICTURES, SEED + more, kinds=kinds).pictures, make(512, SEED + more + 1, kinds=kinds).pictures
    model = Autoencoder()
    model.initialise()
    if chosen.whole_only:
        resume("autoencoder", model, folder)
    model.to(memory_format=torch.channels_last)
    if not chosen.whole_only:
        generator = torch.Generator().manual_seed(SEED + more)
        learn(model, pictures, chosen.crop_steps, 20, 1.2e-3, lambda part: crops(part, generator))
    learn(
        model, pictures, chosen.whole_steps, 8, chosen.whole_rate, lambda part: to_float(part).contiguous(memory_format=torch.channels_last)
    )
    summary = {
        "crop_steps": 0 if chosen.whole_only else chosen.crop_steps,
        "whole_steps": chosen.whole_steps,
        "pictures": PICTURES,
        **error(model, held_out),
    }
    save("autoencoder", model.state_dict(), summary, started, folder)


if __name__ == "__main__":
    main()
