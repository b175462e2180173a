"""A run's report in words and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from .report import NodeReport, RunReport

# What a score mechanism did, as named in the records and as people read it.
ANSWER_SHOWN = 200
COLUMNS = {"posterior": "posterior", "strength": "strength", "evidence": "evidence, nats", "change": "size of the change"}


def as_json(report: RunReport) -> str:
    """Write everything but the maps; `share` and `change` hold one number per picture of the batch."""
    fields = {name: value for name, value in vars(report).items() if name not in ("maps", "latent", "shown", "picture", "led", "mark")}
    fields["watched"] = report.watched if report.led is None else report.led
    fields["nodes"] = [asdict(node) for node in report.nodes]
    fields["has_attention_map"] = report.maps is not None
    return json.dumps(_finite(fields), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not have by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_text(report: RunReport) -> str:
    """Say what the run did, for people."""
    lines = _head(report)
    if report.steps:
        lines += ["", " step    sigma  blocks   share of attention   size of the change"]
        lines += [_step(step) for step in report.steps]
        lines.append("")
    for curve in report.curves:
        lines += _curve(curve)
    for transcript in report.watched:
        lines += _watched(transcript)
    return "\n".join(lines + _tail(report))


def summary(report: RunReport) -> list[str]:
    """Say the same without the table of steps, for where that is drawn."""
    return _head(report) + _tail(report)


def _head(report: RunReport) -> list[str]:
    lines = [f"{report.family} model" + (f", {report.layers_total} attention blocks with text" if report.layers_total else "")]
    for node in report.nodes:
        lines += _node(node)
    if report.steps:
        lines.append("attention computed by " + ", ".join(report.backends))
    return lines


def _tail(report: RunReport) -> list[str]:
    lines = []
    if report.steps:
        lines.append(f"mean share of attention on the negative: {_mean(report, 'share'):.2%}; mean change: {_mean(report, 'change'):.2%}")
    return lines + _skipped(report) + report.notes


def _node(node: NodeReport) -> list[str]:
    settings = ", ".join(_setting(name, value) for name, value in node.settings.items())
    blocks = "" if not node.inside else "; all blocks" if node.blocks is None else f"; {len(node.blocks)} blocks"
    lines = [f"{node.mechanism}: {settings}; from {node.start_percent:g} to {node.end_percent:g}{blocks}"]
    for negative in node.negatives:
        counts = ", ".join(f"{name} {count}" for name, count in negative["tokens"].items()) or "padding unknown"
        text = f'"{negative["text"]}"' if negative["text"] else "a CONDITIONING"
        if not negative["length"]:
            lines.append(f"  away from {text}")
            continue
        lines.append(f"  away from {text}: {negative['length']} tokens ({counts})")
    return lines


def _setting(name: str, value: Any) -> str:
    """Name what is switched on by its name alone."""
    if value is True:
        return name.replace("_", " ")
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def _step(step: dict[str, Any]) -> str:
    share, change = (" ".join(f"{value:.2%}" for value in step[name]) for name in ("share", "change"))
    return f"{step['step'] + 1:5d} {step['sigma']:8.3f} {step['layers']:7d}   {share:<18}   {change}"


def _curve(curve: dict[str, Any]) -> list[str]:
    """Write a table of what a score mechanism did: a column for each number, and in it one number for each picture of the batch."""
    if not curve["steps"]:
        return []
    names = [name for name in COLUMNS if any(name in step for step in curve["steps"])]
    rows = [
        [f"{step['step'] + 1}", f"{step['sigma']:.3f}"] + [_cell(name, step.get(name, [])) for name in names] for step in curve["steps"]
    ]
    table = [["step", "sigma", *(COLUMNS[name] for name in names)], *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    title = f'{curve["mechanism"]} away from "{curve["negative"]}"' if curve["negative"] else curve["mechanism"]
    return ["", title, *("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table), ""]


def _watched(transcript: dict[str, Any]) -> list[str]:
    """Write what the vision-language model was asked and said."""
    lines = ["", "vision-language model"]
    for entry in transcript["entries"]:
        answer = " ".join(entry["answer"].split())[:ANSWER_SHOWN]
        said = what_came(entry["kind"], answer)
        then = "" if entry["used"] is None else f"; from step {entry['used'] + 1} away from: {', '.join(entry['negative']) or 'nothing'}"
        lines.append(f"  step {entry['asked'] + 1}, picture {entry['picture'] + 1}: {said} ({entry['seconds']:.2f} s){then}")
    return [*lines, ""]


def what_came(kind: str, answer: str) -> str:
    """Say what came back of a question: an answer, one that could not be used, or why there is none."""
    if not answer:
        return kind
    if kind == "failed":
        return f"failed: {answer}"
    return f'said "{answer}"' + ("" if kind in ("phrases", "nothing") else f", {kind}")


def _cell(name: str, values: list[float]) -> str:
    return " ".join("-" if math.isnan(value) else f"{value:.2%}" if name == "change" else f"{value:.4g}" for value in values) or "-"


def _mean(report: RunReport, name: str) -> float:
    values = [value for step in report.steps for value in step[name]]
    return sum(values) / len(values)


def _skipped(report: RunReport) -> list[str]:
    counts: dict[str, int] = {}
    for skip in report.skipped:
        counts[skip["reason"]] = counts.get(skip["reason"], 0) + 1
    return [f"{count} evaluation{'s' if count > 1 else ''} not guided: {reason}" for reason, count in counts.items()]
