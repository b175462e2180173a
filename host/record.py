"""What a run did, collected without waiting for the device, and read once when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..vlm.transcript import Transcript
from .families import Family
from .maps import mean_map, per_sample, whole_pictures
from .negative import Negative
from .report import NodeReport, RunReport, Shown
from .score.curves import Curve, as_record, notes_of
from .watch.source import Watched

if TYPE_CHECKING:
    from .forward import Forward
    from .task import Task


OWN = "the sampler's own negative prompt"
# As it should be, where a vision-language model watches.
NOTHING_SEEN = "nothing to avoid was seen so far"
SEEN = "what the vision-language model sees"
CACHED = "a cache skipped the model"


@dataclass
class Evaluation:
    """Hold one evaluation of the model, on the device: share and change [B], map [B, frames, h, w]."""

    index: int
    sigma: float
    layers: int
    share: Tensor
    change: Tensor
    map: Tensor | None


class Recorder:
    """Collect a run's record. Born with the run; `finish` turns it into a report."""

    def __init__(self, model: str, family: Family | None, with_map: bool) -> None:
        """`model`: its name; `family`: None when nothing is guided inside the attention."""
        self.with_map = with_map
        self._report = RunReport(family.name if family else model, family.layers() if family else 0)
        self._joint = family.joint if family else False
        self._curves: list[Curve] = []
        self._steps = _Steps()
        self._done: list[Evaluation] = []
        self._skipped: list[tuple[int, float, str]] = []
        self._backends: set[str] = set()

    def describe(self, task: Task, negative: Negative, idle: str) -> None:
        """Note a node's settings and its negatives; `idle` says why it does nothing, if so."""
        # What is not set need not be told.
        settings = {name: value for name, value in vars(task.mechanism).items() if value != "" and value is not False}
        if task.window.until_sigma > 0:
            settings["until_sigma"] = task.window.until_sigma
        negatives = [
            {"text": p.text, "length": p.length, "tokens": dict(p.tokens), "padding_known": p.padding_known} for p in negative.prompts
        ]
        negatives += [_named(SEEN)] if isinstance(task.negative, Watched) else []
        window = task.window
        blocks = None if task.layers is None else sorted(task.layers)
        if settings.get("layout") == "released" and not self._joint:
            self._report.notes.append(
                f"{task.mechanism.name}: layout released has no meaning on a {self._report.family} model; paper is used."
            )
        self._report.nodes.append(
            NodeReport(task.mechanism.name, settings, window.start_percent, window.end_percent, blocks, negatives, idle, True, task.node)
        )

    def describe_score(self, task: Task, idle: str) -> None:
        """Note the settings of a node that works on predictions, and its negatives."""
        known = task.negative if isinstance(task.negative, tuple) else ()
        own = SEEN if isinstance(task.negative, Watched) else OWN
        negatives = [_named(one.text) for one in known] if isinstance(task.negative, tuple) else [_named(own)]
        window = task.window
        settings = dict(vars(task.mechanism))
        self._report.nodes.append(
            NodeReport(task.mechanism.name, settings, window.start_percent, window.end_percent, None, negatives, idle, False, task.node)
        )

    def begin(self, total: int) -> None:
        """Note how many steps the solver is to take."""
        self._report.total = total

    def keep_curves(self, curves: Sequence[Curve]) -> None:
        """Keep what remembers the steps of score mechanisms."""
        self._curves = list(curves)

    def keep_watch(self, transcript: Transcript, notes: Sequence[str], shown: Shown) -> None:
        """Keep what a vision-language model was asked, shown, and said."""
        self._report.watched.append(transcript.plain())
        self._report.shown.append(shown)
        self._report.notes += notes

    def evaluate(self) -> None:
        """Note that the sampler asks for an evaluation of the model."""
        self._steps.evaluate()

    def count_steps(self, callback: Callable[..., Any] | None) -> Callable[..., Any]:
        """Wrap the sampler's callback, which comes once per solver step."""

        def counted(step: int, *args: Any, **kwargs: Any) -> Any:
            self._steps.report(step)
            return None if callback is None else callback(step, *args, **kwargs)

        return counted

    def skip(self, sigma: float, reason: str) -> None:
        """Note an evaluation that ran without guidance, and why."""
        self._skipped.append((self._steps.now, sigma, reason))

    def commit(self, sigma: float, forward: Forward) -> None:
        """Keep what one evaluation did."""
        self._backends |= forward.backends
        effects = forward.effects
        if not effects:
            self.skip(sigma, CACHED if not forward.calls else "no block was selected")
            return
        batch = forward.plan.batch
        share = torch.stack([per_sample(effect.share, batch) for effect in effects])
        change = torch.stack([per_sample(effect.change, batch) for effect in effects])
        maps = mean_map(effects, forward.plan.grid, batch) if self.with_map else None
        self._done.append(Evaluation(self._steps.now, sigma, forward.layer, share.mean(0), change.mean(0), maps))
        effects.clear()

    def finish(self, latent: Any) -> RunReport:
        """Read the record back from the device, averaged over the evaluations of each solver step; `latent` None: the run broke off."""
        report = self._report
        report.finished = latent is not None
        report.latent = identify(latent)
        report.backends = sorted(self._backends)
        ordered = self._by_step()
        report.steps = [_step(step, group) for step, group in ordered]
        report.skipped = [{"step": self._steps.of(index), "sigma": sigma, "reason": reason} for index, sigma, reason in self._skipped]
        report.maps = whole_pictures([[e.map for e in group if e.map is not None] for _, group in ordered])
        report.curves = [as_record(curve) for curve in self._curves]
        report.notes += _notes(report) + notes_of(report.curves)
        return report

    def so_far(self, since: int) -> RunReport:
        """Read back what is known of the steps from `since` on, while the run goes on. Waits for the device."""
        ordered = [(step, group) for step, group in self._by_step() if step >= since]
        known = replace(self._report, finished=False, steps=[_step(step, group) for step, group in ordered], notes=[])
        known.maps = whole_pictures([[e.map for e in group if e.map is not None] for _, group in ordered])
        known.curves = [as_record(curve, since) for curve in self._curves]
        return known

    def _by_step(self) -> list[tuple[int, list[Evaluation]]]:
        by_step: dict[int, list[Evaluation]] = {}
        for evaluation in self._done:
            by_step.setdefault(self._steps.of(evaluation.index), []).append(evaluation)
        return sorted(by_step.items())


