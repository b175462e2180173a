"""Check the nodes as the host sees them, through the pack's real entry point."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

from tiers import ROOT
from tiny import FACTORIES, conditioning, sample
from tiny_clip import encode, tiny_clip

# The contract that saved workflows rely on: ids, inputs and their order, defaults. Written by hand; a change here breaks users.
CONTRACT: dict[str, dict[str, Any]] = {
    "AvertVSF": {
        "model": None, "negative": None, "scale": 0.94, "offset": -0.6, "start_percent": 0.0, "end_percent": 1.0, "blocks": "", "layout": "paper",
        "preset": "custom", "words_only": False,
    },
    "AvertNAG": {
        "model": None, "negative": None, "nag_scale": 5.0, "nag_tau": 2.5, "nag_alpha": 0.25, "start_percent": 0.0, "end_percent": 1.0, "blocks": "",
        "preset": "custom", "words_only": False,
    },
    "AvertNASA": {"model": None, "negative": None, "scale": 0.15, "start_percent": 0.0, "end_percent": 1.0, "blocks": "", "words_only": False},
    "AvertNegativeGuidance": {"model": None, "negative": None, "negative_scale": 2.0, "reference": "empty", "start_percent": 0.0, "end_percent": 1.0},
    "AvertDNG": {
        "model": None, "negative": None, "scale": 20.0, "prior": 0.01, "temperature": 0.2, "offset": 3.0, "min_posterior": 0.000001,
        "max_posterior": 0.8, "reference": "positive", "start_percent": 0.0, "end_percent": 1.0, "preset": "custom",
    },
    "AvertSLD": {
        "model": None, "negative": None, "guidance_scale": 1000.0, "warmup_steps": 10.0, "threshold": 0.01, "momentum_scale": 0.3, "momentum_beta": 0.4,
        "start_percent": 0.0, "end_percent": 1.0, "preset": "custom",
    },
    "AvertPerpNeg": {"model": None, "negative": None, "negative_scale": 1.0, "start_percent": 0.0, "end_percent": 1.0},
    "AvertNegativePrompt": {"clip": None, "text": None},
    "AvertVLMNegative": {
        "clip": None, "instruction": "safety", "look_for": "", "query_steps": "45, 44, 43, 41, 38, 34, 29, 23, 16, 8 of 50", "mode": "replace",
        "max_phrases": 8, "max_tokens": 48, "temperature": 0.0, "seed": 0, "vlm": None, "vae": None, "examples": None, "example_answers": "", "min_change": 0.0,
        "gate": 0.0, "overlap": True, "replay": "", "max_seconds": 120.0,
    },
    "AvertLoadVLM": {"model_name": None, "device": "default"},
    "AvertAmplify": {"conditioning": None, "empty": None, "amount": 8.0},
    "AvertCompare": {"image_1": None, "image_2": None, "image_3": None, "image_4": None, "captions": "without\nwith", "difference": True},
    "AvertReport": {"model": None, "latent": None},
    "AvertDemoModel": {"variant": "few_step"},
}  # fmt: skip
OUTPUTS = {
    "AvertVSF": ["MODEL"],
    "AvertNAG": ["MODEL"],
    "AvertNASA": ["MODEL"],
    "AvertNegativeGuidance": ["MODEL"],
    "AvertDNG": ["MODEL"],
    "AvertSLD": ["MODEL"],
    "AvertPerpNeg": ["MODEL"],
    "AvertNegativePrompt": ["AVERT_NEGATIVE"],
    "AvertVLMNegative": ["AVERT_NEGATIVE"],
    "AvertLoadVLM": ["AVERT_VLM"],
    "AvertAmplify": ["CONDITIONING,AVERT_NEGATIVE"],
    "AvertCompare": ["IMAGE"],
    "AvertReport": ["LATENT", "IMAGE", "IMAGE", "STRING", "STRING"],
    "AvertDemoModel": ["MODEL", "CLIP", "VAE"],
}
OPTIONAL = {"negative", "start_percent", "end_percent", "blocks", "layout", "reference", "preset", "words_only"}
OPTIONAL |= {"vlm", "vae", "examples", "example_answers", "min_change", "gate", "overlap", "replay", "max_seconds", "device"}
OPTIONAL |= {"image_3", "image_4", "captions", "difference"}


# What people type into the search of the node menu, and a node that they are to find by it.
TYPED = {
    "nag": {"AvertNAG", "AvertVSF"}, "vsf": {"AvertVSF", "AvertNegativePrompt"}, "negpip": {"AvertVSF", "AvertNegativePrompt"},
    "negative prompt cfg 1": {"AvertVSF", "AvertNAG", "AvertNASA", "AvertNegativePrompt"},
    "perp neg": {"AvertPerpNeg"}, "perpneg": {"AvertPerpNeg"},
    "dynamic negative": {"AvertDNG", "AvertVLMNegative"}, "safe latent": {"AvertSLD"}, "vl-dnp": {"AvertVLMNegative", "AvertLoadVLM"},
    "qwen-vl": {"AvertVLMNegative", "AvertLoadVLM"}, "attention map": {"AvertReport"}, "no download": {"AvertDemoModel"},
    "negative prompt": set(CONTRACT) - {"AvertLoadVLM"},
}  # fmt: skip


@pytest.fixture(scope="module")
def pack() -> Iterator[ModuleType]:
    """Import the pack as nodes.load_custom_node does: by its file, under a name made of its path."""
    name = "custom_nodes_avert_under_test"
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
        del sys.modules[loaded]


@pytest.fixture(scope="module")
def nodes(pack: ModuleType) -> dict[str, Any]:
    extension = asyncio.run(pack.comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


def test_entry_point_is_all_there_is(pack: ModuleType) -> None:
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS")
    assert (ROOT / pack.WEB_DIRECTORY / "docs").is_dir()


def test_contract(nodes: dict[str, Any]) -> None:
    assert set(nodes) == set(CONTRACT)
    for name, inputs in CONTRACT.items():
        schema = nodes[name].GET_SCHEMA()
        assert [item.id for item in schema.inputs] == list(inputs), name
        for item in schema.inputs:
            if inputs[item.id] is not None:
                assert item.default == inputs[item.id], f"{name}.{item.id}"
            assert bool(item.optional) == (item.id in OPTIONAL), f"{name}.{item.id}"
            assert item.tooltip and item.tooltip.strip().endswith((".", "off")), f"{name}.{item.id} needs a tooltip"
        assert [output.get_io_type() for output in schema.outputs] == OUTPUTS[name]
        assert schema.category.startswith("Avert") and schema.description
        assert (ROOT / "js" / "docs" / f"{name}.md").is_file()


@pytest.mark.parametrize("typed", TYPED)
def test_search_finds_it(nodes: dict[str, Any], typed: str) -> None:
    """Whoever knows only a method's short name, or the complaint, finds the node."""
    if not hasattr(next(iter(nodes.values())).GET_SCHEMA(), "search_aliases"):
        pytest.skip("this host has no search aliases")
    schemas = {name: node.GET_SCHEMA() for name, node in nodes.items()}
    found = {name for name, one in schemas.items() if typed in "\n".join([one.display_name, *one.search_aliases]).lower()}
    assert found >= TYPED[typed], TYPED[typed] - found
    assert all(len(set(one.search_aliases)) == len(one.search_aliases) >= 4 for one in schemas.values())


