"""Put a real ComfyUI on sys.path, on the CPU, before any test of this tier is imported; else skip the tier."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tiers import find_host, no_host_reason, skip_reason, skip_tier


def _import_host(path: Path) -> None:
    """Import the host as `--cpu --use-pytorch-cross-attention` would.

    The host reads sys.argv only after comfy.options.enable_args_parsing() (main.py), so the arguments are set on
    comfy.cli_args before comfy.model_management, which reads them at import.
    """
    # First on the path: the host has top-level modules with common names (nodes, utils, app, server).
    sys.path.insert(0, str(path))
    args = importlib.import_module("comfy.cli_args").args
    args.cpu = True
    args.use_pytorch_cross_attention = True
    for name in ("comfy.model_management", "comfy.samplers", "comfy.sample", "comfy.supported_models", "comfy.sd"):
        importlib.import_module(name)
    # Tiny models spend their time waiting for threads, fifty times as much of it on a busy machine.
    importlib.import_module("torch").set_num_threads(1)


def _prepare() -> None:
    path = find_host()
    if path is None:
        skip_tier("host", no_host_reason())
        return
    try:
        _import_host(path)
    except (ImportError, OSError) as error:
        sys.path.remove(str(path))
        skip_tier("host", f"{path} cannot be imported ({error}); install its requirements into this Python")


_prepare()


class _SkippedModule(pytest.Module):
    """Stand for a test file that is not imported because there is no host."""

    def collect(self) -> list:
        raise pytest.skip.Exception(skip_reason("host") or "", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Replace every test file of this tier by a skip when there is no host."""
    if skip_reason("host") is None:
        return None
    return _SkippedModule.from_parent(parent, path=module_path)


def pytest_runtest_logfinish() -> None:
    """Let the host forget models that a failed test's traceback keeps alive: it would collect all garbage at every load of all tests to come."""
    management = sys.modules.get("comfy.model_management")
    if management is not None:
        management.current_loaded_models[:] = [model for model in management.current_loaded_models if not model.is_dead()]


@pytest.fixture(scope="session")
def host_version() -> str:
    """Give the version of the host, e.g. "0.33.0"."""
    return importlib.import_module("comfyui_version").__version__


@pytest.fixture(scope="session")
def demo_worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give (MODEL, CLIP, VAE) of both variants of the demo model, with random weights."""
    from avert.host.demo import load_demo

    folder = importlib.import_module("demo_weights").write_weights(tmp_path_factory.mktemp("weights"), seed=50)
    return {variant: load_demo(variant, folder) for variant in ("few_step", "guided")}


@pytest.fixture(params=["vsf", "nag", "static", "dng"])
def watched_case(request: pytest.FixtureRequest, demo_worlds: dict[str, Any]) -> tuple[Any, Any, float]:
    """Give a demo model, a mechanism for it, and a cfg."""
    runs = importlib.import_module("watched_runs")
    inside = request.param in runs.INSIDE
    return demo_worlds["few_step" if inside else "guided"], runs.ALL[request.param], 1.0 if inside else 3.0


@pytest.fixture(scope="session")
def vlm_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that the tiny vision-language models are written to."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(params=["qwen2.5-vl", "qwen3-vl", "gemma3", "smolvlm"])
def vlm(request: pytest.FixtureRequest, vlm_models: Path) -> Any:
    """Give a back end with a tiny random vision-language model of each kind, loaded anew."""
    return importlib.import_module("tiny_vlms").load(request.param, vlm_models)
