"""Compare whole sampling runs with and without a negative, on ComfyUI's own models with random weights at their real width.

    python benchmarks/model.py --comfyui ~/comfy/ComfyUI                     # a GPU: all blocks, 1024x1024, 8 steps
    python benchmarks/model.py --comfyui ~/comfy/ComfyUI --model flux --blocks 2 --size 512 --steps 2   # what a CPU can do
    python benchmarks/model.py --comfyui ~/comfy/ComfyUI --model all --blocks 1 --size 384 --steps 1    # the most used, to results/model.md

plain: cfg 1. VSF, NAG, NASA: ours at cfg 1. cfg 3: the classic negative prompt. Of a single model also, at cfg 3 with one prediction more each: negative
guidance, DNG, SLD, Perp-Neg; and ComfyUI's own NAG node, which needs cfg above 1 and runs on Flux only. Random weights take as long as trained ones.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import Result, compare, machine, table  # noqa: E402
from model_build import empty_latent, obstacle, prompt, with_weights  # noqa: E402
from model_configs import MODELS, MOST_USED, Model  # noqa: E402
from pack import open_host  # noqa: E402

PLAIN = "plain, cfg 1"
NOTE = (
    "the negative has 12 tokens. Small pictures and few blocks make it look dearer than it is: its tokens are a larger part of the sequence, and layers "
    "that go over the text alone a larger part of the model."
)


@dataclass
class Outcome:
    """Hold a model's results, or why there are none."""

    model: Model
    results: dict[str, Result] = field(default_factory=dict)
    skipped: str = ""


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    parser.add_argument("--model", choices=[*MODELS, "all"], default="sd35")
    parser.add_argument("--blocks", type=int, help="use only so many blocks of each kind")
    parser.add_argument("--size", type=int, help="side of the picture in pixels")
    parser.add_argument("--frames", type=int, help="frames of a video")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=float, help="do not build models whose weights take more GiB")
    parser.add_argument("--cpu-time", action="store_true", help="count the processor's seconds of one thread, where other programs run too")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    options.blocks = options.blocks or (None if cuda else 2)
    options.size = options.size or (1024 if cuda else 512)
    options.steps = options.steps or (8 if cuda else 1)
    options.memory = options.memory or (0.9 * torch.cuda.get_device_properties(0).total_memory / 2**30 if cuda else 6.5)
    return options


def core_nag(model: Any) -> Any | None:
    """Patch the model with ComfyUI's own NAG node, if this host has it."""
    try:
        from comfy_extras.nodes_nag import NAGuidance
    except ImportError:
        return None
    return NAGuidance.execute(model, 5.0, 0.25, 2.5)[0]


def frames_of(model: Model, options: argparse.Namespace) -> int:
    return options.frames or (model.frames[torch.cuda.is_available()] if model.frames else 1)


def runs(model: Model, options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """List the ways of sampling; all share one model."""
    import comfy.sample
    from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
    from avert.host.guide import guide, guide_score

    patcher = with_weights(model, options.blocks)
    classic = model.tokens if model.filled else model.negative
    positive, unwanted, negative = (prompt(model, length, seed) for seed, length in enumerate((model.tokens, classic, model.negative), 1))
    latent = empty_latent(model.latent(options.size, frames_of(model, options)))
    noise = comfy.sample.prepare_noise(latent, 0)

    def sample(patched: Any, cfg: float) -> Callable[[], object]:
        return lambda: comfy.sample.sample(
            patched, noise, options.steps, cfg, "euler", "simple", positive, unwanted, latent, disable_pbar=True, seed=0
        )  # fmt: skip

    mechanisms = (ValueSignFlip(0.94, -0.6), NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.5))
    guided = {mechanism.name: sample(guide(patcher, mechanism, negative, (0, 1), ""), 1.0) for mechanism in mechanisms}
    ways = {PLAIN: sample(patcher, 1.0), **guided, "cfg 3": sample(patcher, 3.0)}
    if options.model == "all":
        return ways
    ways |= {f"{rule.name}, cfg 3": sample(guide_score(patcher, rule, unwanted, (0, 1)), 3.0) for rule in on_predictions()}
    other = core_nag(patcher) if options.model == "flux" else None
    return ways | ({"ComfyUI's own NAG node, cfg 3": sample(other, 3.0)} if other is not None else {})


