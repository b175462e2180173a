"""Measure what watching costs: a vision-language model of fixed latency on another device, over whole runs of the demo world's guided model.

    python benchmarks/vl_dnp.py --comfyui ~/comfy/ComfyUI

The model is simulated: it waits and answers. One answer takes as long as 7.4 steps with a negative, as in the VL-DNP paper (29.7 s with ten
questions against 12.0 s without, 50 steps: 1.77 s each, against 0.24 s). Waiting costs no computing, as on another device. The pictures are decoded with
the VAE, the answer never changes, and the sampler is DPM++ 2M with 50 steps, as there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import machine, table, timed  # noqa: E402
from model import open_host  # noqa: E402

STEPS, CFG, BATCH, LATENCY = 50, 3.0, 1, 7.4
PROMPT, ANSWER = "a castle on the grass", "a flag"
STATIC = "static negative guidance"


class Slow:
    """Answer after a while."""

    name, takes_examples, has_gate = "simulated", True, False

    def __init__(self, seconds: float, elsewhere: bool) -> None:
        self.seconds, self.elsewhere = seconds, elsewhere

    def forget(self) -> None:
        pass

    def ask(self, query: Any) -> list[str]:
        time.sleep(self.seconds)
        return [ANSWER] * len(query.pictures)


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


class Run:
    """Sample one way, and note of each run how many questions were answered, and in which step the first answer acted (from 1; 0: in none)."""

    def __init__(self, model: Any, sample: Callable[[Any], object]) -> None:
        self._model, self._sample = model, sample
        self.answered: list[int] = []
        self.first: list[int] = []

    def __call__(self) -> None:
        from avert.host.install import last_report

        self._sample(self._model)
        for transcript in last_report(self._model).watched if self._model.get_attachment("avert") else ():
            entries = [entry for entry in transcript["entries"] if entry["kind"] in ("phrases", "nothing")]
            self.answered.append(len(entries))
            self.first.append(min((entry["used"] + 1 for entry in entries if entry["used"] is not None), default=0))


def ways(seconds: float | None = None) -> dict[str, Run]:
    """List the ways of sampling; `seconds`: of an answer (None: only those that ask nobody)."""
    import comfy.sample
    from avert.guidance.score.combine import NegativeGuidance
    from avert.host.demo import load_demo
    from avert.host.guide import guide_score
    from avert.host.watch.source import Watched
    from avert.vlm.instructions import instruction
    from avert.vlm.schedule import PAPER

    model, clip, vae = load_demo("guided")
    encoded = {text: clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (PROMPT, "", ANSWER)}
    noise, latent = torch.randn(BATCH, 16, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(BATCH, 16, 8, 8)

    def sample(guided: Any) -> object:
        prompts = encoded[PROMPT], encoded[""]
        return comfy.sample.sample(guided, noise, STEPS, CFG, "dpmpp_2m", "simple", *prompts, latent, disable_pbar=True, seed=0)

    def run(negative: Any) -> Run:
        return Run(model if negative is None else guide_score(model, NegativeGuidance(2.0), negative, (0.0, 1.0)), sample)

    def watched(query_steps: str, min_change: float = 0.0, overlap: bool = False) -> Run:
        assert seconds is not None
        told = instruction("custom", ANSWER)
        return run(Watched(clip, Slow(seconds, overlap), vae, told, (), query_steps, "replace", 8, 48, 0.0, 0, min_change, 0.0, overlap))

    found = {"no negative": run(None), STATIC: run(encoded[ANSWER])}
    if seconds is not None:
        found |= {
            "every step": watched("every"), "the paper's ten steps": watched(PAPER), "the paper's, if it changed by 0.1": watched(PAPER, 0.1),
            "every step, overlapped": watched("every", overlap=True), "the paper's, overlapped": watched(PAPER, overlap=True),
        }  # fmt: skip
    return found


def asked(runs: dict[str, Run]) -> str:
    """Write what the time bought: medians over the runs."""
    lines = ["| | questions answered | first answer acts in step |", "|---|---:|---:|"]
    for name, run in runs.items():
        if run.answered:
            lines.append(f"| {name} | {statistics.median(run.answered):g} | {statistics.median(run.first):g} |")
    return "\n".join(lines) + "\n"


@torch.inference_mode()
def main() -> None:
    options = options_from_command()
    open_host(options.comfyui)
    static = timed(ways(), 5)[STATIC].median
    latency = LATENCY * static / STEPS
    runs = ways(latency)
    results = timed(runs, options.rounds)
    about = f"{STEPS} steps of DPM++ 2M, one picture, one answer {1000 * latency:.0f} ms; {machine(torch.device('cpu'))}"
    cost = table(about, results, STATIC).replace("times plain", "times static")
    text = f"# What watching costs\n\n{cost}\n{asked(runs)}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "vl_dnp.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
