"""Run what `run.sh` runs on a machine without ComfyUI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from avert.demo import alone
from avert.demo.seen import Count, count, table, to_tensor
from avert.demo.strip import heat, strip
from PIL import Image


def test_strip_is_made_and_measured(tmp_path: Path) -> None:
    said = alone.make(tmp_path)
    sheet = Image.open(tmp_path / "strip.png")
    assert sheet.width > 1000
    rows = {line.split()[0]: line for line in said.splitlines() if line and line.split()[0] in alone.WAYS}
    assert set(rows) == set(alone.WAYS)
    gone = {name: int(line.split(" of ")[1].split()[-1]) for name, line in rows.items()}
    assert gone["VSF"] >= 2 * max(gone["without"], 1)


def test_judge_counts_what_is_drawn() -> None:
    """Drawn pictures of faces, of which the ground truth is known."""
    import random

    from avert.demo.world.scene import draw, random_scene

    rng = random.Random(7)
    scenes = [random_scene(rng, "face") for _ in range(200)]
    faces = ("a face", "face", "glasses, hat", ("glasses", "hat"))
    found = count(faces, to_tensor([Image.fromarray(draw(scene)) for scene in scenes]))
    bare = sum(not {"glasses", "hat"} & set(scene.parts) for scene in scenes)
    assert found.pictures == 200
    assert found.shown >= 195
    assert abs(found.gone - bare) <= 3


def test_table_and_strip() -> None:
    text = table({"VSF": Count(4, 3, 2) + Count(4, 4, 4)}, {"VSF": 4.0})
    assert "7 of 8" in text
    assert "6 of 8" in text
    assert "0.50" in text
    map_picture = heat(np.arange(64, dtype=np.float32).reshape(8, 8))
    assert map_picture.getpixel((0, 0)) == (13, 8, 60)
    assert strip(["a", "b"], [("row", [map_picture, map_picture])]).size == (610, 230)
