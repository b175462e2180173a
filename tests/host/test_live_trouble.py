"""Check that a panel that cannot be shown never costs the picture."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from avert.host import install, live
from avert.host.encode import encode_line
from avert.host.negative import Negative

from watched_runs import VSF, guided, picture


class Broken:
    """A way to a browser that fails."""

    open = True

    def send(self, run: str, part: dict[str, Any]) -> None:
        raise ConnectionResetError("gone")


@pytest.fixture
def run(demo_worlds: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    world = demo_worlds["few_step"]
    model = guided(world, VSF, Negative(tuple(encode_line(world[1], "apples"))))
    monkeypatch.setattr(install, "contains_node", lambda name: True)
    return model, lambda: picture(model, world, 1.0)


def test_messages_that_fail_are_logged_once_and_the_picture_is_the_same(
    run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, draw = run
    expected = draw()
    monkeypatch.setattr(install, "open_channel", Broken)
    with caplog.at_level(logging.ERROR):
        assert torch.equal(draw(), expected)
    assert [record.message for record in caplog.records if "panel" in record.message] == [
        "Avert: the panel cannot show this run; the picture is not affected."
    ]
    assert install.last_report(model).finished


def test_a_preview_that_fails_leaves_the_numbers(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, draw = run
    sent: list[dict[str, Any]] = []

    class Listener(Broken):
        def send(self, run: str, part: dict[str, Any]) -> None:
            sent.append(part)

    def fails(latent_format: Any) -> Any:
        raise RuntimeError("no such format")

    monkeypatch.setattr(install, "open_channel", Listener)
    monkeypatch.setattr(live, "linear_preview", fails)
    draw()
    assert sent[-1]["finished"] and sent[-1]["steps"] and sent[-1]["picture"] == ""
    assert install.last_report(model).picture == b""
