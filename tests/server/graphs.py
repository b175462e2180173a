"""Read the example workflows: the frontend's graph form and the API's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avert.tests.server.prompts import Prompt, node

from tiers import ROOT

WORKFLOWS = ROOT / "workflows"
# Notes and the like exist in the frontend only.
FRONTEND_ONLY = ("MarkdownNote", "Note", "Reroute", "PrimitiveNode")
# The frontend keeps a widget of its own behind these inputs; it is not sent to the host.
WITH_CONTROL = ("seed", "noise_seed")
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
# A choice that brings inputs of its own, which are named behind a dot.
NESTED = "COMFY_DYNAMICCOMBO_V3"


def names() -> list[str]:
    """List the example workflows."""
    return sorted(path.stem for path in WORKFLOWS.glob("*.json"))


def is_demo(name: str) -> bool:
    """Tell a workflow on the model that comes with the pack: it needs no stand-ins."""
    return name.endswith("_demo")


def load(path: Path) -> dict[str, Any]:
    """Read a workflow."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def graph(name: str) -> dict[str, Any]:
    """Read the graph form of a workflow."""
    return load(WORKFLOWS / f"{name}.json")


def api(name: str) -> Prompt:
    """Read the API form of a workflow, without titles."""
    path = WORKFLOWS / "api" / (f"{name}_api.json" if is_demo(name) else f"{name}.json")
    return {key: {k: v for k, v in body.items() if k != "_meta"} for key, body in load(path).items()}


def known_only(prompt: Prompt, info: dict[str, Any]) -> Prompt:
    """Drop what a frontend sends beyond the host's inputs (titles, and the text of a preview)."""
    return {
        key: node(body["class_type"], **{k: v for k, v in body["inputs"].items() if k.split(".")[0] in inputs_of(info[body["class_type"]])})
        for key, body in prompt.items()
    }


def inputs_of(description: dict[str, Any]) -> dict[str, Any]:
    """Give every input of a node, as /object_info describes it, in the frontend's order."""
    return {key: spec for kind in ("required", "optional") for key, spec in description["input"].get(kind, {}).items()}


def is_widget(spec: list[Any]) -> bool:
    """Tell an input with a value of its own from a socket; "FLOAT,INT" is a number, a list is an old combo."""
    return isinstance(spec[0], list) or spec[0] == NESTED or set(spec[0].split(",")) <= set(WIDGET_TYPES)


def choices(spec: list[Any]) -> list[Any] | None:
    """Give what may be chosen; None for what is no choice."""
    if spec[0] == NESTED:
        return [option["key"] for option in spec[1]["options"]]
    return spec[0] if isinstance(spec[0], list) else spec[1].get("options", []) if spec[0] == "COMBO" else None


def _take(inputs: dict[str, Any], values: list[Any], key: str, spec: list[Any]) -> None:
    """Move the values of one input from the widgets to the inputs."""
    inputs[key] = values.pop(0)
    options = spec[1] if len(spec) > 1 else {}
    if options.get("control_after_generate", key in WITH_CONTROL):
        values.pop(0)
    if spec[0] == NESTED:
        chosen = next(option for option in options["options"] if option["key"] == inputs[key])
        for inner, inner_spec in inputs_of({"input": chosen["inputs"]}).items():
            _take(inputs, values, f"{key}.{inner}", inner_spec)


def to_api(workflow: dict[str, Any], info: dict[str, Any]) -> Prompt:
    """Convert the graph form as the frontend does: values by position, links by id."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt: Prompt = {}
    for item in workflow["nodes"]:
        if item["type"] in FRONTEND_ONLY:
            continue
        values, inputs = list(item["widgets_values"]), {}
        for key, spec in inputs_of(info[item["type"]]).items():
            if is_widget(spec):
                _take(inputs, values, key, spec)
        inputs |= {slot["name"]: links[slot["link"]] for slot in item["inputs"] if slot["link"] is not None}
        assert values == [], f"{item['type']} {item['id']}: values left over: {values}"
        prompt[str(item["id"])] = node(item["type"], **inputs)
    return prompt
