"""Hold what the server tier and the browser tier share: a host with tiny checkpoints, started once."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from avert.tests.server.hostserver import HostServer

from tiers import ROOT, find_host

# What the host itself needs to start; the pack needs nothing more.
REQUIRED = (
    "torch", "torchsde", "safetensors", "aiohttp", "transformers", "sqlalchemy", "alembic", "requests", "PIL", "comfyui_frontend_package",
)  # fmt: skip
MAKER = Path(__file__).with_name("checkpoints.py")
MAKING_SECONDS = 120


def missing_requirement() -> str | None:
    """Say which of the host's requirements this Python lacks."""
    lacking = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    return f"this Python lacks the host's requirements: {', '.join(lacking)}" if lacking else None


def start_making_checkpoints(host: Path, models: Path) -> subprocess.Popen[str]:
    """Start writing the tiny checkpoints in a process of its own: this one must not import the host."""
    command = [sys.executable, str(MAKER), str(host), str(models)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def run_server(base: Path) -> Iterator[HostServer]:
    """Start the host while its checkpoints are written; stop it and remove the checkpoints at the end."""
    host = find_host()
    if host is None:
        raise RuntimeError("no host: the tier should have been skipped")
    server = HostServer(host, base, ROOT)
    making = start_making_checkpoints(host, base / "models")
    try:
        server.start()
        _, complaint = making.communicate(timeout=MAKING_SECONDS)
        if making.returncode != 0:
            raise RuntimeError(f"the tiny checkpoints could not be made:\n{complaint[-4000:]}")
        yield server
    finally:
        making.kill()
        server.stop()
        # 600 MB of weights would stay in pytest's kept folders; the log stays.
        shutil.rmtree(base / "models", ignore_errors=True)
