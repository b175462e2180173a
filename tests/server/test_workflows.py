"""Check the example workflows against the running host, and run them on tiny models."""

from __future__ import annotations

from urllib.parse import urlparse

import pytest
from avert.tests.server import graphs
from avert.tests.server.hostserver import HostServer

NAMES = graphs.names()
# Each node and its demo workflow.
NODES = {
    "AvertVSF": "vsf_demo", "AvertNAG": "nag_demo", "AvertNASA": "nasa_demo", "AvertNegativeGuidance": "negative_guidance_demo",
    "AvertDNG": "dng_demo", "AvertSLD": "sld_demo", "AvertPerpNeg": "perp_neg_demo", "AvertAmplify": "amplify_demo",
    "AvertNegativePrompt": "negative_prompt_demo", "AvertReport": "report_demo", "AvertDemoModel": "demo_model_demo",
    "AvertVLMNegative": "vlm_negative_demo", "AvertLoadVLM": "vlm_negative_demo",
}  # fmt: skip
# Whoever made a model, or the host's own collection.
TRUSTED = ("Comfy-Org", "stabilityai", "black-forest-labs", "ByteDance", "lightx2v", "Wan-AI", "comfyanonymous")


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


@pytest.mark.parametrize("name", NAMES)
def test_fits_this_host(server: HostServer, name: str) -> None:
    """Nodes, inputs, values and links exist on this host; the graph form and the API's form say the same."""
    info = server.object_info()
    workflow = graphs.graph(name)
    assert workflow["version"] == 0.4
    prompt = graphs.api(name)
    assert graphs.to_api(workflow, info) == prompt
    for key, body in prompt.items():
        known = graphs.inputs_of(info[body["class_type"]])
        assert set(body["inputs"]) <= set(known), f"{body['class_type']} {key}"
        needed = set(info[body["class_type"]]["input"].get("required", {}))
        assert needed <= set(body["inputs"]), f"{body['class_type']} {key}"


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


@pytest.mark.parametrize("name", NAMES)
def test_runs_on_tiny_models(server: HostServer, name: str) -> None:
    """The workflow runs to its end on tiny models, and its report says that it guided."""
    result = server.run(graphs.shrink(name))
    assert result.status == "success", result.error
    if name == "demo_model_demo":
        return  # Classic guidance: there is nothing of ours to report.
    texts = [line for output in result.outputs.values() for line in output.get("text", [])]
    assert any("share of attention" in text or "strength" in text for text in texts), texts
