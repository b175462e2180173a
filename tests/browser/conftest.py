"""Open the real frontend of a real host in the system's Chromium, or skip the tier loudly."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from avert.tests.server.hostserver import HostServer
from avert.tests.server.session import missing_requirement, run_server

from tiers import find_host, no_host_reason, skip_tier

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The frontend opens a default graph last: what is loaded before that would be replaced.
READY = "() => 'AvertVSF' in (window.LiteGraph?.registered_node_types ?? {}) && window.app?.canvas?.graph?._nodes?.length > 0"
READY_SECONDS = 40
# A new user would get a tour; it is not tested here.
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Workflow.ShowMissingModelsWarning": False}

# The first frontends that could draw nodes on the page left out every element that a pack adds to a node.
DOM_ON_PAGE = (1, 30)
# Nodes 2.0: the page draws the nodes, not the canvas.
PAGE_DRAWS = "async on => { await window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on) }"


def _browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _why_not() -> str | None:
    if find_host() is None:
        return no_host_reason()
    if importlib.util.find_spec("playwright") is None:
        return "this Python lacks playwright (pip install playwright; its own browsers are not needed)"
    if _browser() is None:
        return f"no browser found, looked for: {', '.join(BROWSERS)}"
    return missing_requirement()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests when there is no host or no browser."""
    mine = [item for item in items if Path(__file__).parent in Path(str(item.path)).parents]
    reason = _why_not() if mine else None
    if reason is None:
        return
    skip_tier("browser", reason)
    for item in mine:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """Give the running host."""
    yield from run_server(tmp_path_factory.mktemp("browser"))


def _open(tab: Page, url: str) -> None:
    """Load the frontend and wait until it is ready; try once more, since a busy machine can miss the first connection."""
    from playwright.sync_api import TimeoutError as Late

    for last in (False, True):
        try:
            tab.goto(url)
            tab.wait_for_function(READY, timeout=READY_SECONDS * 1000)
            return
        except Late:
            if last:
                raise


@pytest.fixture(scope="module")
def page(server: HostServer) -> Iterator[Page]:
    """Give the frontend, loaded. It reaches this machine only.

    Closed with the module: while it is open its event loop runs, and no other test could run one.
    """
    from playwright.sync_api import sync_playwright

    server.post("/settings", SETTINGS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1600, "height": 1000})
        tab.set_default_timeout(30_000)
        tab.route(lambda url: not url.startswith((server.url, "data:", "blob:")), lambda route: route.abort())
        _open(tab, server.url)
        yield tab
        browser.close()


@pytest.fixture
def thrown(page: Page) -> Iterator[list[str]]:
    """Collect what the page throws during a test, and what the pack complains of. Not from the start on: the older frontend throws at its own start."""
    errors: list[str] = []

    def note(error: object) -> None:
        errors.append(str(error))

    def read(message: ConsoleMessage) -> None:
        ours = message.text.startswith("Avert") or "/extensions/avert/" in message.location["url"]
        if ours and message.type in ("error", "warning"):
            errors.append(message.text)

    page.on("pageerror", note)
    page.on("console", read)
    yield errors
    page.remove_listener("pageerror", note)
    page.remove_listener("console", read)


def _frontend() -> tuple[int, ...]:
    return tuple(int(part) for part in importlib.metadata.version("comfyui_frontend_package").split(".")[:2])


@pytest.fixture(params=["canvas", pytest.param("page", marks=pytest.mark.slow)])
def drawn(page: Page, request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the canvas draw the nodes, or the page (Nodes 2.0)."""
    if request.param == "page" and _frontend() < DOM_ON_PAGE:
        pytest.skip("this frontend's nodes drawn by the page show no panel of any pack: its setting for them is hidden")
    page.evaluate(PAGE_DRAWS, request.param == "page")
    page.wait_for_timeout(500)
    yield request.param
    page.evaluate(PAGE_DRAWS, False)
