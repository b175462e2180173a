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
