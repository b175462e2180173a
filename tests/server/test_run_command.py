"""Run what `run.sh` runs on a machine with ComfyUI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tiers import ROOT


def test_strip_is_drawn_by_the_real_server(host_path: Path, tmp_path: Path) -> None:
    """The strip has a row for each prompt and a column for each way; what was measured is printed, and the report of the run."""
    command = [sys.executable, str(ROOT / "demo" / "first_run.py"), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "COMFYUI_PATH": str(host_path)})
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "strip.png").size == (1210, 830)
    assert "share of attention" in (tmp_path / "report.txt").read_text(encoding="utf-8")
    ways = [line.split()[0] for line in done.stdout.splitlines() if " of 16" in line]
    assert ways == ["Without", "VSF", "NAG", "NASA"]
