"""Check the pack in a real server process, as a user's workflow meets it: through /prompt, /history, /view and /interrupt."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from avert.tests.server.checkpoints import NO_CLIP_CHECKPOINT
from avert.tests.server.hostserver import HostServer, PromptRejected, Result, decode
from avert.tests.server.prompts import Prompt, node, text_to_image, with_model_node, with_negative_prompt, with_report

NODES = ("AvertVSF", "AvertNAG", "AvertNASA", "AvertAmplify", "AvertNegativePrompt", "AvertReport", "AvertDemoModel")
FAMILIES = ("sd15", "sd3")
# Settings that act strongly enough to be seen in eight bits, and settings at which the mechanism is off.
STRONG = {
    "AvertVSF": {"scale": 2.0, "offset": -1.0},
    "AvertNAG": {"nag_scale": 8.0, "nag_tau": 2.5, "nag_alpha": 0.5},
    "AvertNASA": {"scale": 0.3},
}
NEUTRAL = {
    "AvertVSF": {"scale": 0.0, "offset": -1.0},
    "AvertNAG": {"nag_scale": 1.0, "nag_tau": 2.5, "nag_alpha": 0.5},
    "AvertNASA": {"scale": 0.0},
}
CASES = [(family, mechanism) for family in FAMILIES for mechanism in STRONG]


def guided(family: str, mechanism: str = "AvertVSF", text: str = "glasses", rerun: int = 0, **settings: Any) -> Prompt:
    """Build text to image with a negative prompt, a mechanism and a report."""
    prompt = with_negative_prompt(text_to_image(family, rerun=rerun), family, text)
    values = {**STRONG[mechanism], "negative": ["avoid", 0], **settings}
    return with_report(with_model_node(prompt, "guide", mechanism, **values))


def same(a: Any, b: Any) -> bool:
    """Tell whether two pictures are equal in every pixel."""
    return bool(numpy.array_equal(a, b))


def refusal(server: HostServer, prompt: Prompt) -> str:
    """Give the text that the user reads, whether the host refuses the prompt or a node fails."""
    try:
        result = server.run(prompt)
    except PromptRejected as rejected:
        return rejected.text
    assert result.status == "error", "the host ran a prompt that it should have refused"
    return result.error


def report_text(result: Result) -> str:
    """Give the text that the report shows on its node."""
    return "\n".join(result.outputs["report"]["text"])


def test_every_node_is_described(server: HostServer) -> None:
    """The host lists every node, with a description, and a tooltip at every input."""
    info = server.object_info()
    assert [name for name in NODES if name not in info] == []
    for name in NODES:
        assert info[name]["description"], name
        assert info[name]["category"].startswith("Avert"), name
        inputs = {key: spec for kind in ("required", "optional") for key, spec in info[name]["input"].get(kind, {}).items()}
        bare = [key for key, spec in inputs.items() if len(spec) < 2 or not spec[1].get("tooltip")]
        assert bare == [], f"{name}: no tooltip"


@pytest.mark.parametrize("name", NODES)
def test_help_is_served(server: HostServer, name: str) -> None:
    """The frontend finds a help page for every node, where it looks for it."""
    page = server.request(f"/extensions/avert/docs/{name}.md").decode("utf-8")
    assert page.startswith("#")


def test_loads_quietly(server: HostServer) -> None:
    """The log of the start names the pack once, in the table of import times, without a complaint."""
    naming = [line for line in server.startup_log.splitlines() if "avert" in line.lower()]
    complaints = [
        line for line in naming if any(word in line.lower() for word in ("warn", "error", "fail", "cannot", "traceback", "deprecat"))
    ]
    assert complaints == []
    assert len(naming) == 1, naming
    assert "Traceback" not in server.startup_log


@pytest.mark.parametrize(("family", "mechanism"), CASES)
def test_guides_and_reports(server: HostServer, family: str, mechanism: str) -> None:
    """The picture changes, and the report on the node says by what."""
    plain = server.picture(text_to_image(family))
    result = server.run(guided(family, mechanism))
    assert result.status == "success", result.error
    saved = [image for image in result.images() if image["filename"].startswith(family)]
    difference = numpy.abs(plain - decode(server.view(saved[0])))
    assert difference.max() > 2
    text = report_text(result)
    assert mechanism.removeprefix("Avert") in text
    assert "glasses" in text
    shown = result.outputs["report"]["images"]
    assert decode(server.view(shown[0])).std() > 0, "the plot is empty"


@pytest.mark.parametrize(("family", "mechanism"), CASES)
def test_neutral_is_bit_exact(server: HostServer, family: str, mechanism: str) -> None:
    """Off is off: the same pixels as without the pack, and the model without the pack is as before."""
    plain = server.picture(text_to_image(family))
    assert same(plain, server.picture(guided(family, mechanism, **NEUTRAL[mechanism])))
    server.run(guided(family, mechanism))
    assert same(plain, server.picture(text_to_image(family, rerun=3)))


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_to_avoid_changes_nothing(server: HostServer, family: str) -> None:
    """An empty negative prompt gives the plain picture."""
    assert same(server.picture(text_to_image(family)), server.picture(guided(family, text="")))


@pytest.mark.parametrize("family", FAMILIES)
def test_takes_the_samplers_negative(server: HostServer, family: str) -> None:
    """Not connected, the sampler's negative prompt acts at cfg 1, and changing it changes the picture."""
    prompt = with_model_node(text_to_image(family), "guide", "AvertVSF", **STRONG["AvertVSF"])
    picture = server.picture(prompt)
    assert not same(picture, server.picture(text_to_image(family)))
    prompt["negative"]["inputs"]["text"] = "a red tiger"
    assert not same(picture, server.picture(prompt))


