"""Check that a user finds the example workflows where the frontend offers templates, and opens them with a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avert.tests.server import graphs

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSE = "async () => { await window.app.extensionManager.command.execute('Comfy.BrowseTemplates') }"
TYPES = "() => window.app.canvas.graph._nodes.map(node => node.type).sort().join()"


def test_opens_from_the_template_browser(page: Page, thrown: list[str]) -> None:
    """One of them: all are listed and served (tests/server/test_workflows.py), and all open (test_frontend.py)."""
    name = "compare_demo"
    page.evaluate(BROWSE)
    page.get_by_test_id("template-workflows-content").wait_for()
    # The frontend empties the field again when it has read its list.
    page.wait_for_timeout(2000)
    page.get_by_placeholder("Search").last.fill(name)
    card = page.get_by_test_id(f"template-workflow-{name}")
    card.wait_for()
    # Its picture too.
    page.wait_for_function('name => document.querySelector(`[data-testid="template-workflow-${name}"] img`)?.naturalWidth > 0', arg=name)
    card.locator("img").first.click()
    wanted = ",".join(sorted(node["type"] for node in graphs.graph(name)["nodes"]))
    page.wait_for_function(f"wanted => ({TYPES})() === wanted", arg=wanted)
    page.get_by_test_id("template-workflows-content").wait_for(state="hidden")
    assert page.evaluate("() => window.app.canvas.graph._nodes.every(node => node.type in window.LiteGraph.registered_node_types)")
    assert thrown == []
