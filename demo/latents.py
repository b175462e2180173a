"""Encode the training scenes once, for both generators; kept in a folder that is not committed."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import torch
from torch import Tensor

from .model.autoencoder import Autoencoder
from .model.tokenizer import padded
from .model.words import WORDS
from .train_autoencoder import encode_all
from .training import WEIGHTS, log
from .world.dataset import pictures_of
from .world.kinds import FIRST, Kinds
from .world.scene import Scene, caption, random_scene

SEED = 5_000
CACHE = Path(__file__).resolve().parent / ".cache"


def load_autoencoder(folder: Path = WEIGHTS) -> Autoencoder:
    """Read the trained autoencoder."""
    from safetensors.torch import load_file

    model = Autoencoder()
    model.load_state_dict({key: value.float() for key, value in load_file(str(folder / "autoencoder.safetensors")).items()})
    return model.eval().to(memory_format=torch.channels_last)


def scenes_and_latents(count: int, kinds: Kinds = FIRST, seed: int = SEED, folder: Path = WEIGHTS) -> tuple[list[Scene], Tensor]:
    """Return `count` scenes and their latents [count, 16, 8, 8] as the diffusion model sees them: mean 0, deviation 1."""
    rng = random.Random(seed)
    scenes = [random_scene(rng, kinds=kinds) for _ in range(count)]
    key = {"scenes": zlib.crc32(repr(scenes).encode()), "autoencoder": (folder / "autoencoder.safetensors").stat().st_mtime_ns}
    cache = CACHE / f"latents_{kinds.name}.pt"
    if cache.exists():
        kept = torch.load(cache, weights_only=True)
        if kept["key"] == key:
            return scenes, kept["latents"].float()
    log.info("encoding %d scenes", count)
    model = load_autoencoder(folder)
    latents = torch.cat(
        [(encode_all(model, pictures_of(scenes[i : i + 1024])) - model.vae_shift) * model.vae_scale for i in range(0, count, 1024)]
    )
    CACHE.mkdir(exist_ok=True)
    torch.save({"key": key, "latents": latents.half()}, cache)
    return scenes, latents


def captions(rng: random.Random, scenes: list[Scene], rows: list[int], dropout: float, words: tuple[str, ...] = WORDS) -> Tensor:
    """Say each scene anew, or nothing at all with probability `dropout`: token numbers [B, 24]."""
    return torch.tensor([padded("" if rng.random() < dropout else caption(rng, scenes[row]), words) for row in rows])
