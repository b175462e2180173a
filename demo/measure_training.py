"""Ask the judge how many prompts show their main thing: the number that every training ends with."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from .model.autoencoder import Autoencoder
from .model.judge import Judge
from .model.tokenizer import padded
from .training import WEIGHTS
from .world.kinds import FIRST, Kinds
from .world.scene import caption, random_scene

SEED, EACH = 77_000, 20


def load_judge(kinds: Kinds = FIRST, folder: Path = WEIGHTS) -> Judge:
    """Read the trained judge."""
    from safetensors.torch import load_file

    judge = Judge(len(kinds.labels))
    judge.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in load_file(str(folder / "judge.safetensors")).items()}
    )
    return judge.eval()


@torch.no_grad()
def main_thing_shown(sample: Callable[[Tensor], Tensor], autoencoder: Autoencoder, kinds: Kinds = FIRST, folder: Path = WEIGHTS) -> float:
    """Return the share of prompts, EACH per thing as the captions say them, whose main thing the judge sees; `sample`: tokens -> latents."""
    rng, judge = random.Random(SEED), load_judge(kinds, folder)
    names = [name for name in kinds.things for _ in range(EACH)]
    tokens = torch.tensor([padded(caption(rng, random_scene(rng, name, kinds=kinds)), kinds.words) for name in names])
    right = 0
    for start in range(0, len(names), 64):
        latents = sample(tokens[start : start + 64]) / autoencoder.vae_scale + autoencoder.vae_shift
        seen = judge(autoencoder.decode(latents).clamp(-1, 1))[:, : len(kinds.things)].argmax(1)
        right += sum(list(kinds.things)[index] == name for index, name in zip(seen.tolist(), names[start : start + 64], strict=True))
    return round(right / len(names), 4)
