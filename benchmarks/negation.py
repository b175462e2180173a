"""Measure how well negative prompts work, in the demo world: our small NegGenBench, on the real ComfyUI with the demo's models.

    python benchmarks/negation.py --comfyui ~/comfy/ComfyUI             # everything, to benchmarks/results/ (under 15 minutes on two cores)
    python benchmarks/negation.py --quick                               # a few pairs, with and without VSF
    python benchmarks/negation.py --methods VSF NAG --seeds 1 --out /tmp/try
    python benchmarks/negation.py --watched                             # VL-DNP against static negatives that name everything

Pairs of a positive prompt and a negative, which the judge (demo/model/judge.py) looks for in the pictures. negation.md in the results says what
is measured; benchmarks/negbench/methods.py lists the methods.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import machine  # noqa: E402
from model import open_host  # noqa: E402


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    parser.add_argument("--weights", type=Path, help="folder of the demo's weights, if not demo/weights")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="methods or groups of them, as in the table")
    parser.add_argument("--seeds", type=int, help="pictures of each pair (2; watched 1)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--watched", action="store_true", help="compare VL-DNP with static negatives that name everything")
    parser.add_argument("--quick", action="store_true", help="a few pairs, two methods, one seed, no timing")
    return parser.parse_args()


def write(results: Any, out: Path, about: dict[str, Any]) -> None:
    from avert.benchmarks.negbench.plots import write_plot
    from avert.benchmarks.negbench.strip import write_strip
    from avert.benchmarks.negbench.tables import write_json, write_markdown

    out.mkdir(parents=True, exist_ok=True)
    write_json(results, out / "negation.json", about)
    write_markdown(results, out / "negation.md", about)
    write_plot(results.runs, out / "negation.svg")
    write_strip(results, out / "negation_pictures.jpg")


def about_run(start: float, seeds: int) -> dict[str, Any]:
    """Say where and how long it ran."""
    from comfyui_version import __version__

    return {
        "host": f"ComfyUI {__version__}",
        "machine": machine(torch.device("cpu")),
        "seconds": time.perf_counter() - start,
        "seeds": seeds,
    }


def write_watched(results: Any, out: Path, about: dict[str, Any]) -> None:
    from avert.benchmarks.watchbench.tables import write_curves, write_json, write_markdown

    out.mkdir(parents=True, exist_ok=True)
    write_json(results, out / "negation_watched.json", about)
    write_markdown(results, out / "negation_watched.md", about)
    write_curves(results, out / "negation_watched.svg")


def compare_watched(options: argparse.Namespace, tell: Callable[[str], None]) -> Any:
    """Run every prompt under every list, named by a static negative and watched for by the demo's vision-language model."""
    from avert.benchmarks.negbench.world import World
    from avert.benchmarks.watchbench.prompts import rows_of
    from avert.benchmarks.watchbench.run import measure
    from avert.benchmarks.watchbench.ways import WAYS
    from avert.host.transformers_vlm import load_vlm
    from avert.host.vlm_folder import DEMO, model_folder

    ways = [way for way in WAYS if not options.methods or way.name in options.methods]
    return measure(World(options.weights), load_vlm(model_folder(DEMO), "default"), rows_of(options.seeds), ways, tell)


def main() -> None:
    options, start = options_from_command(), time.perf_counter()
    options.seeds = options.seeds or (1 if options.quick or options.watched else 2)
    open_host(options.comfyui)
    if options.watched:
        results = compare_watched(options, lambda line: print(f"{time.perf_counter() - start:6.1f} s  {line}", flush=True))
        write_watched(results, options.out, about_run(start, options.seeds))
        return
    from avert.benchmarks.negbench.bench import QUICK_METHODS, measure
    from avert.benchmarks.negbench.methods import chosen
    from avert.benchmarks.negbench.world import World

    def tell(line: str) -> None:
        print(f"{time.perf_counter() - start:6.1f} s  {line}", flush=True)

    methods = chosen(list(QUICK_METHODS) if options.quick and not options.methods else options.methods)
    results = measure(World(options.weights), methods, options.seeds, options.quick, tell)
    about = about_run(start, results.seeds)
    write(results, options.out, about)
    print((options.out / "negation.md").read_text(encoding="utf-8"))
    print(f"{len(results.pairs)} pairs, {len(results.runs)} runs in {about['seconds']:.0f} s; written to {options.out}")


if __name__ == "__main__":
    main()
