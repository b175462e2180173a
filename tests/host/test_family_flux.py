"""Check what only Flux.1 has: nodes that change its text after it was read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from guided_runs import Shared, assert_both_act, avoid, guided, model, run

STYLE = 6


class Style(Shared):
    """Put tokens in front of the text, as USO Style Reference does, or change those that are there."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def __call__(self, streams: dict[str, Any]) -> dict[str, Any]:
        text, ids = streams["txt"], streams["txt_ids"]
        style = torch.randn(1, self._tokens, text.shape[2], generator=torch.Generator().manual_seed(4)).expand(text.shape[0], -1, -1)
        changed = torch.cat([style, text], 1) if self._tokens else text * 1.5
        return {**streams, "txt": changed, "txt_ids": torch.cat([ids[:, : self._tokens] * 0, ids], 1)}


def patched(tokens: int) -> Any:
    clone = model("flux").clone()
    clone.set_model_patch(Style(tokens), "post_input")
    return clone


def test_tokens_added_to_the_text_are_refused() -> None:
    """The picture would be taken for text and the other way round."""
    run(patched(STYLE), "flux")
    with pytest.raises(RuntimeError, match=r"could not find this Flux model's attention to its text: another node changes its tokens\."):
        run(guided(patched(STYLE), avoid("flux")), "flux")


def test_a_patch_that_adds_none_is_let_be() -> None:
    both = run(guided(patched(0), avoid("flux")), "flux")
    assert_both_act(both, run(patched(0), "flux"), run(guided(model("flux"), avoid("flux")), "flux"))
