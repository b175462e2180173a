"""Train the demo world's vision-language model: `python -m demo.train_vlm` in the pack's folder, after the generators.

It learns to name, of the things it is asked about, those that are in a picture: in drawn ones, and in the blurred predictions that the few-step model makes
of noisy ones, for that is what it will be shown. Asked and told in the pack's own words and order (vlm/instructions.py). Loss: cross-entropy of the answer.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from vlm.instructions import QUESTION, instruction

from .latents import captions, load_autoencoder, scenes_and_latents
from .model.config import MULTIPLIER
from .model.weights import load_few_step
from .training import WEIGHTS, course, log, start, summarise
from .vlm_model import MERGE, PATCH, PICTURE_TOKENS, SIDE, build_model, build_processor, build_tokenizer
from .world.dataset import pictures_of, to_float
from .world.parts import PLURAL
from .world.scene import LABELS, truth, with_article

SCENES, SEED, BATCH, MOST_ASKED, RATE = 12_000, 7_000, 64, 8, 2e-3
FOLDER = WEIGHTS / "watcher"
IGNORED = -100


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


def patches(pictures: Tensor) -> Tensor:
    """Cut pictures [B, 3, 64, 64] in [-1, 1] as the processor does: rows of [channel, 2 frames, 8, 8], in blocks that are merged."""
    count, grid = pictures.shape[0], SIDE // PATCH // MERGE
    blocks = pictures.view(count, 3, grid, MERGE, PATCH, grid, MERGE, PATCH).permute(0, 2, 5, 3, 6, 1, 4, 7)
    return blocks.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(count * (SIDE // PATCH) ** 2, -1)


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


class Lessons:
    """Hold pictures with what is in them, and make batches of questions about them."""

    def __init__(self, processor: Any, pictures: Tensor, present: list[list[str]], seed: int) -> None:
        self._processor, self._pictures, self._present = processor, pictures, present
        self._rng = random.Random(seed)

    def batch(self, size: int) -> dict[str, Tensor]:
        rows = [self._rng.randrange(len(self._present)) for _ in range(size)]
        tokenizer, texts, lengths = self._processor.tokenizer, [], []
        for row in rows:
            present = self._present[row]
            words, answer = asked_and_answer(present, [label for label in LABELS if label not in present], self._rng)
            asked = tokenizer(conversation(self._processor, words), add_special_tokens=False)["input_ids"]
            said = tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
            texts.append(asked + said)
            lengths.append(len(asked))
        width = max(map(len, texts))
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
        place = torch.arange(width)
        labels = ids.masked_fill((mask == 0) | (place < torch.tensor(lengths)[:, None]), IGNORED)
        pixels = patches(to_float(self._pictures[rows]))
        grid = torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]]).expand(size, -1)
        kinds = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": labels,
            "pixel_values": pixels,
            "image_grid_thw": grid,
            "mm_token_type_ids": kinds,
        }


def loss_of(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Give the answers' cross-entropy, and the share of answers that would be given whole."""
    labels = batch.pop("labels")
    logits = model(**batch).logits[:, :-1]
    loss = functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
    right = (logits.argmax(-1) == labels[:, 1:]) | (labels[:, 1:] == IGNORED)
    return loss, right.all(1).float().mean()


def corpus() -> list[str]:
    rng = random.Random(SEED)
    lists = [", ".join(asked_words(label, rng) for label in rng.sample(LABELS, 6)) for _ in range(2000)]
    return [text for words in lists for text in (words, instruction("custom", words).system)] + [
        QUESTION,
        "none",
        "system\nuser\nassistant\n",
    ] * 500


def lessons_of(processor: Any, count: int) -> tuple[Lessons, dict[str, Lessons]]:
    """Give what to learn from, and what to be asked about afterwards: a twentieth of the scenes is held back."""
    scenes, latents = scenes_and_latents(24_000)
    scenes, latents = scenes[:count], latents[:count]
    rng, held = random.Random(SEED), count // 20
    present = [[label for label, there in zip(LABELS, truth(scene), strict=True) if there] for scene in scenes]
    shown = {"drawn": pictures_of(scenes), "predicted": predictions(latents, captions(rng, scenes, list(range(count)), 0.0))}
    learn = Lessons(processor, torch.cat([pictures[held:] for pictures in shown.values()]), 2 * present[held:], SEED)
    return learn, {kind: Lessons(processor, pictures[:held], present[:held], SEED + 1) for kind, pictures in shown.items()}


def learn(model: Any, lessons: Lessons, steps: int) -> float:
    """Train; return the last losses' mean."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
    running, whole = 5.0, 0.0
    for step in range(steps):
        loss, right = loss_of(model, lessons.batch(BATCH))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = RATE * course(step, steps)
        optimiser.step()
        running, whole = running + 0.02 * (loss.item() - running), whole + 0.02 * (right.item() - whole)
        if step % 100 == 0:
            log.info("step %d loss %.4f answers right %.3f", step, running, whole)
    return running


@torch.no_grad()
def right_answers(model: Any, lessons: Lessons, batches: int = 8) -> float:
    """Give the share of questions that are answered rightly, word for word."""
    return round(sum(loss_of(model, lessons.batch(BATCH))[1].item() for _ in range(batches)) / batches, 4)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--scenes", type=int, default=SCENES)
    chosen = options.parse_args()
    started = time.time()
    start(SEED)
    processor = build_processor(build_tokenizer(corpus()))
    model = build_model(len(processor.tokenizer))
    lessons, held = lessons_of(processor, chosen.scenes)
    loss = learn(model, lessons, chosen.steps)
    model.train(False)
    right = {f"answers_right_{kind}": right_answers(model, asked) for kind, asked in held.items()}
    model.half().save_pretrained(FOLDER)
    processor.save_pretrained(FOLDER)
    about = {"steps": chosen.steps, "batch": BATCH, "scenes": chosen.scenes, "loss": round(loss, 4), **right}
    summarise("watcher", sum(value.numel() for value in model.parameters()), about, started)


if __name__ == "__main__":
    main()
