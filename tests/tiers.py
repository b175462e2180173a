"""Know the tiers of the tests: where a host is, which tiers ran, and why others did not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIERS = ("unit", "host", "server", "browser")

_skipped: dict[str, str] = {}


def host_candidates() -> list[tuple[str, Path]]:
    """List (where it comes from, path) of the places in which a ComfyUI may lie, best first."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        # A path that was asked for is never replaced by another: a wrong one must not test a different host.
        return [("COMFYUI_PATH", Path(named).expanduser())]
    places = []
    # Not resolved: a pack is often a symbolic link in custom_nodes.
    here = Path(os.path.abspath(__file__)).parent.parent
    for pack in (here, Path(os.path.abspath(os.getcwd()))):
        if pack.parent.name == "custom_nodes":
            places.append(("the custom_nodes folder above the pack", pack.parent.parent))
    places.append(("the default place", Path("~/comfy/ComfyUI").expanduser()))
    return places


def find_host() -> Path | None:
    """Return the folder of the ComfyUI to test on, or None."""
    for _, path in host_candidates():
        if (path / "comfy" / "model_base.py").is_file():
            return path.resolve()
    return None


def no_host_reason() -> str:
    """Say where a host was looked for."""
    looked = ", ".join(f"{path} ({source})" for source, path in host_candidates())
    return f"no ComfyUI found; looked in: {looked}; set COMFYUI_PATH"


def skip_tier(tier: str, reason: str) -> None:
    """Record that a whole tier cannot run; the terminal summary says so."""
    _skipped[tier] = reason


def skip_reason(tier: str) -> str | None:
    """Return why a tier cannot run, or None when it can."""
    return _skipped.get(tier)


def summarise(stats: dict[str, Iterable]) -> list[str]:
    """Give one line per tier from pytest's reports (their node ids start with the tier)."""
    counts: dict[str, dict[str, int]] = {tier: {} for tier in TIERS}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in stats.get(outcome, ()):
            tier = str(getattr(report, "nodeid", "")).replace("\\", "/").split("/", 1)[0]
            if tier in counts:
                counts[tier][outcome] = counts[tier].get(outcome, 0) + 1
    lines = []
    for tier in TIERS:
        if tier in _skipped:
            lines.append(f"{tier:8} SKIPPED  {_skipped[tier]}")
        elif counts[tier]:
            lines.append(f"{tier:8} ran      " + ", ".join(f"{n} {outcome}" for outcome, n in counts[tier].items()))
        else:
            lines.append(f"{tier:8} not run  (not selected)")
    return lines
