"""Check the example workflows against the running host, and run them on tiny models."""

from __future__ import annotations

import re
from urllib.parse import urlparse

import pytest
from avert.tests.server import graphs, standins
from avert.tests.server.hostserver import HostServer
from avert.tests.server.newer import MODELS, NEWER, has_all, skip_if_too_new

from tiers import find_host

NAMES = graphs.names()
# Each node and its demo workflow.
NODES = {
    "AvertVSF": "vsf_demo", "AvertNAG": "nag_demo", "AvertNASA": "nasa_demo", "AvertNegativeGuidance": "negative_guidance_demo",
    "AvertDNG": "dng_demo", "AvertSLD": "sld_demo", "AvertPerpNeg": "perp_neg_demo", "AvertAmplify": "amplify_demo",
    "AvertNegativePrompt": "negative_prompt_demo", "AvertReport": "report_demo", "AvertDemoModel": "demo_model_demo",
    "AvertVLMNegative": "vlm_negative_demo", "AvertLoadVLM": "vlm_negative_demo",
}  # fmt: skip
# Whoever made a model, or the host's own collection.
TRUSTED = ("Comfy-Org", "stabilityai", "black-forest-labs", "ByteDance", "lightx2v", "Wan-AI", "comfyanonymous", "Lightricks", "Qwen")
LINK = re.compile(r"\]\((https?://[^)]*)\)")


def test_there_is_one_for_each_node() -> None:
    """Every node is shown in some example."""
    used = {body["class_type"] for name in NAMES for body in graphs.api(name).values()}
    assert set(NODES) <= used


@pytest.mark.parametrize("node", NODES)
def test_there_is_a_demo_of_each_node(node: str) -> None:
    """What is named after a node shows it, on the model that comes with the pack, in both forms."""
    name = NODES[node]
    used = {body["class_type"] for body in graphs.api(name).values()}
    assert {node, "AvertDemoModel"} <= used
    assert not any("models" in item["properties"] for item in graphs.graph(name)["nodes"])


def test_host_offers_them_as_templates(server: HostServer) -> None:
    """The template browser lists them under the pack's name, and serves them."""
    listed = server.get("/workflow_templates")
    assert sorted(listed["avert"]) == NAMES
    assert server.get(f"/api/workflow_templates/avert/{NAMES[0]}.json")["version"] == 0.4


def test_list_of_newer_models_is_right(server: HostServer) -> None:
    """Every workflow names the model that it needs; the older host lacks just those on the list, the newer one has all."""
    host = find_host()
    assert host is not None
    source = (host / "comfy" / "supported_models.py").read_text(encoding="utf-8")
    info = server.object_info()
    newer = has_all(info)
    assert sorted([*NEWER, *MODELS]) == [name for name in NAMES if not graphs.is_demo(name)]
    for name, model in {**MODELS, **{name: model for name, (model, _) in NEWER.items()}}.items():
        assert (f"class {model}(" in source) == (newer or name not in NEWER), f"{name}: {model}"
        lacking = {body["class_type"] for body in graphs.api(name).values()} - set(info)
        told = NEWER.get(name, ("", None))[1]
        assert bool(lacking) == (told is not None and not newer), f"{name}: {lacking}"
        assert not lacking or told in lacking, f"{name}: {lacking}"


@pytest.mark.parametrize("name", NAMES)
def test_fits_this_host(server: HostServer, name: str) -> None:
    """Nodes, inputs, values and links exist on this host; the graph form and the API's form say the same."""
    info = server.object_info()
    skip_if_too_new(name, info)
    workflow = graphs.graph(name)
    assert workflow["version"] == 0.4
    prompt = graphs.api(name)
    assert graphs.to_api(workflow, info) == prompt
    for key, body in prompt.items():
        known = graphs.inputs_of(info[body["class_type"]])
        assert {name.split(".")[0] for name in body["inputs"]} <= set(known), f"{body['class_type']} {key}"
        needed = set(info[body["class_type"]]["input"].get("required", {}))
        assert needed <= set(body["inputs"]), f"{body['class_type']} {key}"
        for given, spec in known.items():
            value, allowed = body["inputs"].get(given), graphs.choices(spec)
            # Files, and folders of models, are not on this machine.
            if allowed is not None and value is not None and not str(value).endswith(".safetensors") and given != "model_name":
                assert value in allowed, f"{body['class_type']} {key}: {given}"


