"""Make this pack and the host importable for a script, and say where the host lies; for the pack alone the standard library is enough."""

from __future__ import annotations

import logging
import os
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def open_pack() -> None:
    """Make `avert` importable, as the tests do: relative imports work, the pack's own start does not run, and none of its folders shadows the host's."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != ROOT]
    if "avert" not in sys.modules:
        package = types.ModuleType("avert")
        package.__path__ = [str(ROOT)]
        sys.modules["avert"] = package


def default_comfyui() -> Path:
    """Give the ComfyUI that is named in COMFYUI_PATH, or that this pack lies in, or the one in its usual place."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        return Path(named)
    # Not resolved: a pack is often a symbolic link in custom_nodes.
    places = Path(os.path.abspath(__file__)).parent.parent.parent
    return places.parent if places.name == "custom_nodes" else Path("~/comfy/ComfyUI")


def open_host(path: Path) -> None:
    """Make the host and this pack importable, as the tests do."""
    import torch

    open_pack()
    sys.path.insert(0, str(path.expanduser()))
    logging.disable(logging.WARNING)
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True
