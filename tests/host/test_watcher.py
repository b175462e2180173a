"""Check the vision-language model that comes with the pack: it sees, and the gate does what it says."""

from __future__ import annotations

import random

import torch
from avert.demo.world.scene import LABELS, draw, random_scene, truth
from avert.host.transformers_vlm import load_vlm
from avert.host.vlm_folder import demo_folder
from avert.vlm.answer import read_answer
from avert.vlm.backend import Query
from avert.vlm.instructions import instruction

WORDS = ("hat", "smoke", "wheels", "flag", "leaves", "apples")


@torch.inference_mode()
def test_it_names_what_it_is_asked_about() -> None:
    """On drawn pictures, with the instruction that the node writes: nine of ten things that are there are named, and of what is named nine of ten are there."""
    rng = random.Random(3)
    scenes = [random_scene(rng) for _ in range(160)]
    drawn = [torch.from_numpy(draw(scene)).float() / 255 for scene in scenes]
    told = load_vlm(demo_folder(), "default").ask(Query(instruction("custom", ", ".join(WORDS)), drawn, (), 48))
    there = [{word for word in WORDS if truth(scene)[LABELS.index(word)]} for scene in scenes]
    named = [set(read_answer(answer).phrases) for answer in told]
    right = sum(len(a & b) for a, b in zip(there, named, strict=True))
    assert sum(map(len, there)) > 60 and set().union(*named) <= set(WORDS)
    assert right > 0.85 * sum(map(len, there)) and right > 0.85 * sum(map(len, named))


@torch.inference_mode()
def test_a_gate_makes_the_watcher_more_careful() -> None:
    """The higher it is, the fewer pictures something is named in; 0 leaves the answers alone."""
    rng = random.Random(4)
    scenes = [random_scene(rng, None, usual=0.5) for _ in range(60)]
    blurred = [torch.from_numpy(draw(scene)).float() / 255 * 0.4 + 0.3 for scene in scenes]
    watcher = load_vlm(demo_folder(), "default")

    def named(gate: float) -> list[bool]:
        asked = Query(instruction("custom", "hat, smoke, wheels, flag, leaves"), blurred, (), 24, gate=gate)
        return [read_answer(answer).kind == "phrases" for answer in watcher.ask(asked)]

    careful, plain, eager = named(0.9), named(0.0), named(0.02)
    assert all(a <= b <= c for a, b, c in zip(careful, plain, eager, strict=True))
    assert sum(careful) < sum(eager)
