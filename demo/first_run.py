"""See it work: draw four prompts without guidance and with VSF, NAG and NASA, on a tiny model that comes with the pack.

`run.sh` starts it with a Python that has what is needed. With a ComfyUI it queues `workflows/compare_demo` on the real server; without one
our own sampler does the same with the same guidance.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _open_pack() -> None:
    """Make the pack importable under its private name, without running its __init__, and the test tools beside it."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in (ROOT, ROOT / "demo")]
    sys.path.insert(0, str(ROOT / "tests"))
    package = types.ModuleType("avert")
    package.__path__ = [str(ROOT)]
    sys.modules["avert"] = package


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--output", type=Path, default=ROOT / "output", help="folder for the pictures")
    output = options.parse_args().output
    _open_pack()
    from tiers import find_host

    host = find_host()
    if host is None:
        from avert.demo import alone

        sys.stdout.write("No ComfyUI found (set COMFYUI_PATH to one): drawing with Avert's own sampler ...\n")
        sys.stdout.write(f"\n{alone.make(output)}\n")
        return 0
    from avert.demo import on_server

    sys.stdout.write(f"Starting ComfyUI ({host}) with Avert and its demo model ...\n")
    try:
        sys.stdout.write(f"\n{on_server.make(output)}\n")
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
