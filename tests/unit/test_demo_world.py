"""Check the demo world: what it draws is what it says, always the same, and its captions never say "not"."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from avert.demo.model.tokenizer import LENGTH, UNKNOWN, encode
from avert.demo.world import dataset
from avert.demo.world.parts import PARTS
from avert.demo.world.scene import LABELS, Scene, caption, draw, random_scene, truth
from avert.demo.world.things import STYLES, THINGS

MANY = 4000


def scenes(count: int = MANY, seed: int = 1, thing: str | None = None) -> list[Scene]:
    rng = random.Random(seed)
    return [random_scene(rng, thing) for _ in range(count)]


def captions(seed: int = 2) -> list[str]:
    rng = random.Random(seed)
    return [caption(rng, scene) for scene in scenes()]


def test_pictures_are_small_and_repeatable() -> None:
    first, second = dataset.make(8, seed=3), dataset.make(8, seed=3)
    assert first.pictures.shape == (8, 3, 64, 64)
    assert first.captions == second.captions
    assert first.pictures.equal(second.pictures)
    assert not first.pictures.equal(dataset.make(8, seed=4).pictures)


def test_captions_never_negate() -> None:
    words = Counter(word for text in captions() for word in text.replace(",", "").split())
    assert not {"no", "not", "without", "none", "never", "missing"} & set(words)


def test_every_word_is_known_and_every_caption_fits() -> None:
    for text in captions():
        ids = encode(text)
        assert UNKNOWN not in ids, text
        assert len(ids) <= LENGTH - 2, text


@pytest.mark.parametrize("thing", sorted(THINGS))
def test_parts_come_with_their_thing_as_often_as_said(thing: str) -> None:
    drawn = scenes(2000, thing=thing)
    for attached in THINGS[thing].parts:
        possible = [scene for scene in drawn if not attached.needs or attached.needs in scene.parts]
        share = sum(attached.part in scene.parts for scene in possible) / len(possible)
        assert share == pytest.approx(attached.probability, abs=0.03)
    for usual, there in ((THINGS[thing].companion, "companions"), (THINGS[thing].style, "style")):
        if usual:
            assert sum(usual in getattr(scene, there) for scene in drawn) / len(drawn) == pytest.approx(0.9, abs=0.03)


def test_what_usually_comes_along_is_mostly_left_unsaid() -> None:
    rng = random.Random(5)
    drawn = [scene for scene in scenes(thing="house") if "chimney" in scene.parts]
    said = sum("chimney" in caption(rng, scene) for scene in drawn) / len(drawn)
    assert 0.12 < said < 0.3


def test_what_is_unusual_is_always_said() -> None:
    rng = random.Random(7)
    for scene in scenes():
        if scene.thing:
            usual = THINGS[scene.thing].companion
            text = caption(rng, scene)
            assert all(name in text for name in (*scene.strange, *(c for c in scene.companions if c != usual)))


def test_parts_occur_with_other_things_too() -> None:
    """Else the name of a part would say which thing it belongs to. (A house has no room for more.)"""
    drawn = [scene for scene in scenes() if scene.strange]
    assert {scene.thing for scene in drawn} == set(THINGS) - {"house"}
    homes = {name for thing in THINGS.values() for name in (attached.part for attached in thing.parts)}
    assert {name for scene in drawn for name in scene.strange} >= homes - {"roof", "wheels"}
    assert not any(set(scene.strange) & set(scene.parts) for scene in drawn)


def test_captions_are_sentences_and_lists_in_any_order() -> None:
    rng = random.Random(8)
    texts = [caption(rng, scene) for scene in scenes(thing="cat")]
    first = sum("cat" in text.split(",")[0] for text in texts) / len(texts)
    assert 0.6 < first < 0.95
    assert 0.3 < sum("a cat" not in text and " cat " not in text for text in texts) / len(texts) < 0.7


def test_what_is_usual_can_be_made_as_rare_as_not() -> None:
    drawn = [random_scene(random.Random(seed), "face", usual=0.5) for seed in range(1000)]
    assert sum("hat" in scene.parts for scene in drawn) / 1000 == pytest.approx(0.5, abs=0.05)


def test_every_part_and_style_occurs_named_and_on_its_own() -> None:
    rng = random.Random(6)
    alone = [scene for scene in scenes(12_000) if not scene.thing]
    assert {scene.parts[0] for scene in alone} == set(PARTS)
    assert all(scene.parts[0].rstrip("s") in caption(rng, scene) for scene in alone)
    assert {scene.style for scene in alone} == {"", *STYLES}


def test_truth_names_what_is_drawn() -> None:
    for scene in scenes(200):
        assert {name for name, there in zip(LABELS, truth(scene), strict=True) if there} == scene.labels()


def test_a_part_changes_the_picture() -> None:
    """Ground truth is worth nothing if a part were hidden by its thing."""
    for scene in scenes(400):
        for part in (*scene.parts, *scene.strange) if scene.thing else ():
            if any(attached.needs == part for attached in THINGS[scene.thing].parts):
                continue
            less = Scene(
                **{**scene.__dict__, **{kind: tuple(n for n in getattr(scene, kind) if n != part) for kind in ("parts", "strange")}}
            )
            changed = np.abs(draw(scene).astype(int) - draw(less).astype(int)).max(axis=2) > 12
            assert changed.sum() >= 8, (scene.thing, part, scene.style)
