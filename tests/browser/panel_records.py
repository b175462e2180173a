"""Records as the server sends them to the panel, small and by hand, and what is done in the page with them."""

from __future__ import annotations

import copy
import io
import uuid
from typing import TYPE_CHECKING, Any

from avert.tests.server import graphs

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NODES = (
    "AvertVSF", "AvertNAG", "AvertNASA", "AvertDNG", "AvertSLD", "AvertPerpNeg", "AvertNegativeGuidance", "AvertVLMNegative",
    "AvertReport",
)  # fmt: skip
HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202egnp.exe\u2066 \x07\x00 \U0001f98a ' + "long " * 2000

ELEMENT = "id => window.app.canvas.graph.getNodeById(id).widgets.find(w => w.name === 'avert_panel').element"
LOADED = {"run": ""}

# The frontend draws in the frame after the next at the latest.
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
SEND = "async details => { const {api} = await import('/scripts/api.js'); for (const [kind, detail] of details) api.dispatchEvent(new CustomEvent(kind, {detail})) }"
LOAD = "async graph => { await window.app.loadGraphData(graph, true, true) }"
# Looks straight at a node, so that its panel is in view.
LOOK = """id => {
    const find = (graph) => graph.getNodeById(id);
    const node = find(window.app.canvas.graph);
    Object.assign(window.app.canvas.ds, {scale: 1, offset: [150 - node.pos[0], 150 - node.pos[1]]});
    window.app.canvas.setDirty(true, true);
}"""


def picture(side: int = 96, noise: bool = False) -> str:
    """Give a JPEG as the data URL that the server sends."""
    import numpy
    from PIL import Image

    grid = numpy.linspace(0, 255, side, dtype=numpy.uint8)
    pixels = numpy.stack(
        [numpy.tile(grid, (side, 1)), numpy.tile(grid[:, None], (1, side)), numpy.full((side, side), 128, numpy.uint8)], -1
    )
    if noise:
        pixels = numpy.random.default_rng(0).integers(0, 255, pixels.shape, dtype=numpy.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return "data:image/jpeg," + "".join(f"%{byte:02X}" for byte in file.getvalue())


def attention(step: int, side: int = 16) -> dict[str, Any]:
    """Give a map whose brightest place moves with the step."""
    values = bytes(255 if at == step else at % 100 for at in range(side * side))
    return {"step": step, "width": side, "height": side, "top": 0.12, "data": values.hex()}


def curve(node: str, text: str, *steps: int) -> dict[str, Any]:
    """Give the curve of a negative in some steps."""
    values = [[step, {"strength": 1 + step / 10, "posterior": 0.4 / (1 + step), "change": 0.02}] for step in steps]
    return {"node": node, "name": "DNG", "text": text, "steps": values}


def saw(node: str, step: int, said: str = "a hat", used: int | None = None, **more: Any) -> dict[str, Any]:
    """Give what a vision-language model was shown and said."""
    entry = {"node": node, "step": step, "sample": 0, "picture": picture(32), "said": said, "kind": "phrases", "seconds": 0.81}
    return {**entry, "used": used, "negative": [said], **more}


def part(node: str, step: int, **more: Any) -> dict[str, Any]:
    """Give the part of a run that tells of one step."""
    known = {"version": 1, "model": "Demo", "total": 8, "nodes": [{"id": node, "name": "VSF", "inside": True}], "picture": picture()}
    return {**known, "steps": [[step, 1 - step / 8, 0.05 - step / 250, 0.02 + step / 100]], "maps": [attention(step)], **more}


def whole(node: str, steps: int = 8, **more: Any) -> dict[str, Any]:
    """Give a whole record, as a report's output has it."""
    parts = [part(node, step) for step in range(steps)]
    lists = {name: [one for each in parts for one in each[name]] for name in ("steps", "maps")}
    return {**parts[-1], **lists, "curves": [], "saw": [], "notes": [], "finished": True, **more}


def send(page: Page, *messages: Any, run: str = "") -> None:
    """Dispatch parts of a run as if the server had sent them, and wait until they are drawn."""
    page.evaluate(SEND, [["avert.run", {"run": run or LOADED["run"], "part": message}] for message in messages])
    page.evaluate(FRAMES)


def load(page: Page, graph: dict[str, Any]) -> None:
    """Open a workflow, and wait until its panels stand. Runs so far have stopped; what is sent next belongs to one of its own."""
    page.evaluate(SEND, [["execution_interrupted", {}]])
    LOADED["run"] = uuid.uuid4().hex
    reopen(page, graph)


def reopen(page: Page, graph: dict[str, Any]) -> None:
    """Open a workflow while the run goes on."""
    page.evaluate(LOAD, graph)
    page.wait_for_timeout(300)
    page.evaluate(FRAMES)


def look(page: Page, node: str) -> None:
    """Bring a node into view."""
    page.evaluate(LOOK, int(node))
    page.wait_for_timeout(300)
    page.evaluate(FRAMES)


def nodes_of(graph: dict[str, Any], kind: str) -> str:
    return str(next(item["id"] for item in graph["nodes"] if item["type"] == kind))


def panel(page: Page, node: str) -> Locator:
    """Give the panel of a node."""
    page.evaluate_handle(ELEMENT, int(node)).as_element().evaluate("(element, id) => element.setAttribute('data-test', id)", node)
    return page.locator(f'.avert-panel[data-test="{node}"]')


def opened(page: Page, name: str = "report_demo", kind: str = "AvertVSF") -> tuple[str, str]:
    """Open a workflow and give the ids of its Avert node and its report, which is in view."""
    graph = copy.deepcopy(graphs.graph(name))
    load(page, graph)
    report = nodes_of(graph, "AvertReport")
    look(page, report)
    return nodes_of(graph, kind), report


def summary(page: Page, node: str) -> str:
    return panel(page, node).locator(".avert-summary").inner_text().replace("\u00a0", " ")
