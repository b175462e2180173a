"""Check the record that the browser's panel shows, and the same drawn without a browser."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import torch
from avert.host.install import last_report
from avert.host.panel import MAP_SIDE, MOST_MAPS, as_panel
from avert.host.report import NodeReport, RunReport
from avert.host.report_film import FRAME_HEIGHT, MOST_FRAMES, frames
from avert.host.report_picture import draw_plot
from PIL import Image

from watched_runs import VSF, Script, guided, picture, watched

NAN = float("nan")


def report(**fields: Any) -> RunReport:
    nodes = [NodeReport("VSF", {}, 0.0, 1.0, None, [], "", True, "12")]
    return RunReport("Flux", 4, True, nodes, total=3, **fields)


def step(number: int, share: list[float], change: list[float]) -> dict[str, Any]:
    return {"step": number, "sigma": 0.5, "evaluations": 1, "layers": 4, "share": share, "change": change}


def test_numbers_of_a_batch_are_averaged_and_what_is_no_number_is_left_out() -> None:
    record = as_panel(report(steps=[step(0, [0.1, 0.3], [NAN, 0.5]), step(1, [NAN], [0.123456])]))
    assert record["steps"] == [[0, 0.5, 0.2, 0.5], [1, 0.5, None, 0.1235]]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["nodes"] == [{"id": "12", "name": "VSF", "inside": True}] and record["total"] == 3


def test_a_map_is_the_first_pictures_and_says_how_large_its_largest_value_is() -> None:
    maps = torch.zeros(1, 2, 1, 3, 4)
    maps[0, 0, 0, 1, 2], maps[0, 0, 0, 2, 3], maps[0, 1] = 0.5, 0.25, 0.9
    (one,) = as_panel(report(steps=[step(5, [0.1], [0.1])], maps=maps))["maps"]
    values = np.frombuffer(bytes.fromhex(one["data"]), np.uint8).reshape(one["height"], one["width"]) / 255 * one["top"]
    assert one["step"] == 5 and np.abs(values - maps[0, 0, 0].numpy()).max() < 0.5 / 255


def test_large_maps_are_shrunk_without_losing_their_shape_or_mean() -> None:
    maps = torch.rand(1, 1, 5, 128, 64, generator=torch.Generator().manual_seed(1))
    (one,) = as_panel(report(steps=[step(0, [0.1], [0.1])], maps=maps))["maps"]
    values = np.frombuffer(bytes.fromhex(one["data"]), np.uint8) / 255 * one["top"]
    assert (one["height"], one["width"]) == (MAP_SIDE, MAP_SIDE // 2)
    assert abs(values.mean() - float(maps.mean())) < 0.01


def test_of_many_steps_some_maps_are_kept_up_to_the_last() -> None:
    steps = [step(number, [0.1], [0.1]) for number in range(100)]
    kept = [one["step"] for one in as_panel(report(steps=steps, maps=torch.rand(100, 1, 1, 2, 2)))["maps"]]
    assert len(kept) == MOST_MAPS == len(set(kept)) and kept == sorted(kept) and kept[-1] == 99


def test_what_was_seen_and_said_is_in_the_record_and_in_the_plot(demo_worlds: dict[str, Any]) -> None:
    world = demo_worlds["few_step"]
    model = guided(world, VSF, watched(world, Script(["a hat"], ["none"]), node="15"))
    picture(model, world, 1.0)
    found = last_report(model)
    first, second = as_panel(found)["saw"]
    assert (first["node"], first["said"], first["negative"], first["kind"]) == ("15", "a hat", ["hat"], "phrases")
    assert (second["said"], second["negative"], second["kind"]) == ("none", [], "nothing") and first["used"] == first["step"] + 1
    seen = Image.open(BytesIO(unquote_to_bytes(first["picture"].split(",", 1)[1])))
    assert seen.format == "JPEG" and max(seen.size) <= 96
    with_film, found.watched, found.shown = draw_plot(found).height, [], []
    assert with_film == draw_plot(found).height + 2 * FRAME_HEIGHT


def test_a_replayed_run_shows_no_pictures_but_its_words(demo_worlds: dict[str, Any]) -> None:
    from watched_runs import transcript_of

    world = demo_worlds["few_step"]
    model = guided(world, VSF, watched(world, Script(["a hat"], ["none"])))
    picture(model, world, 1.0)
    again = guided(world, VSF, watched(world, None, replay=(transcript_of(model),)))
    picture(again, world, 1.0)
    assert [entry["picture"] for entry in as_panel(last_report(again))["saw"]] == ["", ""]
    assert 'said "a hat"' in frames(last_report(again))[0].lines


def test_hostile_and_endless_answers_are_drawn_as_a_few_plain_lines() -> None:
    entry = {"asked": 1, "picture": 0, "kind": "phrases", "answer": "\u202e<script>\x00" + "x" * 10_000, "seconds": 1.0, "used": 2}
    entries = [{**entry, "negative": ["y" * 5000], "asked": number} for number in range(50)]
    from avert.host.report import Shown

    found = report(watched=[{"entries": entries}], shown=[Shown()])
    assert len(frames(found)) == MOST_FRAMES
    assert all(len(frame.lines) <= 6 and all(len(line) <= 100 and line.isprintable() for line in frame.lines) for frame in frames(found))
    assert draw_plot(found).height > MOST_FRAMES * FRAME_HEIGHT
    assert len(as_panel(found)["saw"][0]["said"]) <= 600
