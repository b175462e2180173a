"""Collect what the tests found out about models and mechanisms, for the README's support matrix: see tests/support_matrix.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

KEY = "support"
# Of several tests of a cell, variants of a model that a host does not have count least, and failures most.
ORDER = ("", "skipped", "passed", "failed")


def declare(request: pytest.FixtureRequest, model: str, mechanism: str) -> None:
    """Say which cell of the matrix a test decides."""
    request.node.user_properties.append((KEY, (model, mechanism)))


class Collector:
    """Write the outcomes of all tests that decide a cell: a cell is good when all of its tests passed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome != "skipped":
            return
        for key, value in report.user_properties:
            if key == KEY:
                model, mechanism = value
                row = self._found.setdefault(model, {})
                row[mechanism] = max(report.outcome, row.get(mechanism, ""), key=ORDER.index)

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
