"""Make the strip without ComfyUI: our own sampler and models, and the same guidance as in the nodes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from .model.autoencoder import Autoencoder
from .model.guided_attention import Guide, encode_negatives
from .model.mmdit import MMDiT
from .model.sampler import Sampled, Settings, prompt, sample
from .model.text_encoder import TextEncoder
from .model.weights import load_autoencoder, load_few_step
from .seen import EXAMPLES, Count, count, table
from .strip import heat, strip

# As in workflows/compare_demo.
WAYS: dict[str, Mechanism | None] = {
    "without": None,
    # Gentler than the nodes' defaults: a picture of few tokens gives a negative a large share of its attention.
    "VSF": ValueSignFlip(0.8, 0.0),
    "NAG": NormalizedGuidance(9.0, 2.5, 0.25),
    "NASA": NegativeAway(0.15),
}
SETTINGS = Settings(steps=8, seed=42, batch=4)


def _images(pictures: Tensor) -> list[Image.Image]:
    return [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in ((pictures + 1) * 127.5).round().to(torch.uint8)]


def _sample(models: tuple[TextEncoder, MMDiT], text: str, avoid: str, mechanism: Mechanism | None) -> Sampled:
    encoder, model = models
    guides = [] if mechanism is None else [Guide(mechanism, encode_negatives(encoder, avoid, mechanism.words_only))]
    return sample(model, prompt(encoder, text), guides, SETTINGS)


def make(output: Path) -> str:
    """Draw every example in every way, write the strip, and return what was measured."""
    models, autoencoder = load_few_step(), load_autoencoder()
    counts, seconds, rows = dict.fromkeys(WAYS, Count(0, 0, 0)), dict.fromkeys(WAYS, 0.0), []
    # The first run of all pays for PyTorch's own preparations.
    _draw(models, autoencoder, EXAMPLES[0][0], "", None)
    for example in EXAMPLES:
        row, attention = [], None
        for name, mechanism in WAYS.items():
            started = time.perf_counter()
            sampled, pictures = _draw(models, autoencoder, example[0], example[2], mechanism)
            seconds[name] += time.perf_counter() - started
            counts[name] = counts[name] + count(example, pictures)
            row.append(_images(pictures[:1])[0])
            if name == "VSF" and sampled.maps is not None:
                attention = sampled.maps[:, 0].mean(0).numpy()
        rows.append((f"{example[0]}\nnot: {example[2]}", [*row, heat(np.zeros((8, 8)) if attention is None else attention)]))
    output.mkdir(exist_ok=True)
    path = output / "strip.png"
    strip([*WAYS, "VSF: attention on it"], rows).save(path)
    return f"{table(counts, seconds)}\n\nWritten: {path}"


def _draw(
    models: tuple[TextEncoder, MMDiT], autoencoder: Autoencoder, text: str, avoid: str, mechanism: Mechanism | None
) -> tuple[Sampled, Tensor]:
    sampled = _sample(models, text, avoid, mechanism)
    with torch.no_grad():
        return sampled, autoencoder.decode(sampled.latents).clamp(-1, 1)
