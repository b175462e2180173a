"""Check the pack in the host's own hands: loaded by its loader, and used together with its own nodes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import nodes as host_nodes
import pytest
import torch

from guided_runs import change, model
from tiers import ROOT
from tiny import latent
from tiny_clip import tiny_clip

IDS = {
    "AvertVSF", "AvertNAG", "AvertNASA", "AvertNegativeGuidance", "AvertDNG", "AvertSLD", "AvertPerpNeg", "AvertNegativePrompt", "AvertVLMNegative",
    "AvertLoadVLM", "AvertAmplify", "AvertReport", "AvertCompare", "AvertDemoModel",
}  # fmt: skip
# The nodes that guide attention, with settings that act.
GUIDES: dict[str, dict[str, Any]] = {
    "AvertVSF": {"scale": 0.94, "offset": -0.6},
    "AvertNAG": {"nag_scale": 5.0, "nag_tau": 2.5, "nag_alpha": 0.25},
    "AvertNASA": {"scale": 0.15},
}


@pytest.fixture(scope="module")
def loaded() -> Iterator[dict[str, Any]]:
    """Load the pack as the host does at its start; afterwards the host is as before."""
    kept = [
        (table, dict(table))
        for table in (host_nodes.NODE_CLASS_MAPPINGS, host_nodes.NODE_DISPLAY_NAME_MAPPINGS, host_nodes.EXTENSION_WEB_DIRS)
    ]
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        assert asyncio.run(host_nodes.load_custom_node(str(ROOT)))
        assert [record.getMessage() for record in records] == []
        yield {name: host_nodes.NODE_CLASS_MAPPINGS[name] for name in IDS}
    finally:
        logging.getLogger().removeHandler(handler)
        for table, entries in kept:
            table.clear()
            table.update(entries)


def test_loader_finds_every_node_and_the_folder_for_the_browser(loaded: dict[str, Any]) -> None:
    new = {name for name in host_nodes.NODE_CLASS_MAPPINGS if name.startswith("Avert")}
    assert new == IDS
    assert all(host_nodes.NODE_DISPLAY_NAME_MAPPINGS[name].startswith("Avert") for name in IDS)
    assert str(ROOT / "js") in host_nodes.EXTENSION_WEB_DIRS.values()


@pytest.mark.parametrize("name", sorted(IDS))
def test_what_the_browser_is_told(loaded: dict[str, Any], name: str) -> None:
    node = loaded[name]
    inputs = node.INPUT_TYPES()
    told = {key: options for kind in ("required", "optional") for key, options in inputs.get(kind, {}).items()}
    assert told
    for key, (_, options) in told.items():
        assert options["tooltip"], key
    info = node.GET_NODE_INFO_V1()
    json.dumps(info)
    assert info["name"] == name
    assert set(info["input"].get("required", {})) | set(info["input"].get("optional", {})) == set(told)
    assert node.FUNCTION
    assert not node.DEPRECATED


def run(node: Any, **inputs: Any) -> tuple:
    """Execute a node as execution.py does: on a clone of its class, by its FUNCTION."""
    clone = node.PREPARE_CLASS_CLONE({})
    return clone.EXECUTE_NORMALIZED(**inputs).result


@pytest.mark.parametrize("name", GUIDES)
def test_workflow_of_nodes(loaded: dict[str, Any], name: str) -> None:
    clip, base = tiny_clip("sd1"), model("sd15")
    encode, sampler = host_nodes.CLIPTextEncode(), host_nodes.KSampler()
    (positive,), (empty,) = (encode.encode(clip, text) for text in ("a woman reads", ""))
    (avoided,) = run(loaded["AvertNegativePrompt"], clip=clip, text="(glasses:1.2)\nhat")
    (stronger,) = run(loaded["AvertAmplify"], conditioning=avoided, empty=empty, amount=1.0)
    start = {"samples": latent("sd15")}
    (plain,) = sampler.sample(base, 3, 2, 1.0, "euler", "simple", positive, empty, start)
    for negative in (avoided, stronger, encode.encode(clip, "glasses")[0]):
        (patched,) = run(loaded[name], model=base, negative=negative, start_percent=0.0, end_percent=1.0, **GUIDES[name])
        (made,) = sampler.sample(patched, 3, 2, 1.0, "euler", "simple", positive, empty, start)
        assert change(plain["samples"], made["samples"]) > 1e-3
        out, plot, maps, text, data = run(loaded["AvertReport"], model=patched, latent=made)
        assert out is made
        assert plot.shape[0] == maps.shape[0] == 1
        assert name.removeprefix("Avert") in text
        assert json.loads(data)["finished"]
    assert torch.equal(plain["samples"], sampler.sample(base, 3, 2, 1.0, "euler", "simple", positive, empty, start)[0]["samples"])


def draw(patched: Any, positive: Any, empty: Any) -> torch.Tensor:
    start = {"samples": latent("sd15")}
    return host_nodes.KSampler().sample(patched, 3, 2, 1.0, "euler", "simple", positive, empty, start)[0]["samples"]


@pytest.mark.parametrize(("name", "preset"), [*((name, "") for name in GUIDES), ("AvertVSF", "auto"), ("AvertNAG", "auto")])
def test_words_only_reaches_the_mechanism(loaded: dict[str, Any], name: str, preset: str) -> None:
    """It is the same as a negative of the words alone; a CONDITIONING is whole either way; left out, it is what the node was before there was the input."""
    clip, base = tiny_clip("sd1"), model("sd15")
    encode = host_nodes.CLIPTextEncode()
    (positive,), (empty,), (plain,) = (encode.encode(clip, text) for text in ("a woman reads", "", "glasses"))
    (avoided,) = run(loaded["AvertNegativePrompt"], clip=clip, text="glasses")
    settings = GUIDES[name] | ({"preset": preset} if preset else {})

    def with_(negative: Any, **words: bool) -> Any:
        patched = run(loaded[name], model=base, negative=negative, **settings, **words)[0]
        return draw(patched, positive, empty)

    words, whole, usual = with_(avoided, words_only=True), with_(avoided, words_only=False), with_(avoided)
    assert change(words, whole) > 1e-4
    assert torch.equal(words, with_(avoided.words(), words_only=False))
    assert torch.equal(usual, whole)
    assert torch.equal(with_(plain, words_only=True), with_(plain, words_only=False))


def test_report_names_words_only(loaded: dict[str, Any]) -> None:
    """By its name alone where it is on, and not at all where it is off."""
    clip, base = tiny_clip("sd1"), model("sd15")
    (positive,) = host_nodes.CLIPTextEncode().encode(clip, "a woman reads")
    (avoided,) = run(loaded["AvertNegativePrompt"], clip=clip, text="glasses")
    for on, line in (
        (True, "VSF: scale 1, offset 0, layout paper, words only; from 0 to 1"),
        (False, "VSF: scale 1, offset 0, layout paper; from 0 to 1"),
    ):
        (patched,) = run(loaded["AvertVSF"], model=base, negative=avoided, scale=1.0, offset=0.0, words_only=on)
        made = {"samples": draw(patched, positive, positive)}
        assert line in run(loaded["AvertReport"], model=patched, latent=made)[3]


def test_zeroed_out_negative_of_the_host_is_refused(loaded: dict[str, Any]) -> None:
    clip = tiny_clip("sd1")
    (positive,) = host_nodes.CLIPTextEncode().encode(clip, "a woman reads")
    (zeroed,) = host_nodes.ConditioningZeroOut().zero_out(positive)
    with pytest.raises(ValueError, match="zeroed out"):
        run(loaded["AvertVSF"], model=model("sd15"), negative=zeroed, scale=1.0, offset=0.0)
    (patched,) = run(loaded["AvertVSF"], model=model("sd15"), scale=1.0, offset=0.0)
    with pytest.raises(ValueError, match="zeroed out"):
        host_nodes.KSampler().sample(patched, 3, 2, 1.0, "euler", "simple", positive, zeroed, {"samples": latent("sd15")})
