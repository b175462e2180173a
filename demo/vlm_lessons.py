"""What the demo's vision-language model learns from: pictures with what is in them, and questions in the pack's own words (vlm/instructions.py)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vlm.instructions import QUESTION, instruction

from .latents import captions, load_autoencoder, scenes_and_latents
from .model.config import MULTIPLIER
from .model.weights import load_few_step
from .train_autoencoder import encode_all
from .training import log
from .vlm_model import MERGE, PATCH, PICTURE_TOKENS, SIDE
from .world.dataset import pictures_of, to_float
from .world.parts import PLURAL
from .world.scene import LABELS, Scene, random_scene, truth, with_article

SEED, MOST_ASKED, IGNORED = 7_000, 8, -100


@dataclass(frozen=True)
class Shown:
    """Hold pictures uint8 [N, 3, 64, 64], and what is in them: 0/1 [N, labels]."""

    pictures: Tensor
    truth: Tensor

    def part(self, rows: slice) -> Shown:
        return Shown(self.pictures[rows], self.truth[rows])


def joined(shown: list[Shown]) -> Shown:
    return Shown(torch.cat([one.pictures for one in shown]), torch.cat([one.truth for one in shown]))


@torch.no_grad()
def predictions(latents: Tensor, tokens: Tensor, batch: int = 128) -> Tensor:
    """Give what the few-step model takes noisy latents for, at all noise levels, decoded: uint8 [N, 3, 64, 64]."""
    encoder, model = load_few_step()
    decoder, found = load_autoencoder(), []
    for clean, said in zip(latents.split(batch), tokens.split(batch), strict=True):
        sigma = torch.rand(len(clean)) * 0.95 + 0.05
        weight = sigma[:, None, None, None]
        noisy = (1 - weight) * clean + weight * torch.randn_like(clean)
        predicted = noisy - weight * model(noisy, sigma * MULTIPLIER, encoder(said))
        found.append(((decoder.decode(predicted).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(found)


def drawn_and_predicted(scenes: list[Scene], latents: Tensor, rng: random.Random) -> tuple[Shown, Shown]:
    """Show scenes as they are drawn, and as the few-step model predicts them."""
    there = torch.from_numpy(np.stack([truth(scene) for scene in scenes]))
    seen = predictions(latents, captions(rng, scenes, list(range(len(scenes))), 0.0))
    return Shown(pictures_of(scenes), there), Shown(seen, there)


def pictures_to_learn(count: int) -> tuple[Shown, dict[str, Shown]]:
    """Give what to learn from, and, apart, what to be asked about afterwards: a twentieth of the scenes.

    In half of the scenes things come with what is usual only half of the time, as for the judge: otherwise every snowman would be seen with a hat.
    """
    rng, half, held = random.Random(SEED), count // 2, count // 40
    scenes, latents = scenes_and_latents(24_000)
    even = [random_scene(rng, None, 0.5) for _ in range(half)]
    model = load_autoencoder()
    encoded = [(encode_all(model, pictures_of(even[i : i + 1024])) - model.vae_shift) * model.vae_scale for i in range(0, half, 1024)]
    log.info("showing %d scenes as they are drawn and predicted", 2 * half)
    worlds = [drawn_and_predicted(scenes[:half], latents[:half], rng), drawn_and_predicted(even, torch.cat(encoded), rng)]
    learn = joined([kind.part(slice(held, None)) for world in worlds for kind in world])
    names = ("drawn", "predicted")
    return learn, {name: joined([world[i].part(slice(held)) for world in worlds]) for i, name in enumerate(names)}


def patches(pictures: Tensor) -> Tensor:
    """Cut pictures [B, 3, 64, 64] in [-1, 1] as the processor does: rows of [channel, 2 frames, 8, 8], in blocks that are merged."""
    count, grid = pictures.shape[0], SIDE // PATCH // MERGE
    blocks = pictures.view(count, 3, grid, MERGE, PATCH, grid, MERGE, PATCH).permute(0, 2, 5, 3, 6, 1, 4, 7)
    return blocks.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(count * (SIDE // PATCH) ** 2, -1)


def asked_words(label: str, rng: random.Random) -> str:
    """Name a label as people do: "hat" or "a hat"."""
    return with_article(label) if label not in PLURAL and rng.random() < 0.5 else label


def asked_and_answer(present: list[str], absent: list[str], rng: random.Random) -> tuple[str, str]:
    """Draw what is asked for, about half of it present, and give the right answer, in the order asked."""
    there = rng.sample(present, min(len(present), rng.choice((0, 0, 1, 1, 2, 3))))
    others = rng.sample(absent, rng.randint(0 if there else 1, MOST_ASKED - len(there)))
    asked = rng.sample(there + others, len(there) + len(others))
    return ", ".join(asked_words(label, rng) for label in asked), ", ".join(label for label in asked if label in there) or "none"


def conversation(processor: Any, words: str) -> str:
    """Write the question as the pack's back end does."""
    told = instruction("custom", words)
    messages = [
        {"role": "system", "content": [{"type": "text", "text": told.system}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": told.question}]},
    ]
    text: str = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text.replace("<|image_pad|>", "<|image_pad|>" * PICTURE_TOKENS)


def corpus() -> list[str]:
    """Give the texts that the tokenizer is made for."""
    rng = random.Random(SEED)
    lists = [", ".join(asked_words(label, rng) for label in rng.sample(LABELS, 6)) for _ in range(2000)]
    asked = [text for words in lists for text in (words, instruction("custom", words).system)]
    return asked + [QUESTION, "none", "system\nuser\nassistant\n"] * 500


class Lessons:
    """Make batches of questions about pictures."""

    def __init__(self, processor: Any, shown: Shown, seed: int) -> None:
        self._tokenizer, self._processor, self._shown = processor.tokenizer, processor, shown
        self._rng = random.Random(seed)

    def _question(self, row: int) -> tuple[list[int], list[int]]:
        there = self._shown.truth[row].tolist()
        present = [label for label, one in zip(LABELS, there, strict=True) if one]
        words, answer = asked_and_answer(present, [label for label in LABELS if label not in present], self._rng)
        texts = (conversation(self._processor, words), answer + "<|im_end|>")
        asked, said = (self._tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
        return asked, said

    def rows(self, size: int) -> list[int]:
        return [self._rng.randrange(len(self._shown.truth)) for _ in range(size)]

    def seen(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """Give pictures as patches and what is in them."""
        return patches(to_float(self._shown.pictures[rows])), self._shown.truth[rows].float()

    def batch(self, size: int) -> dict[str, Tensor]:
        rows = self.rows(size)
        questions = [self._question(row) for row in rows]
        width = max(len(asked) + len(said) for asked, said in questions)
        ids, labels = torch.zeros(size, width, dtype=torch.long), torch.full((size, width), IGNORED)
        mask = torch.zeros(size, width, dtype=torch.long)
        for at, (asked, said) in enumerate(questions):
            end = len(asked) + len(said)
            ids[at, :end], mask[at, :end] = torch.tensor(asked + said), 1
            labels[at, len(asked) : end] = torch.tensor(said)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": labels,
            "pixel_values": self.seen(rows)[0],
            "image_grid_thw": grids(size),
            "mm_token_type_ids": (ids == self._tokenizer.convert_tokens_to_ids("<|image_pad|>")).int(),
        }


def grids(size: int) -> Tensor:
    """Say how many patches each picture has: [B, 3] frames, rows, columns."""
    return torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]]).expand(size, -1)
