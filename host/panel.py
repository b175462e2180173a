"""A run's record as the panel in the browser shows it: plain JSON, a few kilobytes, whole or in parts.

model, total, finished, notes; nodes [{id, name, inside}]; steps [[step, sigma, share, change]]; curves [{node, name, text, steps: [[step, {name: value}]]}];
maps [{step, width, height, top, data}] (bytes as hexadecimal digits; value = byte / 255 * top); picture (a data URL); saw [{node, step, sample, picture, said, kind,
seconds, used, negative}]. Numbers of a batch are averaged; of its pictures the first is shown. Entries of the same step replace earlier ones (js/record.js).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from .report import RunReport, Shown

VERSION = 1
MAP_SIDE = 32
# The host keeps what nodes showed for thousands of runs.
MOST_MAPS = 32
ANSWER_CHARACTERS = 600


def as_panel(report: RunReport) -> dict[str, Any]:
    """Write a whole report, or what is known of a run so far."""
    saw = [entry for transcript, shown in zip(report.watched, report.shown, strict=True) for entry in saw_of(transcript["entries"], shown)]
    return {
        "version": VERSION,
        "model": report.family,
        "total": report.total,
        "nodes": [{"id": node.node, "name": node.mechanism, "inside": node.inside} for node in report.nodes],
        "steps": [[step["step"], short(step["sigma"]), mean(step["share"]), mean(step["change"])] for step in report.steps],
        "curves": [_curve(curve) for curve in report.curves],
        "maps": _maps(report.steps, report.maps),
        "picture": data_url(report.picture),
        "saw": saw,
        "notes": list(report.notes),
        "finished": report.finished,
    }


def saw_of(entries: Iterable[dict[str, Any]], shown: Shown) -> list[dict[str, Any]]:
    """Write what a vision-language model was shown and said; left out is where it was not asked."""
    return [
        {
            "node": shown.node,
            "step": entry["asked"],
            "sample": entry["picture"],
            "picture": data_url(shown.pictures.get((entry["asked"], entry["picture"]), b"")),
            "said": entry["answer"][:ANSWER_CHARACTERS],
            "kind": entry["kind"],
            "seconds": short(entry["seconds"]),
            "used": entry["used"],
            "negative": list(entry["negative"]),
        }
        for entry in entries
        if entry["kind"] not in ("unchanged", "busy")
    ]


def data_url(jpeg: bytes) -> str:
    """Write a JPEG file as an address that a browser shows; "" for none."""
    return "data:image/jpeg," + "".join(f"%{byte:02X}" for byte in jpeg) if jpeg else ""


def short(value: float) -> float | None:
    """Keep four digits; None for what JSON cannot say."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def mean(values: Sequence[float]) -> float | None:
    """Average over a batch, without pictures that had nothing to avoid."""
    known = [value for value in values if math.isfinite(value)]
    return short(sum(known) / len(known)) if known else None


def _curve(curve: dict[str, Any]) -> dict[str, Any]:
    steps = [[step["step"], {name: mean(value) for name, value in step.items() if isinstance(value, list)}] for step in curve["steps"]]
    return {"node": curve["node"], "name": curve["mechanism"], "text": curve["negative"], "steps": steps}


def _maps(steps: list[dict[str, Any]], maps: Tensor | None) -> list[dict[str, Any]]:
    """Write the first picture's map of each step, or of as many as are kept; of a video the mean over its frames."""
    if maps is None:
        return []
    known = list(zip(steps, maps, strict=True))
    # Spread over the run, the last among them.
    chosen = known if len(known) <= MOST_MAPS else [known[(i + 1) * len(known) // MOST_MAPS - 1] for i in range(MOST_MAPS)]
    return [_map(step["step"], one[0].mean(0)) for step, one in chosen]


def _map(step: int, values: Tensor) -> dict[str, Any]:
    longest = max(values.shape)
    if longest > MAP_SIDE:
        size = [max(1, round(side * MAP_SIDE / longest)) for side in values.shape]
        values = interpolate(values[None, None].float(), size=size, mode="area")[0, 0]
    top = float(values.max())
    levels = (values / max(top, 1e-12) * 255).round().clamp(0, 255).byte().cpu().numpy()
    height, width = values.shape
    return {"step": step, "width": width, "height": height, "top": short(top), "data": levels.tobytes().hex()}
