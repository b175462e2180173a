"""Check the harness itself with core nodes only: what a failure here says is about the host or the tiny checkpoints, not the pack."""

from __future__ import annotations

import numpy
import pytest
from avert.tests.server.hostserver import HostServer, PromptRejected
from avert.tests.server.prompts import text_to_image


@pytest.mark.parametrize("family", ["sd15", "sd3"])
def test_tiny_checkpoint_makes_a_picture(server: HostServer, family: str) -> None:
    """A picture comes out of the host's own loaders; it has contrast, is reproducible, and depends on the text and on cfg."""
    picture = server.picture(text_to_image(family))
    assert picture.shape == (128, 128, 3)
    assert picture.std() > 5
    assert numpy.array_equal(picture, server.picture(text_to_image(family, rerun=1)))
    other = text_to_image(family)
    other["positive"]["inputs"]["text"] = "a red tiger, painting"
    assert numpy.abs(picture - server.picture(other)).max() > 2
    assert numpy.abs(picture - server.picture(text_to_image(family, cfg=3.0))).max() > 2


def test_rerun_really_runs(server: HostServer) -> None:
    """The `rerun` count makes the sampler run again (else every "same picture" test would compare a picture with itself)."""
    server.run(text_to_image("sd15", rerun=1))
    result = server.run(text_to_image("sd15", rerun=2))
    cached = (result.message("execution_cached") or {"nodes": []})["nodes"]
    assert "checkpoint" in cached
    assert "sampler" not in cached


def test_refusal_is_readable(server: HostServer) -> None:
    """A prompt that the host refuses gives the text that the user reads, and the queue goes on."""
    bad = text_to_image("sd15")
    bad["sampler"]["inputs"]["steps"] = 0
    with pytest.raises(PromptRejected, match="steps"):
        server.submit(bad)
    assert server.run(text_to_image("sd15")).status == "success"
