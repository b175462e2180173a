"""Check the second world: it has nothing of the first, its words are all known to its own models, and what it draws can be seen."""

from __future__ import annotations

import random

import numpy as np
import pytest
from avert.benchmarks.negbench.pairs import related, strangers, unrelated
from avert.benchmarks.negbench.real import draw_all, scenes_of
from avert.demo.model.config import VOCABULARY
from avert.demo.model.tokenizer import LENGTH, UNKNOWN, encode, vocabulary
from avert.demo.model.words import OTHER_WORDS, WORDS
from avert.demo.world.dataset import make
from avert.demo.world.kinds import FIRST, SECOND, kinds_of
from avert.demo.world.scene import Scene, caption, draw, random_scene, truth

MANY = 3000


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = random.Random(1)
    return [random_scene(rng, kinds=SECOND) for _ in range(MANY)]


def test_it_has_nothing_of_the_first() -> None:
    assert not set(FIRST.things) & set(SECOND.things) and not set(FIRST.parts) & set(SECOND.parts)
    assert len(SECOND.things) == len(FIRST.things)
    assert all(kinds_of(name) is SECOND for name in SECOND.things)
    named = {a.part for t in SECOND.things.values() for a in t.parts} | set(SECOND.companions)
    assert named == set(SECOND.parts)


def test_every_word_is_known_and_every_caption_fits(scenes: list[Scene]) -> None:
    rng = random.Random(2)
    for scene in scenes:
        text = caption(rng, scene)
        ids = encode(text, OTHER_WORDS)
        assert UNKNOWN not in ids, text
        assert len(ids) <= LENGTH - 2, text


def test_a_world_knows_its_own_words_alone() -> None:
    assert len(vocabulary(OTHER_WORDS)) <= VOCABULARY and len(set(OTHER_WORDS)) == len(OTHER_WORDS)
    assert encode("a dog with a hat", WORDS).count(UNKNOWN) == encode("a dog with a hat", OTHER_WORDS).count(UNKNOWN) == 1


def test_everything_occurs_and_is_told(scenes: list[Scene]) -> None:
    told = {name for scene in scenes for name in scene.labels()}
    assert told == set(SECOND.labels)
    for scene in scenes[:100]:
        assert {name for name, there in zip(SECOND.labels, truth(scene, SECOND), strict=True) if there} == scene.labels()
    assert make(4, 3, kinds=SECOND).truth.shape == (4, len(SECOND.labels))


def test_a_part_changes_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes[:400]:
        for part in scene.parts if scene.thing else ():
            less = Scene(**{**scene.__dict__, "parts": tuple(name for name in scene.parts if name != part)})
            changed = np.abs(draw(scene).astype(int) - draw(less).astype(int)).max(axis=2) > 12
            assert changed.sum() >= 8, (scene.thing, part, scene.style)


def test_pairs_of_both_worlds_can_be_drawn() -> None:
    for kinds in (FIRST, SECOND):
        pairs = related(kinds)
        assert {pair.thing for pair in pairs} == set(kinds.things)
        assert all(set(pair.targets) <= set(kinds.labels) for pair in (*pairs, *unrelated(kinds)))
        assert len(draw_all([scenes_of(pair, 1, seed=2) for pair in pairs])) >= 2 * len(pairs)


def test_strangers_are_nothing_of_the_thing_itself() -> None:
    pairs = related(SECOND)
    for pair, other in zip(pairs, strangers(pairs), strict=True):
        kind = SECOND.things[pair.thing]
        assert (other.positive, other.number) == (pair.positive, pair.number)
        assert set(other.targets) <= set(SECOND.parts) - {part.part for part in kind.parts} - {kind.companion}
