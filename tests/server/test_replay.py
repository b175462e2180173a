"""Check that a picture that a vision-language model watched over can be made again from what is saved in it, without one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from avert.tests.server import graphs
from avert.tests.server.hostserver import HostServer, Result, decode
from PIL import Image


def run(server: HostServer, prompt: dict[str, Any]) -> Result:
    """Queue a prompt as the frontend does, which sends what is to be saved in pictures along."""
    answer = server.post("/prompt", {"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": {}}}})
    result = server.wait(str(answer["prompt_id"]))
    assert result.status == "success", result.error
    return result


def node(prompt: dict[str, Any], class_type: str) -> dict[str, Any]:
    return next(body for body in prompt.values() if body["class_type"] == class_type)


def guided_picture(server: HostServer, result: Result) -> bytes:
    return server.view(next(image for image in result.images() if "without" not in image["filename"]))


def test_a_saved_picture_is_made_again_without_the_model(server: HostServer) -> None:
    prompt = graphs.api("vlm_negative_demo")
    first = guided_picture(server, run(server, prompt))
    saved = Image.open(io.BytesIO(first)).info["avert"]
    said = json.loads(saved)["watched"][0]["entries"]
    assert any("apples" in entry["negative"] for entry in said)
    again = json.loads(json.dumps(prompt))
    watcher = node(again, "AvertVLMNegative")["inputs"]
    del watcher["vlm"]
    watcher["replay"] = saved
    loader = next(key for key, body in again.items() if body["class_type"] == "AvertLoadVLM")
    del again[loader]
    second = guided_picture(server, run(server, again))
    assert numpy.array_equal(decode(first), decode(second))
    # Without the negative it is another one.
    node(again, "AvertVSF")["inputs"]["scale"] = 0.0
    assert not numpy.array_equal(decode(first), decode(guided_picture(server, run(server, again))))


def said_in(picture: bytes) -> str:
    return str(Image.open(io.BytesIO(picture)).info["avert"])


def two_passes() -> dict[str, Any]:
    """Sample, enlarge the latent, and sample again with the same model; only the end is reported."""
    prompt = graphs.api("vlm_negative_demo")
    first = prompt["9"]["inputs"]
    prompt["6"]["inputs"]["batch_size"] = 1
    prompt["4"]["inputs"]["query_steps"] = "every 2"
    prompt["20"] = {"class_type": "LatentUpscaleBy", "inputs": {"samples": ["9", 0], "upscale_method": "nearest-exact", "scale_by": 1.5}}
    prompt["21"] = {"class_type": "KSampler", "inputs": {**first, "latent_image": ["20", 0], "denoise": 0.8}}
    prompt["13"]["inputs"]["latent"] = ["21", 0]
    return prompt


def replayed(prompt: dict[str, Any], saved: str) -> dict[str, Any]:
    again: dict[str, Any] = json.loads(json.dumps(prompt))
    watcher = node(again, "AvertVLMNegative")["inputs"]
    del watcher["vlm"], again["3"]
    # What nobody is shown need not fit.
    watcher.update(replay=saved, example_answers="one\ntwo")
    return again


def test_a_picture_of_two_passes_is_made_again(server: HostServer) -> None:
    """Also when only the second pass runs anew, and the first comes from the cache."""
    prompt = two_passes()
    for seed in (1, 2):
        prompt["21"]["inputs"]["seed"] = seed
        first = guided_picture(server, run(server, prompt))
        saved = said_in(first)
        assert [len(one["entries"]) for one in json.loads(saved)["watched"]] == [3, 3]
        second = guided_picture(server, run(server, replayed(prompt, saved)))
        assert numpy.array_equal(decode(first), decode(second))
    # Neither pass runs with the other one's words.
    only = json.loads(saved)
    only["watched"] = only["watched"][1:]
    answer = server.post("/prompt", {"prompt": replayed(prompt, json.dumps(only)), "extra_data": {"extra_pnginfo": {"workflow": {}}}})
    assert "another run" in str(server.wait(str(answer["prompt_id"])).error)


def two_models(prompt: dict[str, Any], model: list[Any]) -> None:
    """Put one more Avert node, on this model, before the second sampler, with words of the same source."""
    prompt["23"] = {"class_type": "AvertNegativeGuidance", "inputs": {"model": model, "negative": ["4", 0], "negative_scale": 1.0}}
    prompt["21"]["inputs"]["model"] = prompt["13"]["inputs"]["model"] = ["23", 0]


def list_of_latents(prompt: dict[str, Any]) -> None:
    """Sample three latents one by one in each of the two nodes, and put them together before the report."""
    prompt["6"]["inputs"]["batch_size"] = 3
    prompt["24"] = {"class_type": "RebatchLatents", "inputs": {"latents": ["6", 0], "batch_size": 1}}
    prompt["25"] = {"class_type": "RebatchLatents", "inputs": {"latents": ["21", 0], "batch_size": 3}}
    prompt["9"]["inputs"]["latent_image"], prompt["13"]["inputs"]["latent"] = ["24", 0], ["25", 0]


@pytest.mark.parametrize(
    ("change", "runs"),
    [(lambda prompt: two_models(prompt, ["1", 0]), 2), (lambda prompt: two_models(prompt, ["7", 0]), 2), (list_of_latents, 6)],
    ids=["two_models", "stacked", "list"],
)
def test_all_that_was_said_on_the_way_is_saved_and_made_again(
    server: HostServer, change: Callable[[dict[str, Any]], None], runs: int
) -> None:
    prompt = two_passes()
    change(prompt)
    first = saved_pictures(server, run(server, prompt))
    saved = said_in(first[0])
    assert len(json.loads(saved)["watched"]) == runs
    again = saved_pictures(server, run(server, replayed(prompt, saved)))
    assert [numpy.array_equal(decode(a), decode(b)) for a, b in zip(first, again, strict=True)] == [True] * len(first)


def test_a_first_pass_that_was_made_before_the_last_prompt(server: HostServer) -> None:
    """Hosts keep the outputs of several prompts; the words that are saved are those of the one that made it."""
    prompt, marks = two_passes(), []
    for first, second in ((11, 1), (12, 1), (11, 2)):
        prompt["9"]["inputs"]["seed"], prompt["21"]["inputs"]["seed"] = first, second
        told = json.loads(said_in(guided_picture(server, run(server, prompt))))["watched"]
        assert len(told) == 2
        marks.append(told[0]["noise"])
    assert marks[0] == marks[2] != marks[1]


def test_a_report_saves_the_words_of_its_own_branch(server: HostServer) -> None:
    """Of two samplers the report stands behind the one that ran first, and behind something that changed its latent."""
    prompt = graphs.api("vlm_negative_demo")
    prompt["6"]["inputs"]["batch_size"] = 1
    report, prompt["14"]["inputs"]["samples"] = prompt.pop("13"), ["9", 0]
    del prompt["17"]
    run(server, prompt)
    prompt["9b"] = {"class_type": "KSampler", "inputs": {**prompt["9"]["inputs"], "seed": 7}}
    prompt["18"] = {"class_type": "VAEDecode", "inputs": {"samples": ["9b", 0], "vae": ["1", 2]}}
    prompt["19"] = {"class_type": "PreviewImage", "inputs": {"images": ["18", 0]}}
    run(server, prompt)
    prompt["20"] = {"class_type": "LatentFlip", "inputs": {"samples": ["9", 0], "flip_method": "y-axis: horizontally"}}
    report["inputs"]["latent"], prompt["14"]["inputs"]["samples"], prompt["13"] = ["20", 0], ["13", 0], report
    (picture,) = saved_pictures(server, run(server, prompt))
    (told,) = json.loads(said_in(picture))["watched"]
    assert told["sampler"] == "9"


def test_pictures_of_two_branches_are_told_apart(server: HostServer) -> None:
    """Two seeds, both reported before both are saved: each is made again from what is saved in both."""
    prompt = graphs.api("vlm_negative_demo")
    prompt["6"]["inputs"]["batch_size"] = 1
    for key in ("9", "13", "14"):
        body = json.loads(json.dumps(prompt[key]))
        body["inputs"] = {
            name: [f"{value[0]}b", value[1]] if value in (["9", 0], ["13", 0]) else value for name, value in body["inputs"].items()
        }
        prompt[f"{key}b"] = body
    prompt["9b"]["inputs"]["seed"] = 7
    prompt["22"] = {"class_type": "ImageBatch", "inputs": {"image1": ["14", 0], "image2": ["14b", 0]}}
    prompt["15"]["inputs"]["image"] = ["22", 0]
    pictures = saved_pictures(server, run(server, prompt))
    assert len(pictures) == 2 and said_in(pictures[0]) == said_in(pictures[1])
    assert len(json.loads(said_in(pictures[0]))["watched"]) == 2
    again = saved_pictures(server, run(server, replayed(prompt, said_in(pictures[0]))))
    assert [numpy.array_equal(decode(a), decode(b)) for a, b in zip(pictures, again, strict=True)] == [True, True]


def saved_pictures(server: HostServer, result: Result) -> list[bytes]:
    return [server.view(image) for image in result.images() if "without" not in image["filename"] and image["type"] == "output"]
