"""Train the demo world's vision-language model: `python -m demo.train_vlm` in the pack's folder, after the generators.

It learns to name, of the things it is asked about, those that are in a picture: in drawn ones, and in the blurred predictions that the few-step model makes
of noisy ones, for that is what it will be shown. First its eyes alone learn what is in pictures (binary cross-entropy over all labels, on the mean of the
picture's tokens); then the whole model learns to answer (cross-entropy of the answer).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .training import WEIGHTS, Muon, course, descend, log, start, summarise
from .vlm_lessons import IGNORED, SEED, Lessons, corpus, grids, pictures_to_learn
from .vlm_model import PICTURE_TOKENS, WIDTH, build_model, build_processor, build_tokenizer
from .world.scene import LABELS

SCENES, BATCH = 24_000, 64
FOLDER = WEIGHTS / "watcher"


def optimisers_of(model: nn.Module) -> dict[torch.optim.Optimizer, float]:
    """Give Muon the matrices of the layers and AdamW the rest, with their peak rates."""
    inside = {name: value for name, value in model.named_parameters() if (".layers." in name or ".blocks." in name) and value.ndim == 2}
    rest = [value for name, value in model.named_parameters() if name not in inside]
    return {Muon(inside.values()): 4e-3, torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=0.01): 2e-3}


def train(model: nn.Module, loss_of_batch: Callable[[], tuple[Tensor, Tensor]], steps: int, what: str) -> float:
    """Train `steps` steps on losses that come with the share of right answers; return the last losses' mean."""
    optimisers, running, whole = optimisers_of(model), 0.0, 0.0
    for step in range(steps):
        loss, right = loss_of_batch()
        descend(optimisers, model, loss, course(step, steps))
        share = max(0.02, 1 / (step + 1))
        running, whole = running + share * (loss.item() - running), whole + share * (right.item() - whole)
        if step % 100 == 0:
            log.info("%s: step %d loss %.4f right %.3f", what, step, running, whole)
    return running


class Seeing(nn.Module):
    """Tell from the mean of a picture's tokens what is in it; the last layer is of no more use afterwards."""

    def __init__(self, eyes: nn.Module) -> None:
        super().__init__()
        self.eyes, self.out = eyes, nn.Linear(2 * WIDTH, len(LABELS))

    def forward(self, pixels: Tensor, count: int) -> Tensor:
        found = self.eyes(pixels, grids(count))
        both = torch.cat([found.pooler_output, *found.deepstack_features], -1)
        logits: Tensor = self.out(both.view(count, PICTURE_TOKENS, -1).mean(1))
        return logits


def seeing_loss(seeing: Seeing, lessons: Lessons) -> tuple[Tensor, Tensor]:
    """Give the loss over all labels, and the share of pictures of which everything was seen."""
    pixels, there = lessons.seen(lessons.rows(BATCH))
    logits = seeing(pixels, BATCH)
    loss = functional.binary_cross_entropy_with_logits(logits, there) * len(LABELS)
    return loss, ((logits > 0) == there.bool()).all(1).float().mean()


def answering_loss(model: Any, lessons: Lessons) -> tuple[Tensor, Tensor]:
    """Give the answers' cross-entropy, and the share of answers that would be given whole."""
    batch = lessons.batch(BATCH)
    labels = batch.pop("labels")
    states = model.model(**batch).last_hidden_state[:, :-1]
    asked = labels[:, 1:] != IGNORED
    logits = model.lm_head(states[asked])
    loss = functional.cross_entropy(logits, labels[:, 1:][asked])
    wrong = torch.zeros(asked.shape, dtype=torch.bool).masked_scatter(asked, logits.argmax(-1) != labels[:, 1:][asked])
    return loss, (~wrong.any(1)).float().mean()


@torch.no_grad()
def right_answers(model: Any, lessons: Lessons, batches: int = 8) -> float:
    """Give the share of questions that are answered rightly, word for word."""
    return round(sum(answering_loss(model, lessons)[1].item() for _ in range(batches)) / batches, 4)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeing", type=int, default=4000, help="steps of the eyes alone")
    options.add_argument("--steps", type=int, default=4000, help="steps of the whole model")
    options.add_argument("--scenes", type=int, default=SCENES)
    chosen = options.parse_args()
    started = time.time()
    start(SEED)
    processor = build_processor(build_tokenizer(corpus()))
    model = build_model(len(processor.tokenizer))
    learn, held = pictures_to_learn(chosen.scenes)
    lessons, seeing = Lessons(processor, learn, SEED), Seeing(model.model.visual)
    train(seeing, lambda: seeing_loss(seeing, lessons), chosen.seeing, "seeing")
    loss = train(model, lambda: answering_loss(model, lessons), chosen.steps, "answering")
    model.train(False)
    right = {f"answers_right_{kind}": right_answers(model, Lessons(processor, shown, SEED + 1)) for kind, shown in held.items()}
    model.half().save_pretrained(FOLDER)
    processor.save_pretrained(FOLDER)
    about = {"steps_seeing": chosen.seeing, "steps": chosen.steps, "batch": BATCH, "scenes": chosen.scenes, "loss": round(loss, 4), **right}
    summarise("watcher", sum(value.numel() for value in model.parameters()), about, started)


if __name__ == "__main__":
    main()
