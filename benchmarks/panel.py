"""Measure what the live panel costs: whole runs of the demo world's few-step model with a browser that listens, and without.

    python benchmarks/panel.py --comfyui ~/comfy/ComfyUI

The messages go into the queue of ComfyUI's own server object. The demo model is the worst case: its steps take some hundredths of a second, those of large
models a hundred times as long, and a message goes out at most five times in a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import machine, table, timed  # noqa: E402
from model import open_host  # noqa: E402

STEPS, BATCH = 200, 4
NOBODY, LISTENS = "report in the workflow, nobody listens", "report in the workflow, a browser listens"


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


def open_server() -> Any:
    """Make the host's server object, which runs a workflow with a report."""
    import execution

    import server

    instance = server.PromptServer(asyncio.new_event_loop())
    instance.prompt_queue = execution.PromptQueue(instance)
    instance.prompt_queue.currently_running = {0: (0, "id", {"1": {"class_type": "AvertReport", "inputs": {}}})}
    instance.sockets["browser"] = None
    return instance


def ways(server: Any) -> dict[str, Callable[[], object]]:
    """List the ways of sampling."""
    import comfy.sample
    from avert.guidance.attention.mechanism import ValueSignFlip
    from avert.host.demo import load_demo
    from avert.host.encode import encode_line
    from avert.host.guide import guide
    from avert.host.negative import Negative

    model, clip, _ = load_demo("few_step")
    positive, empty = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("a tree", ""))
    guided = guide(model, ValueSignFlip(0.8, 0.0), Negative(tuple(encode_line(clip, "apples"))), (0, 1), "")
    latent = torch.zeros(BATCH, 16, 8, 8)
    noise = comfy.sample.prepare_noise(latent, 0)

    def run(client: str | None) -> Callable[[], object]:
        def sample() -> object:
            server.client_id = client
            return comfy.sample.sample(guided, noise, STEPS, 1.0, "euler", "simple", positive, empty, latent, disable_pbar=True, seed=0)

        return sample

    return {NOBODY: run(None), LISTENS: run("browser")}


def main() -> None:
    options = options_from_command()
    open_host(options.comfyui)
    results = timed(ways(open_server()), options.rounds)
    title = f"The live panel, {STEPS} steps of a batch of {BATCH} on the demo model, median of {options.rounds} interleaved runs"
    text = f"# What the panel costs\n\n{machine(torch.device('cpu'))}, made by `benchmarks/panel.py`.\n\n{table(title, results, NOBODY)}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "panel.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
