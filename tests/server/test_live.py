"""Check what a browser hears of a run while it goes on, and that others hear nothing."""

from __future__ import annotations

import asyncio
import copy
import io
from typing import Any
from urllib.parse import unquote_to_bytes

import aiohttp
import pytest
from avert.tests.server import graphs
from avert.tests.server.hostserver import HostServer
from PIL import Image

SECONDS = 90.0


async def queue(server: HostServer, prompt: dict[str, Any], other: list[Any]) -> list[tuple[str, Any]]:
    """Queue as a browser does, and give (kind, message) until the run has ended; `other` takes what a second browser hears of ours."""
    async with aiohttp.ClientSession() as session:
        mine, theirs = [await session.ws_connect(f"{server.url}/ws?clientId={name}") for name in ("mine", "theirs")]
        body = {"prompt": prompt, "client_id": "mine", "extra_data": {"extra_pnginfo": {"workflow": {}}}}
        async with session.post(f"{server.url}/prompt", json=body) as answer:
            assert answer.status == 200, await answer.text()
        heard = await asyncio.wait_for(listen(mine), SECONDS)
        while True:
            try:
                message = await asyncio.wait_for(theirs.receive(), 0.3)
            except TimeoutError:
                break
            if message.type == aiohttp.WSMsgType.TEXT and message.json()["type"].startswith("avert"):
                other.append(message.json())
        return heard


async def listen(socket: aiohttp.ClientWebSocketResponse) -> list[tuple[str, Any]]:
    heard: list[tuple[str, Any]] = []
    async for message in socket:
        if message.type == aiohttp.WSMsgType.BINARY:
            heard.append(("binary", bytes(message.data)))
            continue
        found = message.json()
        heard.append((found["type"], found["data"]))
        if found["type"] in ("execution_success", "execution_error", "execution_interrupted"):
            return heard
    raise AssertionError("the server closed the connection")


def told(server: HostServer, name: str, changes: Any = lambda prompt: None) -> tuple[list[Any], list[tuple[str, Any]]]:
    """Run a demo workflow; give the panel's messages, and all messages."""
    prompt = copy.deepcopy(graphs.api(name))
    changes(prompt)
    other: list[Any] = []
    heard = asyncio.run(queue(server, prompt, other))
    assert not other
    assert heard[-1][0] == "execution_success", heard[-1]
    return [data for kind, data in heard if kind == "avert.run"], heard


def node_id(prompt: dict[str, Any], class_type: str) -> str:
    return next(key for key, body in prompt.items() if body["class_type"] == class_type)


def another_seed(prompt: dict[str, Any]) -> None:
    """What the server has made before it does not make again."""
    for body in prompt.values():
        for key in ("seed", "noise_seed"):
            if isinstance(body["inputs"].get(key), int):
                body["inputs"][key] += 1000


def test_a_run_with_a_report_is_told_as_it_goes(server: HostServer) -> None:
    messages, heard = told(server, "report_demo", another_seed)
    prompt = graphs.api("report_demo")
    last = messages[-1]["part"]
    runs = {message["run"] for message in messages}
    assert len(runs) == 1 and len(messages) >= 2
    assert [node["id"] for node in last["nodes"]] == [node_id(prompt, "AvertVSF")] and last["nodes"][0]["name"] == "VSF"
    assert last["finished"] is True and "finished" not in messages[0]["part"]
    assert [step[0] for step in last["steps"]] == list(range(last["total"]))
    assert all(0 < step[2] < 1 and step[3] > 0 for step in last["steps"])
    first = messages[0]["part"]["steps"]
    assert first and first == last["steps"][: len(first)]
    one = last["maps"][-1]
    assert len(bytes.fromhex(one["data"])) == one["width"] * one["height"] and 0 < one["top"] < 1
    assert max(bytes.fromhex(one["data"])) == 255
    picture = Image.open(io.BytesIO(unquote_to_bytes(last["picture"].split(",")[1])))
    assert picture.format == "JPEG" and max(picture.size) <= 96
    done = next(data for kind, data in heard if kind == "executed" and data["node"] == node_id(prompt, "AvertReport"))
    assert done["output"]["avert"] == [last]
    before = [kind for kind, _ in heard].index("avert.run")
    assert before < [kind for kind, _ in heard].index("executed")


def without_report(prompt: dict[str, Any]) -> None:
    """Take Avert Report out: its latent goes on, and what shows its pictures goes with it."""
    another_seed(prompt)
    report = node_id(prompt, "AvertReport")
    latent = prompt.pop(report)["inputs"]["latent"]
    for key, body in list(prompt.items()):
        if [report, 0] in body["inputs"].values():
            body["inputs"] = {name: latent if value == [report, 0] else value for name, value in body["inputs"].items()}
        elif any(isinstance(value, list) and value[0] == report for value in body["inputs"].values()):
            del prompt[key]


def test_nobody_asks_for_maps_and_none_are_made(server: HostServer) -> None:
    messages, _ = told(server, "vsf_demo", without_report)
    assert messages and all(not message["part"]["maps"] and not message["part"].get("picture") for message in messages)


@pytest.mark.parametrize("name", ["dng_demo", "perp_neg_demo"])
def test_mechanisms_on_predictions_have_curves(server: HostServer, name: str) -> None:
    messages, _ = told(server, name, another_seed)
    curves = messages[-1]["part"]["curves"]
    assert curves and curves[0]["node"] in graphs.api(name) and [step[0] for step in curves[0]["steps"]]
    assert all(step[1]["change"] >= 0 for curve in curves for step in curve["steps"])


def test_what_a_vision_language_model_saw_and_said(server: HostServer) -> None:
    messages, heard = told(server, "vlm_negative_demo", another_seed)
    saw = messages[-1]["part"]["saw"]
    watcher = node_id(graphs.api("vlm_negative_demo"), "AvertVLMNegative")
    assert saw and {entry["node"] for entry in saw} == {watcher}
    assert all(entry["picture"].startswith("data:image/jpeg,") and entry["seconds"] > 0 for entry in saw)
    assert any(entry["negative"] and entry["said"] for entry in saw)
    live = [entry for message in messages[:-1] for entry in message["part"].get("saw", [])]
    assert live == saw[: len(live)]
    lines = [data[8:] for kind, data in heard if kind == "binary" and watcher.encode() + b"step " in data]
    assert any(b"asking" in line for line in lines) and any(b"answered after" in line for line in lines)
