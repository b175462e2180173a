"""Remove one class from a diffusion model of digits: static negative guidance, SLD and DNG, as in the DNG paper's figures 4 and 14.

    pip install scikit-learn
    python benchmarks/class_removal.py              # ten minutes on two cores: class_removal.json, .md and .svg in benchmarks/results/
    python benchmarks/class_removal.py --classes 3 --count 500

A model with its class left open is guided away from one class. Safety: the share of its pictures that a classifier takes for another class. Diversity:
the KL divergence from the other nine classes in equal parts, and the Frechet distance, in the classifier's features, to real pictures of those.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import machine  # noqa: E402


def open_pack() -> None:
    """Let the pack's folders be imported as `avert`, without its nodes, which need a ComfyUI."""
    package = types.ModuleType("avert")
    package.__path__ = [str(ROOT)]
    sys.modules["avert"] = package


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--count", type=int, default=1000, help="pictures of each setting")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--training", type=int, default=6000, help="training steps of the diffusion model")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


def sweep(options: argparse.Namespace) -> dict[str, Any]:
    """Train both models, then run every method at every strength for every class."""
    from avert.benchmarks.removal.digits import load_digits, train_classifier, train_denoiser
    from avert.benchmarks.removal.run import METHODS, STRENGTHS, sample, score

    start = time.perf_counter()
    digits = load_digits()
    classifier, accuracy = train_classifier(digits, min(1500, options.training))
    model = train_denoiser(digits, options.training)
    print(f"trained in {time.perf_counter() - start:.0f} s; the classifier is right about {accuracy:.1%} of new digits", flush=True)
    runs = []
    for unwanted in options.classes:
        for method, strength in [("none", 0.0), *((name, s) for name in METHODS for s in STRENGTHS[name])]:
            found = score(sample(model, method, strength, unwanted, options.count, options.steps), unwanted, classifier, digits)
            runs.append({"class": unwanted, "method": method, "strength": strength, **found._asdict()})
            print(
                f"{unwanted} {method} {strength:g}: safety {found.safety:.3f}, KL {found.divergence:.3f}, distance {found.distance:.2f}",
                flush=True,
            )
    about = {"machine": machine(torch.device("cpu")), "classifier": accuracy, "count": options.count, "steps": options.steps}
    return {"about": {**about, "seconds": time.perf_counter() - start}, "runs": runs}


def main() -> None:
    options = options_from_command()
    open_pack()
    from avert.benchmarks.removal.tables import write_plot, write_table

    results = sweep(options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "class_removal.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_table(results, options.out / "class_removal.md")
    write_plot(results["runs"], options.out / "class_removal.svg")
    print((options.out / "class_removal.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
