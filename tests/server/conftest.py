"""Start one real host for the whole session, with tiny checkpoints, or skip the tier loudly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from avert.tests.server.hostserver import HostServer
from avert.tests.server.session import missing_requirement, run_server

from tiers import find_host, no_host_reason, skip_tier


def _why_not() -> str | None:
    return no_host_reason() if find_host() is None else missing_requirement()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests when there is no host that could run."""
    mine = [item for item in items if Path(__file__).parent in Path(str(item.path)).parents]
    reason = _why_not() if mine else None
    if reason is None:
        return
    skip_tier("server", reason)
    for item in mine:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """Give the running host."""
    yield from run_server(tmp_path_factory.mktemp("host"))