@pytest.mark.parametrize("name", NAMES)
def test_sockets_are_those_of_this_host(server: HostServer, name: str) -> None:
    """Each link goes from an output to an input of its kind, both at the place where this host has them."""
    info = server.object_info()
    skip_if_too_new(name, info)
    workflow = graphs.graph(name)
    nodes = {item["id"]: item for item in workflow["nodes"]}
    for item in workflow["nodes"]:
        if item["type"] not in graphs.FRONTEND_ONLY:
            sockets = [key for key, spec in graphs.inputs_of(info[item["type"]]).items() if not graphs.is_widget(spec)]
            assert [slot["name"] for slot in item["inputs"]] == sockets, item["type"]
    for _, source, out, target, into, kind in workflow["links"]:
        given = info[nodes[source]["type"]]["output"][out]
        name_of_socket = nodes[target]["inputs"][into]["name"]
        taken = str(graphs.inputs_of(info[nodes[target]["type"]])[name_of_socket][0])
        assert kind == given
        assert taken == "*" or set(given.split(",")) & set(taken.split(",")), f"{nodes[target]['type']}: {given} into {name_of_socket}"


@pytest.mark.parametrize("name", NAMES)
def test_links_of_the_graph_agree(name: str) -> None:
    """Each link is named by both of its ends, and the counters are right."""
    workflow = graphs.graph(name)
    nodes = {item["id"]: item for item in workflow["nodes"]}
    assert len(nodes) == len(workflow["nodes"])
    assert max(nodes) == workflow["last_node_id"]
    assert max(link[0] for link in workflow["links"]) == workflow["last_link_id"]
    for identity, source, out, target, into, _ in workflow["links"]:
        assert identity in nodes[source]["outputs"][out]["links"]
        assert nodes[target]["inputs"][into]["link"] == identity


@pytest.mark.parametrize("name", NAMES)
def test_note_says_where_the_files_are(name: str) -> None:
    """Every model file stands in the note, and every link goes to its maker or to the host's own collection."""
    workflow = graphs.graph(name)
    note = next(item["widgets_values"][0] for item in workflow["nodes"] if item["type"] == "MarkdownNote")
    models = [model for item in workflow["nodes"] for model in item["properties"].get("models", [])]
    files = {value for body in graphs.api(name).values() for value in body["inputs"].values() if str(value).endswith(".safetensors")}
    assert files == {model["name"] for model in models}
    for model in models:
        assert model["name"] in note
        assert f"`{model['directory']}`" in note
        url = urlparse(model["url"])
        assert (url.scheme, url.hostname) == ("https", "huggingface.co")
        assert url.path.split("/")[1] in TRUSTED
    for link in map(urlparse, LINK.findall(note)):
        assert (link.scheme, link.hostname) == ("https", "huggingface.co")
        assert link.path.split("/")[1] in TRUSTED


@pytest.mark.parametrize("name", NEWER)
def test_note_says_that_it_needs_a_newer_host(name: str) -> None:
    """Who opens it on an older host reads why it does not load."""
    note = next(item["widgets_values"][0] for item in graphs.graph(name)["nodes"] if item["type"] == "MarkdownNote")
    assert "Needs a ComfyUI newer than 0.3.64" in note


@pytest.mark.parametrize("name", NAMES)
def test_has_a_picture(name: str) -> None:
    """The template browser shows a picture of the same name."""
    picture = graphs.WORKFLOWS / f"{name}.jpg"
    assert picture.read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("name", NAMES)
def test_runs_on_tiny_models(server: HostServer, name: str) -> None:
    """The workflow runs to its end on tiny models, and its report says that it guided."""
    skip_if_too_new(name, server.object_info())
    result = server.run(standins.shrink(name))
    assert result.status == "success", result.error
    if name == "demo_model_demo":
        return  # Classic guidance: there is nothing of ours to report.
    texts = [line for output in result.outputs.values() for line in output.get("text", [])]
    # The watcher that comes with the pack knows only the demo world, and need not find anything to avoid elsewhere.
    said = ('said "',) if name.startswith("vlm_") else ("share of attention", "strength")
    assert any(words in text for text in texts for words in said), texts
