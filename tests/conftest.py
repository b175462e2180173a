"""Make `avert.guidance...` importable without running the pack's __init__, and say which tiers ran."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from support import Collector
from tiers import ROOT, find_host, summarise


def _register_package() -> None:
    """Register an empty package `avert` whose path is the repository: relative imports work, the real __init__ never runs."""
    package = types.ModuleType("avert")
    package.__path__ = [str(ROOT)]
    sys.modules["avert"] = package


def _hide_root() -> None:
    """Take the repository off sys.path: its `nodes` and `host` would shadow modules of the host."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != ROOT]


_hide_root()
_register_package()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--support", type=Path, help="write to this JSON file what works for which model (see tests/support_matrix.py)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--support"):
        config.pluginmanager.register(Collector(config.getoption("--support")), "support")


@pytest.fixture(scope="session")
def host_path() -> Path:
    """Give the folder of the host, or skip."""
    path = find_host()
    if path is None:
        pytest.skip("no ComfyUI found")
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tiers ran and which were skipped, and why."""
    terminalreporter.section("tiers", sep="=", bold=True)
    for line in summarise(terminalreporter.stats):
        terminalreporter.write_line(line, yellow="SKIPPED" in line, bold="SKIPPED" in line)
