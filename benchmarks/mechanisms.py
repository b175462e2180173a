"""Look for the best form of attention guidance in the demo world, and check what was found where nothing was tuned.

    python benchmarks/mechanisms.py                       # the comparison, to benchmarks/results/mechanisms.md (about 40 minutes on two cores)
    python benchmarks/mechanisms.py --tune                # the search: all forms at all strengths (hours); then the comparison knows their best
    python benchmarks/mechanisms.py --tune --names "contrast" "NAG" --variants few_step
    python benchmarks/mechanisms.py --quick --out /tmp/try

The search takes every second pair of prompts of the first world and noise of its own; the comparison takes the other pairs and other noise, and the second
world (benchmarks/second_world: other things, models trained with another seed), which no choice was made on. benchmarks/mechbench/forms.py lists the forms.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import machine  # noqa: E402
from model import open_host  # noqa: E402

QUICK_EVERY = 19


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    parser.add_argument("--tune", action="store_true", help="search, and write what was found to --tuning")
    parser.add_argument("--tuning", type=Path, default=RESULTS / "mechanisms_tuning.json", help="file of the search's results")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="entries, as in the table (default: all to tune, the finalists to compare)"
    )
    parser.add_argument("--variants", nargs="+", default=["few_step", "guided"], choices=["few_step", "guided"])
    parser.add_argument("--worlds", nargs="+", default=["first", "second"], choices=["first", "second"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a few pairs only, to see that it runs")
    return parser.parse_args()


def main() -> None:
    options, start = options_from_command(), time.perf_counter()
    open_host(options.comfyui)
    from avert.benchmarks.mechbench import entries, plots, search, tables
    from comfyui_version import __version__

    def tell(line: str) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {line}", flush=True)

    every = QUICK_EVERY if options.quick else 1
    options.out.mkdir(parents=True, exist_ok=True)
    if options.tune:
        search.tune(entries.chosen(options.names, entries.ALL), options.variants, options.tuning, every, tell)
        return
    finalists, results = entries.chosen(options.names, entries.FINALISTS), tables.known(options.out / "mechanisms.json")
    for variant in options.variants:
        own = [entry for entry in finalists if variant in entry.variants]
        strengths = {entry.name: search.tuned(options.tuning, entry, variant) for entry in own}
        for world in options.worlds:
            results[world, variant] = search.held_out(own, entries.AGAINST, world, variant, strengths, every, tell)
            about = {
                "host": f"ComfyUI {__version__}",
                "machine": machine(torch.device("cpu")),
                "minutes": (time.perf_counter() - start) / 60,
            }
            tables.write_json(results, options.out / "mechanisms.json", about)
            plots.write_curves(results, options.out / "mechanisms.svg")
            tables.write_markdown(results, options.out / "mechanisms.md", about)
    print((options.out / "mechanisms.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
