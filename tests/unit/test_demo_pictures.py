"""Hold the trained demo world to its promises: sizes, what prompts show, how good the judge is, and that a negative works without a host."""

from __future__ import annotations

import json

import pytest
import torch
from avert.demo.measure_training import load_judge
from avert.demo.model.sampler import Settings, prompt, sample
from avert.demo.model.weights import folder_of_weights, load_autoencoder, load_few_step
from avert.demo.train_judge import blurred
from avert.demo.world import dataset
from avert.demo.world.scene import LABELS, with_article
from avert.demo.world.things import THINGS

EACH = 6


def test_all_weights_together_are_small() -> None:
    files = list(folder_of_weights().glob("*.safetensors"))
    assert {path.stem for path in files} == {"autoencoder", "few_step", "guided", "judge"}
    assert sum(path.stat().st_size for path in files) <= 20_000_000
    # And what watches.
    assert sum(path.stat().st_size for path in (folder_of_weights() / "watcher").iterdir()) <= 2_100_000


def test_training_left_its_summary() -> None:
    summary = json.loads((folder_of_weights() / "training.json").read_text(encoding="utf-8"))
    assert set(summary) == {"autoencoder", "few_step", "guided", "judge", "watcher"}
    assert all(entry["minutes"] > 0 for entry in summary.values())


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 8])
@torch.no_grad()
def test_prompts_show_their_main_thing_at_cfg_1(steps: int) -> None:
    (encoder, model), autoencoder, judge = load_few_step(), load_autoencoder(), load_judge()
    right = 0
    for index, thing in enumerate(THINGS):
        drawn = sample(model, prompt(encoder, with_article(thing)), settings=Settings(steps=steps, seed=index, batch=EACH))
        seen = judge(autoencoder.decode(drawn.latents).clamp(-1, 1))[:, : len(THINGS)].argmax(1)
        right += int((seen == index).sum())
    assert right / (EACH * len(THINGS)) >= 0.95


@pytest.mark.parametrize("disturbed", ["sharp", "blurred", "noisy"])
@torch.no_grad()
def test_judge_is_right_about_what_was_drawn(disturbed: str) -> None:
    """Pictures of a seed that nothing was trained on."""
    scenes = dataset.make(1500, seed=31_337)
    pictures = dataset.to_float(scenes.pictures)
    if disturbed == "blurred":
        pictures = blurred(pictures, 1.0)
    if disturbed == "noisy":
        pictures = (pictures + 0.08 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    logits = torch.cat([load_judge()(part) for part in pictures.split(250)])
    shown = scenes.truth[:, : len(THINGS)].bool().any(1)
    right = logits[shown, : len(THINGS)].argmax(1) == scenes.truth[shown, : len(THINGS)].argmax(1)
    assert right.float().mean() >= 0.99
    assert ((logits > 0) == scenes.truth.bool()).float().mean() >= 0.99
    assert logits.shape[1] == len(LABELS)
