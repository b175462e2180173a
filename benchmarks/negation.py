"""Measure how well negative prompts work, in the demo world: our small NegGenBench, on the real ComfyUI with the demo's models.

    python benchmarks/negation.py --comfyui ~/comfy/ComfyUI             # everything, to benchmarks/results/ (under 15 minutes on two cores)
    python benchmarks/negation.py --quick                               # a few pairs, with and without VSF
    python benchmarks/negation.py --methods VSF NAG --seeds 1 --out /tmp/try
    python benchmarks/negation.py --watched                             # VL-DNP against static negatives that name everything

Pairs of a positive prompt and a negative, which the judge (demo/model/judge.py) looks for in the pictures. negation.md in the results says what
is measured; benchmarks/negbench/methods.py lists the methods.

The same with a real model, through your own running ComfyUI, judged by a vision-language model:

    python benchmarks/negation.py --workflow without.json --workflow vsf.json --judge ~/models/Qwen3-VL-8B-Instruct --out negation
    python benchmarks/negation.py --workflow vsf.json --limit 20        # only make pictures, of 20 of the pairs; judge them later

Each --workflow, saved by "Export (API)" with %positive% and %negative% where the prompts stand, becomes a row of the table (one without %negative% shows
how it is without). Every seed in it is set. All pictures are made first, then all are judged; stop it at any time: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from pack import default_comfyui, open_host, open_pack  # noqa: E402


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=default_comfyui(), help="folder of ComfyUI (%(default)s)")
    parser.add_argument("--weights", type=Path, help="folder of the demo's weights, if not demo/weights")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="methods or groups of them, as in the table")
    parser.add_argument("--seeds", type=int, help="pictures of each pair (2; watched and with --workflow 1)")
    parser.add_argument("--out", type=Path, help="folder to write to (benchmarks/results; with --workflow output/negation)")
    parser.add_argument("--watched", action="store_true", help="compare VL-DNP with static negatives that name everything")
    parser.add_argument("--quick", action="store_true", help="a few pairs, two methods, one seed, no timing")
    add_harness(parser.add_argument_group("with a real model, through your own running ComfyUI"))
    options = parser.parse_args()
    if not options.workflow and (options.judge or options.limit):
        parser.error("--judge and --limit need --workflow")
    if options.workflow and (options.methods or options.watched or options.quick):
        parser.error("--methods, --watched and --quick belong to the demo world's benchmark, not to --workflow")
    return options


def add_harness(group: Any) -> None:
    """Add the options of benchmarks/harness."""
    group.add_argument(
        "--workflow", type=Path, action="append", metavar="FILE", help='"Export (API)" of a workflow; several: one table row each'
    )
    group.add_argument(
        "--pairs", type=Path, default=ROOT / "benchmarks" / "pairs.csv", metavar="FILE", help="CSV of the pairs (%(default)s)"
    )
    group.add_argument("--judge", metavar="FOLDER", help='vision-language model in safetensors form, or "Avert demo" for the demo world')
    group.add_argument("--ask", choices=("questions", "naming"), default="questions",
                       help="ask the judge the questions of the pairs, or to name what it sees of what they name (%(default)s)")  # fmt: skip
    group.add_argument("--judge-device", choices=("default", "cpu"), default="default", help="where the judge runs (%(default)s)")
    group.add_argument("--server", default="http://127.0.0.1:8188", metavar="ADDRESS", help="your ComfyUI (%(default)s)")
    group.add_argument("--limit", type=int, metavar="N", help="only N of the pairs, from all over the file, always the same ones")
    group.add_argument("--contact", type=int, default=24, metavar="N", help="pairs on the contact sheet (%(default)s)")


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
    import torch
    from comfyui_version import __version__
    from measure import machine

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


def run_harness(options: argparse.Namespace) -> int:
    """Compare the user's own workflows."""
    for stream in (sys.stdout, sys.stderr):
        # A console may lack letters of the user's own words.
        stream.reconfigure(errors="replace")
    open_pack()
    from avert.benchmarks.harness.command import run

    return run(options, options.comfyui, options.out or ROOT / "output" / "negation", lambda line: print(line, flush=True))


def main() -> None:
    options, start = options_from_command(), time.perf_counter()
    if options.workflow:
        raise SystemExit(run_harness(options))
    options.out = options.out or ROOT / "benchmarks" / "results"
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