def test_execute_takes_what_the_schema_says(nodes: dict[str, Any]) -> None:
    """The Python defaults of optional inputs are those of the schema: API users may leave them out."""
    for name, inputs in CONTRACT.items():
        parameters = inspect.signature(nodes[name].execute).parameters
        assert set(parameters) == set(inputs)
        for key, default in inputs.items():
            if key in OPTIONAL:
                assert parameters[key].default == default


@pytest.mark.parametrize("name", ["AvertVSF", "AvertNAG", "AvertNASA"])
def test_nodes_guide_by_their_defaults(nodes: dict[str, Any], name: str) -> None:
    model, clip = FACTORIES["flux"](), tiny_clip("flux")
    positive = conditioning("flux", 9, 1)
    (negative,) = nodes["AvertNegativePrompt"].execute(clip, "glasses").args
    (stronger,) = nodes["AvertAmplify"].execute(negative, encode(clip, ""), 8.0).args
    numbers = {key: value for key, value in CONTRACT[name].items() if isinstance(value, float) and key not in OPTIONAL}
    plain = sample(model, positive, positive)
    for avoid in (negative, stronger, conditioning("flux", 5), None):
        (patched,) = nodes[name].execute(model, negative=avoid, **numbers).args
        assert (sample(patched, positive, conditioning("flux", 9, 2)) - plain).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize("name", ["AvertNegativeGuidance", "AvertDNG", "AvertSLD", "AvertPerpNeg"])
