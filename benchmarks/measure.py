"""Time several ways of doing one thing side by side: interleaved, medians, ratios, and the memory that each takes at its peak."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

Way = Callable[[], object]


@dataclass
class Result:
    """Hold what was measured of one way: seconds per call, and bytes at the peak over what was there before."""

    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def machine(device: torch.device) -> str:
    """Name what runs this."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, PyTorch {torch.__version__}"
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), name)
    return f"{name}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


def compare(
    ways: dict[str, Way], device: torch.device, rounds: int, warmup: int = 2, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Result]:
    """Run all ways in turns, `rounds` times; every round starts with another one, so that none always follows the same; clock: on the CPU."""
    results = {name: Result() for name in ways}
    for name, way in ways.items():
        for _ in range(warmup):
            way()
        results[name].peak = _peak(way, device)
    _in_turns(ways, results, device, rounds, clock)
    return results


def timed(ways: dict[str, Way], rounds: int) -> dict[str, Result]:
    """Do the same on the CPU, without looking at memory, after one run of each to warm up."""
    results = {name: Result() for name in ways}
    for way in ways.values():
        way()
    _in_turns(ways, results, torch.device("cpu"), rounds, time.perf_counter)
    return results


def _in_turns(ways: dict[str, Way], results: dict[str, Result], device: torch.device, rounds: int, clock: Callable[[], float]) -> None:
    names = list(ways)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            results[name].seconds.append(_seconds(ways[name], device, clock))


def _seconds(way: Way, device: torch.device, clock: Callable[[], float]) -> float:
    if device.type != "cuda":
        start = clock()
        way()
        return clock() - start
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    before.record()
    way()
    after.record()
    torch.cuda.synchronize(device)
    return before.elapsed_time(after) / 1000


def _peak(way: Way, device: torch.device) -> int:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        base = torch.cuda.memory_allocated(device)
        way()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - base
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        way()
    now = highest = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            highest = max(highest, now)
    return highest


def table(title: str, results: dict[str, Result], base: str) -> str:
    """Write the results as a Markdown table; ratios are against `base`, the spread is from the fastest to the slowest tenth."""
    reference = results[base].median
    peaks = any(result.peak for result in results.values())
    lines = [f"**{title}**", "", "| | ms | times plain | spread |" + " peak MiB |" * peaks, "|---|---:|---:|---:|" + "---:|" * peaks]
    for name, result in results.items():
        ordered = sorted(result.seconds)
        tenth = len(ordered) // 10
        spread = f"{1000 * ordered[tenth]:.3g} to {1000 * ordered[-1 - tenth]:.3g}"
        lines.append(
            f"| {name} | {1000 * result.median:.3f} | {result.median / reference:.3f} | {spread} |"
            + f" {result.peak / 2**20:.0f} |" * peaks
        )
    return "\n".join(lines) + "\n"
