"""Encode the training scenes once, for both generators; kept in a folder that is not committed."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import torch
from torch import Tensor

from .model.autoencoder import Autoencoder
from .model.tokenizer import padded
from .train_autoencoder import encode_all
from .training import WEIGHTS, log
from .world.dataset import pictures_of
from .world.scene import Scene, caption, random_scene

SEED = 5_000
CACHE = Path(__file__).resolve().parent / ".cache" / "latents.pt"


def load_autoencoder() -> Autoencoder:
    """Read the trained autoencoder."""
    from safetensors.torch import load_file

    model = Autoencoder()
    model.load_state_dict({key: value.float() for key, value in load_file(str(WEIGHTS / "autoencoder.safetensors")).items()})
    return model.eval().to(memory_format=torch.channels_last)


def scenes_and_latents(count: int) -> tuple[list[Scene], Tensor]:
    """Return `count` scenes and their latents [count, 16, 8, 8] as the diffusion model sees them: mean 0, deviation 1."""
    rng = random.Random(SEED)
    scenes = [random_scene(rng) for _ in range(count)]
    key = {"scenes": zlib.crc32(repr(scenes).encode()), "autoencoder": (WEIGHTS / "autoencoder.safetensors").stat().st_mtime_ns}
    if CACHE.exists():
        kept = torch.load(CACHE, weights_only=True)
        if kept["key"] == key:
            return scenes, kept["latents"].float()
    log.info("encoding %d scenes", count)
    model = load_autoencoder()
    latents = torch.cat(
        [(encode_all(model, pictures_of(scenes[i : i + 1024])) - model.vae_shift) * model.vae_scale for i in range(0, count, 1024)]
    )
    CACHE.parent.mkdir(exist_ok=True)
    torch.save({"key": key, "latents": latents.half()}, CACHE)
    return scenes, latents


def captions(rng: random.Random, scenes: list[Scene], rows: list[int], dropout: float) -> Tensor:
    """Say each scene anew, or nothing at all with probability `dropout`: token numbers [B, 24]."""
    return torch.tensor([padded("" if rng.random() < dropout else caption(rng, scenes[row])) for row in rows])