def test_nodes_on_predictions_guide_by_their_defaults(nodes: dict[str, Any], name: str) -> None:
    model, clip = FACTORIES["sd15"](), tiny_clip("sd1")
    positive, empty = encode(clip, "a face"), encode(clip, "")
    (negative,) = nodes["AvertNegativePrompt"].execute(clip, "glasses").args
    numbers = {key: value for key, value in CONTRACT[name].items() if isinstance(value, float) and key not in OPTIONAL}
    plain = sample(model, positive, empty, 3.0)
    found = [
        sample(nodes[name].execute(model, negative=avoid, **numbers).args[0], positive, empty, 3.0)
        for avoid in (negative, encode(clip, "glasses"))
    ]
    assert (found[0] - plain).norm() > 1e-4 * plain.norm()
    # Outside the attention a negative is encoded as the model was trained: with its padding.
    assert torch.equal(*found)


@pytest.mark.parametrize(("name", "preset"), [("AvertDNG", "SD2 dinner table"), ("AvertSLD", "strong")])
def test_presets_take_the_place_of_the_numbers(nodes: dict[str, Any], name: str, preset: str) -> None:
    from avert.guidance.score import presets

    model, positive, avoid = FACTORIES["sd15"](), conditioning("sd15", 9, 1), conditioning("sd15", 5, 2)
    numbers = {key: value for key, value in CONTRACT[name].items() if isinstance(value, float) and key not in OPTIONAL}
    own = numbers | {"AvertDNG": presets.DNG, "AvertSLD": presets.SLD}[name][preset]
    pictures = [
        sample(nodes[name].execute(model, negative=avoid, **values).args[0], positive, positive, 3.0)
        for values in ({**numbers, "preset": preset}, own, numbers)
    ]
    assert torch.equal(pictures[0], pictures[1]) and not torch.equal(pictures[0], pictures[2])
    with pytest.raises(ValueError, match="There is no preset"):
        nodes[name].execute(model, negative=avoid, **numbers, preset="none such")


def test_report_node(nodes: dict[str, Any]) -> None:
    model, positive = FACTORIES["sd3"](), conditioning("sd3", 9, 1)
    (patched,) = nodes["AvertVSF"].execute(model, 0.94, -0.6, negative=conditioning("sd3", 5, 2)).args
    latent = {"samples": sample(patched, positive, positive)}
    shown = nodes["AvertReport"].PREPARE_CLASS_CLONE(None) if hasattr(nodes["AvertReport"], "PREPARE_CLASS_CLONE") else nodes["AvertReport"]
    out = shown.execute(patched, latent)
    through, plot, maps, text, data = out.args
    assert through is latent and "VSF" in text and '"family": "SD3"' in data
    for picture in (plot, maps):
        assert picture.ndim == 4 and picture.shape[-1] == 3 and picture.dtype == torch.float32 and 0 <= picture.min() <= picture.max() <= 1
    assert out.ui["text"] == (text,) and len(out.ui["images"]) == 1


def test_clip_that_is_not_there(nodes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`clip` is empty"):
        nodes["AvertNegativePrompt"].execute(None, "glasses")


def test_a_host_without_the_node_api_is_told_to_be_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on hosts from before it: the import fails, and the log says what to do."""
    monkeypatch.setitem(sys.modules, "comfy_api.latest", None)
    name = "custom_nodes_avert_on_an_old_host"
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ImportError, match=r"comfy_api.*needs ComfyUI 0\.3\.64 or newer: update ComfyUI"):
        spec.loader.exec_module(module)
    for loaded in [key for key in sys.modules if key.startswith(name + ".")]:
        del sys.modules[loaded]