def on_predictions() -> tuple[Any, ...]:
    from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
    from avert.guidance.score.perp_neg import PerpendicularGuidance
    from avert.guidance.score.sld import SafeLatentDiffusion

    return (
        NegativeGuidance(2.0, "positive"), DynamicNegativeGuidance(20.0, 0.01, 0.2, 3.0, 1e-6, 0.8),
        SafeLatentDiffusion(1000.0, 0, 0.01, 0.3, 0.4), PerpendicularGuidance(1.0),
    )  # fmt: skip


def measured(model: Model, options: argparse.Namespace, device: torch.device) -> Outcome:
    """Build the model, measure all ways, and free it."""
    import comfy.model_management

    reason = obstacle(model, options.blocks, options.memory)
    if reason:
        return Outcome(model, skipped=reason)
    results = compare(
        runs(model, options), device, options.rounds, warmup=1, clock=time.process_time if options.cpu_time else time.perf_counter
    )
    comfy.model_management.unload_all_models()
    gc.collect()
    comfy.model_management.soft_empty_cache()
    return Outcome(model, results)


def details(outcome: Outcome, options: argparse.Namespace) -> str:
    frames = f", {frames_of(outcome.model, options)} frames" if outcome.model.frames else ""
    return table(f"{outcome.model.title}, {conditions(options)}{frames}", outcome.results, PLAIN)


def conditions(options: argparse.Namespace) -> str:
    blocks = "all blocks" if options.blocks is None else f"{options.blocks} block{'s' * (options.blocks > 1)} of each kind"
    steps = f"{options.steps} step{'s' * (options.steps > 1)}"
    return f"{blocks}, {options.size}x{options.size}, {steps}" + ", processor time" * options.cpu_time


def summary(outcomes: list[Outcome], options: argparse.Namespace) -> str:
    """Write one line per model: ratios to plain."""
    names = list(next((outcome.results for outcome in outcomes if outcome.results), {}))
    lines = [f"| | tokens: image, text | {PLAIN}, ms | {' | '.join(names[1:])} |", "|---|---:|---:|" + "---:|" * len(names[1:])]
    for outcome in outcomes:
        model, results = outcome.model, outcome.results
        if results:
            plain = results[PLAIN].median
            ratios = " | ".join(f"{results[name].median / plain:.3f}" for name in names[1:])
            tokens = f"{model.image_tokens(options.size, frames_of(model, options))}, {model.tokens}"
            lines.append(f"| {model.title} | {tokens} | {1000 * plain:.0f} | {ratios} |")
    skipped = [f"{outcome.model.title} was left out: {outcome.skipped}" for outcome in outcomes if outcome.skipped]
    return "\n".join([*lines, *("\n" + line for line in skipped)]) + "\n"


def write(outcomes: list[Outcome], options: argparse.Namespace, device: torch.device) -> None:
    """Write the table of all models, and the times that it comes from."""
    title = f"{machine(device)}, {conditions(options)}, random weights, median of {options.rounds} interleaved runs"
    tables = [details(outcome, options) for outcome in outcomes if outcome.results]
    text = "\n".join([f"# What a negative costs, times a run without one\n\n{title}; {NOTE}\n", summary(outcomes, options), *tables])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "model.md").write_text(text, encoding="utf-8")
    print(summary(outcomes, options))


def main() -> None:
    options = options_from_command()
    if options.cpu_time:
        torch.set_num_threads(1)
    open_host(options.comfyui)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.model != "all":
        outcome = measured(MODELS[options.model], options, device)
        if outcome.skipped:
            raise SystemExit(outcome.skipped)
        print(f"{machine(device)}, median of {options.rounds}\n\n{details(outcome, options)}")
        return
    outcomes = []
    for name in MOST_USED:
        outcomes.append(measured(MODELS[name], options, device))
        print(outcomes[-1].skipped or details(outcomes[-1], options), flush=True)
    write(outcomes, options, device)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
