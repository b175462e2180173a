"""Measure how well negative prompts work, in the demo world: our small NegGenBench, on the real ComfyUI with the demo's models.

    python benchmarks/negation.py --comfyui ~/comfy/ComfyUI             # everything, to benchmarks/results/ (under 15 minutes on two cores)
    python benchmarks/negation.py --quick                               # a few pairs, with and without VSF
    python benchmarks/negation.py --methods VSF NAG --seeds 1 --out /tmp/try

Pairs of a positive prompt and a negative, which the judge (demo/model/judge.py) looks for in the pictures. negation.md in the results says what
is measured; benchmarks/negbench/methods.py lists the methods.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
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
    parser.add_argument("--seeds", type=int, default=2, help="pictures of each pair")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
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


def main() -> None:
    options, start = options_from_command(), time.perf_counter()
    open_host(options.comfyui)
    from avert.benchmarks.negbench.bench import QUICK_METHODS, measure
    from avert.benchmarks.negbench.methods import chosen
    from avert.benchmarks.negbench.world import World
    from comfyui_version import __version__

    def tell(line: str) -> None:
        print(f"{time.perf_counter() - start:6.1f} s  {line}", flush=True)

    methods = chosen(list(QUICK_METHODS) if options.quick and not options.methods else options.methods)
    results = measure(World(options.weights), methods, 1 if options.quick else options.seeds, options.quick, tell)
    seconds = time.perf_counter() - start
    about = {"host": f"ComfyUI {__version__}", "machine": machine(torch.device("cpu")), "seconds": seconds, "seeds": results.seeds}
    write(results, options.out, about)
    print((options.out / "negation.md").read_text(encoding="utf-8"))
    print(f"{len(results.pairs)} pairs, {len(results.runs)} runs in {seconds:.0f} s; written to {options.out}")


if __name__ == "__main__":
    main()
