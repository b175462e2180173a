"""What a run did, collected without waiting for the device, and read once when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..guidance.attention.streams import Effect
from .families import Family, Grid
from .negative import Negative

if TYPE_CHECKING:
    from .forward import Forward
    from .task import Task


@dataclass
class Evaluation:
    """Hold one evaluation of the model, on the device: share and change [layers, B], map [B, frames, h, w]."""

    step: int
    sigma: float
    layers: int
    share: Tensor
    change: Tensor
    map: Tensor | None


@dataclass
class NodeReport:
    """Describe one node of the run."""

    mechanism: str
    settings: dict[str, Any]
    start_percent: float
    end_percent: float
    blocks: list[int] | None
    negatives: list[dict[str, Any]]
    idle: str


@dataclass
class RunReport:
    """Hold what a finished run did; plain numbers but for the maps, float32 [steps, B, frames, h, w] on the CPU (None: not asked for)."""

    family: str
    layers_total: int
    finished: bool = False
    nodes: list[NodeReport] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    backends: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    maps: Tensor | None = None


class Recorder:
    """Collect a run's record. Born with the run; `finish` turns it into a report."""

    def __init__(self, family: Family, with_map: bool) -> None:
        self.with_map = with_map
        self._report = RunReport(family.name, family.layers())
        self._joint = family.joint
        self._step = 0
        self._done: list[Evaluation] = []
        self._backends: set[str] = set()
        self._unseen = 0

    def describe(self, task: Task, negative: Negative, idle: str) -> None:
        """Note a node's settings and its negatives; `idle` says why it does nothing, if so."""
        settings = dict(vars(task.mechanism))
        negatives = [
            {"text": p.text, "length": p.length, "tokens": dict(p.tokens), "padding_known": p.padding_known} for p in negative.prompts
        ]
        window = task.window
        blocks = None if task.layers is None else sorted(task.layers)
        if settings.get("layout") == "released" and not self._joint:
            self._report.notes.append(
                f"{task.mechanism.name}: layout released has no meaning on a {self._report.family} model; paper is used."
            )
        self._report.nodes.append(
            NodeReport(task.mechanism.name, settings, window.start_percent, window.end_percent, blocks, negatives, idle)
        )

    def count_steps(self, callback: Callable[..., Any] | None) -> Callable[..., Any]:
        """Wrap the sampler's callback, which comes once per solver step."""

        def counted(step: int, *args: Any, **kwargs: Any) -> Any:
            self._step = step + 1
            return None if callback is None else callback(step, *args, **kwargs)

        return counted

    def skip(self, sigma: float, reason: str) -> None:
        """Note an evaluation that ran without guidance, and why."""
        self._report.skipped.append({"step": self._step, "sigma": sigma, "reason": reason})

    def commit(self, sigma: float, forward: Forward) -> None:
        """Keep what one evaluation did."""
        self._backends |= forward.backends
        effects = forward.effects
        if not effects:
            self.skip(sigma, "a cache skipped the model" if not forward.calls else "no block was selected")
            return
        batch = forward.plan.batch
        share = torch.stack([_per_sample(effect.share, batch) for effect in effects])
        change = torch.stack([_per_sample(effect.change, batch) for effect in effects])
        maps = _mean_map(effects, forward.plan.grid, batch) if self.with_map else None
        self._done.append(Evaluation(self._step, sigma, forward.layer, share.mean(0), change.mean(0), maps))

    def finish(self, completed: bool) -> RunReport:
        """Read the record back from the device, averaged over the evaluations of each solver step."""
        report = self._report
        report.finished = completed
        report.backends = sorted(self._backends)
        by_step: dict[int, list[Evaluation]] = {}
        for evaluation in self._done:
            by_step.setdefault(evaluation.step, []).append(evaluation)
        maps = []
        for step, group in sorted(by_step.items()):
            report.steps.append(
                {
                    "step": step,
                    "sigma": group[0].sigma,
                    "evaluations": len(group),
                    "layers": group[0].layers,
                    "share": torch.stack([e.share for e in group]).mean(0).float().cpu().tolist(),
                    "change": torch.stack([e.change for e in group]).mean(0).float().cpu().tolist(),
                }
            )
            maps += [torch.stack([e.map for e in group if e.map is not None]).mean(0).float().cpu()] if self.with_map else []
        report.maps = torch.stack(maps) if maps and all(m.shape == maps[0].shape for m in maps) else None
        report.notes += _notes(report)
        return report


def _per_sample(value: Tensor, batch: int) -> Tensor:
    """Average over conditionings (areas): [conditionings * B] -> [B]."""
    return value.view(-1, batch).mean(0)


def _mean_map(effects: list[Effect], grid: Grid, batch: int) -> Tensor:
    """Average the maps of all layers on the finest grid: [B, frames, h, w]."""
    total: Tensor | None = None
    for effect in effects:
        assert effect.map is not None
        levels = _unfold(effect.map, grid)
        if levels.shape[-2:] != (grid.height, grid.width):
            levels = torch.nn.functional.interpolate(levels, size=(grid.height, grid.width), mode="nearest")
        levels = levels.view(-1, batch, *levels.shape[1:]).mean(0)
        total = levels if total is None else total + levels
    assert total is not None
    return total / len(effects)


def _unfold(flat: Tensor, grid: Grid) -> Tensor:
    """Shape [rows, tokens] as [rows, frames, h, w]; a UNet's coarser levels halve each side, rounding up."""
    height, width = grid.height, grid.width
    while grid.frames * height * width > flat.shape[1]:
        height, width = (height + 1) // 2, (width + 1) // 2
    if grid.frames * height * width != flat.shape[1]:
        # Other nodes may merge or tile tokens; their places are not known then, only their mean.
        return flat.mean(dim=1)[:, None, None, None].expand(-1, grid.frames, 1, 1)
    return flat.view(-1, grid.frames, height, width)


def _notes(report: RunReport) -> list[str]:
    """Say in words what a user should know."""
    notes = []
    for node in report.nodes:
        if node.idle:
            notes.append(f"{node.mechanism} did nothing: {node.idle}.")
        if any(not negative["padding_known"] for negative in node.negatives):
            notes.append(
                f"{node.mechanism}: the negative is a plain CONDITIONING, so its padding is unknown and counts as negative too; "
                "use Avert Negative Prompt for the cleanest result."
            )
    if not report.steps and not any(node.idle for node in report.nodes):
        notes.append(
            "No step was guided: "
            + (report.skipped[0]["reason"] if report.skipped else "the sampler did not evaluate the positive prompt")
            + "."
        )
    if not report.finished:
        notes.append("The run did not finish.")
    return notes