class _Steps:
    """Tell which solver step an evaluation belongs to.

    Samplers call back once per step, after its first evaluation and before any further ones (k_diffusion/sampling.py), so what was
    evaluated between two callbacks, but for the last of it, still belongs to the earlier step.
    """

    def __init__(self) -> None:
        self.now = -1
        self._step_of: dict[int, int] = {}
        self._last = 0

    def evaluate(self) -> None:
        self.now += 1

    def report(self, step: int) -> None:
        for index in range(len(self._step_of), self.now + 1):
            self._step_of[index] = step if index == self.now else max(step - 1, 0)
        self._last = step

    def of(self, index: int) -> int:
        return self._step_of.get(index, self._last)


def identify(latent: Any) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
    """Give the shape of a latent and a few of its values, spread over it; None for what has none (packed video and audio)."""
    if not isinstance(latent, Tensor):
        return None
    flat = latent.detach().flatten()
    places = ((torch.arange(16, dtype=torch.float64) * 0.6180339887498949) % 1 * flat.numel()).long()
    return tuple(latent.shape), tuple(flat[places.to(flat.device)].float().cpu().tolist())


def _named(text: str) -> dict[str, Any]:
    """Describe a negative of which no more is known than its words."""
    return {"text": text, "length": 0, "tokens": {}, "padding_known": True}


def _mean(values: list[Tensor]) -> list[float]:
    """Average over evaluations, which may lie on several devices."""
    return torch.stack([value.float().cpu() for value in values]).mean(0).tolist()


def _step(step: int, group: list[Evaluation]) -> dict[str, Any]:
    return {
        "step": step,
        "sigma": group[0].sigma,
        "evaluations": len({evaluation.index for evaluation in group}),
        "layers": group[0].layers,
        "share": _mean([e.share for e in group]),
        "change": _mean([e.change for e in group]),
    }


def _taken_whole(settings: Mapping[str, Any]) -> str:
    """Say what it means that nobody knows which of a negative's tokens are words."""
    if settings.get("words_only"):
        return "so it is used whole, with its padding: only Avert Negative Prompt knows which tokens are words."
    return "so its padding is unknown and counts as negative too, even when its text is empty; use Avert Negative Prompt for the cleanest result."


def _notes(report: RunReport) -> list[str]:
    """Say in words what a user should know."""
    notes = []
    for node in report.nodes:
        if node.idle:
            notes.append(f"{node.mechanism} did nothing: {node.idle}.")
        if any(not negative["padding_known"] for negative in node.negatives):
            notes.append(f"{node.mechanism}: the negative is a plain CONDITIONING, " + _taken_whole(node.settings))
    seen_nothing = any(skip["reason"] == NOTHING_SEEN for skip in report.skipped)
    if report.layers_total and not report.steps and not seen_nothing and not any(node.idle for node in report.nodes):
        notes.append(
            "No step was guided: "
            + (report.skipped[0]["reason"] if report.skipped else "the sampler did not evaluate the positive prompt")
            + "."
        )
    if not report.finished:
        notes.append("The run did not finish.")
    return notes