def test_prompt_for_an_area(server: HostServer) -> None:
    """A positive prompt for a part of the picture beside one for the whole: guided and reported like any other."""
    prompt = guided("sd15")
    prompt["area"] = node("ConditioningSetArea", conditioning=["positive", 0], width=64, height=64, x=0, y=0, strength=1.0)
    prompt["both"] = node("ConditioningCombine", conditioning_1=["area", 0], conditioning_2=["positive", 0])
    prompt["sampler"]["inputs"]["positive"] = ["both", 0]
    result = server.run(prompt)
    assert result.status == "success", result.error
    assert "share of attention" in report_text(result)


def test_survives_unloading(server: HostServer) -> None:
    """Unloading every model between two runs does not change the result."""
    picture = server.picture(guided("sd3"))
    server.post("/free", {"unload_models": True, "free_memory": True})
    time.sleep(1.5)  # the host frees between prompts, about once a second
    assert same(picture, server.picture(guided("sd3")))


def _wrong_width() -> Prompt:
    prompt = guided("sd15")
    other = text_to_image("sd3")
    return {**prompt, "clip": other["clip"], "avoid": node("AvertNegativePrompt", clip=["clip", 0], text="glasses")}


def _no_clip() -> Prompt:
    loader = node("CheckpointLoaderSimple", ckpt_name=NO_CLIP_CHECKPOINT)
    return {**guided("sd3"), "bare": loader, "avoid": node("AvertNegativePrompt", clip=["bare", 1], text="glasses")}


BAD: dict[str, tuple[Callable[[], Prompt], str]] = {
    "block out of range": (lambda: guided("sd3", blocks="0-99"), r"99"),
    "blocks not a list": (lambda: guided("sd3", blocks="all of them"), r"all of them"),
    "start after end": (
        lambda: guided("sd3", start_percent=0.8, end_percent=0.2),
        r"start_percent.*end_percent|end_percent.*start_percent",
    ),
    "negative scale": (lambda: guided("sd3", scale=-1.0), r"scale"),
    "another text encoder": (_wrong_width, r"4096.*768|768.*4096"),
    "unsupported model": (lambda: guided("unsupported"), r"PixArt"),
    "checkpoint without text encoder": (_no_clip, r"`clip`.*text encoder"),
    "another node's output as clip": (
        lambda: guided("sd3") | {"avoid": node("AvertNegativePrompt", clip=["vae", 0], text="glasses")},
        r"clip",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_error_that_the_user_reads(server: HostServer, name: str) -> None:
    """Bad input gives one clear line that names it, and the next prompt runs."""
    build, expected = BAD[name]
    text = refusal(server, build())
    assert re.search(expected, text), text
    assert "\n" not in text, text
    assert 20 < len(text) < 400, text
    assert not re.search(r"Error\(|object has no|NoneType|shapes? cannot|size mismatch|mat1", text), text
    assert server.run(guided("sd3", rerun=5)).status == "success"


def test_cancel_leaves_nothing_behind(server: HostServer) -> None:
    """A run that is cancelled in the middle leaves the unpatched model as it was."""
    plain = server.picture(text_to_image("sd15"))
    long = guided("sd15")
    long["sampler"]["inputs"]["steps"] = 777
    prompt_id = server.submit(long)
    _wait_for_progress(server, "/777")
    server.post("/interrupt", {})
    result = server.wait(prompt_id)
    assert result.was_interrupted
    assert same(plain, server.picture(text_to_image("sd15", rerun=4)))
    assert not same(plain, server.picture(guided("sd15", rerun=4)))


def _wait_for_progress(server: HostServer, total: str, seconds: float = 30.0) -> None:
    """Wait until the host's progress bar shows a step done of `total`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        bar = server.log().rpartition(total)[0]
        if bar and not bar.endswith(" 0"):
            return
        time.sleep(0.1)
    raise TimeoutError(f"no progress within {seconds:.0f} s:\n{server.log_tail()}")


def test_node_without_clip_names_the_input(server: HostServer) -> None:
    """A negative prompt without a text encoder is refused before anything runs."""
    prompt = guided("sd15")
    prompt["avoid"]["inputs"].pop("clip")
    with pytest.raises(PromptRejected, match="clip"):
        server.submit(prompt)
