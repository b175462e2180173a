"""Check that guidance lives beside patches of the text in Cosmos-Predict2 and Anima, the control nets of Anima among them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import comfy.ldm.cosmos.predict2
import pytest
import torch
from torch import Tensor

from cosmos_runs import assert_is_reference, avert, distance, prompt, run
from family_spec import model_of
from guided_runs import Shared
from spec_cosmos import TEXT

Patch = Callable[..., dict[str, Any]]


@pytest.fixture(params=["cosmos_predict2", "anima"])
def patched_name(request: pytest.FixtureRequest) -> str:
    """Name a family whose text can be patched; hosts before 0.28 have no such patches in these models."""
    if "transformer_options" not in inspect.signature(comfy.ldm.cosmos.predict2.Attention.compute_qkv).parameters:
        pytest.skip("this host does not patch the text of Cosmos-Predict2")
    return request.param


def with_patch(name: str, patch: Patch) -> Any:
    clone = model_of(name).clone()
    clone.set_model_attn2_patch(patch)
    return clone


def test_patches_see_the_text_without_ours(patched_name: str) -> None:
    """A weight for each place of the text: the reference's patch skips the negative's tokens."""
    weights = torch.linspace(0.0, 2.0, TEXT)[None, :, None]
    lengths = []

    def theirs(q: Tensor, k: Tensor, v: Tensor, pe: Any = None, attn_mask: Any = None, extra_options: Any = None) -> dict[str, Any]:
        lengths.append((k.shape[1], v.shape[1]))
        return {"v": v * weights, "k": k * 1.5}

    def for_reference(q: Tensor, k: Tensor, v: Tensor, **_: Any) -> dict[str, Any]:
        front = torch.ones(1, v.shape[1] - TEXT, 1)
        return {"v": v * torch.cat([front, weights], 1)}

    theirs_on, reference_on = with_patch(patched_name, theirs), with_patch(patched_name, for_reference)
    assert_is_reference(patched_name, prompt(patched_name, 11, 3), theirs_on, reference_on, cfg=3.0, length=200)
    assert set(lengths) == {(TEXT, TEXT)}
    guided = avert(patched_name, prompt(patched_name, 5, 3))
    assert distance(run(patched_name, avert(patched_name, prompt(patched_name, 5, 3), base=theirs_on)), run(patched_name, guided)) > 0


@pytest.mark.parametrize("given", [lambda q, k, v: {}, lambda q, k, v: {"q": q, "k": k, "v": v, "pe": None, "attn_mask": None}])
def test_patches_that_pass_on_change_nothing(patched_name: str, given: Callable[..., dict[str, Any]]) -> None:
    negative = prompt(patched_name, 5, 3)
    passing = with_patch(patched_name, lambda q, k, v, pe=None, attn_mask=None, extra_options=None: given(q, k, v))
    both = run(patched_name, avert(patched_name, negative, base=passing), cfg=3.0)
    assert torch.equal(both, run(patched_name, avert(patched_name, negative), cfg=3.0))


@pytest.mark.parametrize("only", [None, 1])
@pytest.mark.parametrize("name", ["k", "q"])
def test_patches_that_change_lengths_are_refused(patched_name: str, name: str, only: int | None) -> None:
    def longer(q: Tensor, k: Tensor, v: Tensor, extra_options: Any = None, **_: Any) -> dict[str, Any]:
        tensors = {"q": q, "k": k, "v": v} if only in (None, extra_options["block_index"]) else {}
        return {key: torch.cat([x, x[:, -1:]], 1) for key, x in tensors.items() if (key == "q") == (name == "q")}

    guided = avert(patched_name, prompt(patched_name, 5, 3), base=with_patch(patched_name, longer))
    with pytest.raises(RuntimeError, match="another node changes its tokens"):
        run(patched_name, guided)


class Control(Shared):
    """Stand for a control net of Anima: it holds something for the run, and adds it to what a block attends with."""

    strength = 0.5

    def __init__(self) -> None:
        self.model_patch = SimpleNamespace(model=SimpleNamespace(apply=lambda x, held, block, target, strength: x + held * strength))

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        arguments["transformer_options"]["model_patch_data"][self] = 1.0
        return arguments


def test_the_hosts_control_of_anima(patched_name: str) -> None:
    """Its patch gives back all that it got, text too, but for the queries."""
    control = Control()
    patch = pytest.importorskip("comfy.ldm.anima.lllite").AnimaLLLiteAttentionPatch(control, {"q": "cross_attn_q_proj"})
    base = with_patch(patched_name, patch)
    base.set_model_post_input_patch(control)
    assert_is_reference(patched_name, prompt(patched_name, 7, 3), base, cfg=3.0)
    assert distance(run(patched_name, base), run(patched_name, model_of(patched_name))) > 0
