"""Check that a picture that a vision-language model watched over can be made again from what is saved in it, without one."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy
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
