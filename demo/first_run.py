"""Run one picture with and without a negative prompt on the real ComfyUI server, with a tiny random model, and keep what came out.

The model knows nothing, so its pictures are noise: what this shows is the whole path, from the workflow to the report, in a minute.
`run.sh` starts it with a Python that has what ComfyUI needs.
"""

from __future__ import annotations

import io
import sys
import tempfile
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "output"


def _open_pack() -> None:
    """Make the pack's test tools importable under its private name, without running its __init__."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    sys.path.insert(0, str(ROOT / "tests"))
    package = types.ModuleType("avert")
    package.__path__ = [str(ROOT)]
    sys.modules["avert"] = package


def _workflow() -> dict[str, Any]:
    """Build SD3 at cfg 1 twice, without and with Avert VSF, and save picture, plot and attention map."""
    from avert.tests.server import prompts

    plain = prompts.text_to_image("sd3", steps=4)
    guided = prompts.with_negative_prompt(plain, "sd3", text="glasses, hat")
    guided = prompts.with_model_node(guided, "vsf", "AvertVSF", negative=["avoid", 0], scale=0.94, offset=-0.6)
    guided = prompts.with_report(guided)
    guided["save_plot"] = prompts.node("SaveImage", images=["report", 1], filename_prefix="plot")
    guided["save_map"] = prompts.node("SaveImage", images=["report", 2], filename_prefix="attention_map")
    shared = {name for name in plain if guided.get(name) == plain[name]}
    renamed = {name: f"plain_{name}" for name in plain if name not in shared}
    for name, node in plain.items():
        if name in renamed:
            inputs = {
                key: [renamed.get(value[0], value[0]), value[1]] if isinstance(value, list) else value
                for key, value in node["inputs"].items()
            }
            guided[renamed[name]] = {**node, "inputs": inputs}
    # Saved twice with the same settings, the two would share a name.
    guided["plain_save"] = prompts.node("SaveImage", images=["plain_decode", 0], filename_prefix="without")
    guided["save"]["inputs"]["filename_prefix"] = "with"
    return guided


def _keep(server: Any, result: Any) -> list[Path]:
    """Fetch the pictures as a browser would, and write them and the report to the output folder."""
    from PIL import Image

    OUTPUT.mkdir(exist_ok=True)
    kept = []
    for image in result.images():
        path = OUTPUT / image["filename"]
        Image.open(io.BytesIO(server.view(image))).save(path)
        kept.append(path)
    report = OUTPUT / "report.txt"
    report.write_text("\n".join(result.outputs["report"]["text"]) + "\n", encoding="utf-8")
    return [*kept, report]


def main() -> int:
    _open_pack()
    from avert.tests.server.session import run_server

    from tiers import find_host

    host = find_host()
    if host is None:
        sys.stderr.write("No ComfyUI found: set COMFYUI_PATH to one.\n")
        return 1
    sys.stdout.write(f"Starting ComfyUI ({host}) with Avert and a tiny random model ...\n")
    with tempfile.TemporaryDirectory() as folder, contextmanager(run_server)(Path(folder)) as server:
        result = server.wait(server.submit(_workflow()))
        if result.status != "success":
            sys.stderr.write(f"The workflow failed: {result.error}\n")
            return 1
        kept = _keep(server, result)
    sys.stdout.write("\n" + kept[-1].read_text(encoding="utf-8") + "\nWritten:\n" + "\n".join(f"  {path}" for path in kept) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
