"""Check that guidance and the UNet's own patches work together: PAG, attention patches and replacements, ControlNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from avert.host.install import last_report
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from torch import Tensor

from guided_runs import CLOSE, MECHANISMS, VSF, Shared, assert_both_act, avoid, change, guided, model, prompts, run, run_with_spy
from tiny import conditioning, sample, tiny_controlnet, with_control

PLACES = [("input", 1), ("input", 3), ("input", 5), ("middle", 0), *(("output", i) for i in range(2, 8))]
TEXT, TOKENS = 20, 7


def avert(base: Any, mechanism: str = "vsf", **options: Any) -> Any:
    return guided(base, avoid("sd15", TOKENS), MECHANISMS[mechanism], **options)


def patch(base: Any, method: str, *args: Any) -> Any:
    clone = base.clone()
    getattr(clone, method)(*args)
    return clone


def keep_values(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], mask: Any = None) -> Tensor:
    return v


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_perturbed_attention_guidance(mechanism: str) -> None:
    patched = avert(model("sd15"), mechanism)
    after = PerturbedAttentionGuidance.execute(patched, 2.0).result[0]
    before = avert(PerturbedAttentionGuidance.execute(model("sd15"), 2.0).result[0], mechanism)
    assert torch.equal(run(after, cfg=3.0), run(before, cfg=3.0))
    whole = run(patched, steps=1)
    perturbed = run(patch(patched, "set_model_attn1_replace", keep_values, "middle", 0), steps=1)
    picture, calls = run_with_spy(after, "sd15", steps=1)
    assert len(calls) == 2
    assert change(whole + 2.0 * (whole - perturbed), picture) < CLOSE
    assert calls[0] == calls[1]


def test_replaced_self_attention() -> None:
    replaced = patch(model("sd15"), "set_model_attn1_replace", keep_values, "input", 1)
    both = run(avert(replaced))
    assert torch.equal(both, run(patch(avert(model("sd15")), "set_model_attn1_replace", keep_values, "input", 1)))
    assert_both_act(both, run(replaced), run(avert(model("sd15"))))


@pytest.mark.parametrize("kind", ["attn1", "attn2"])
def test_patches_that_pass_on_change_nothing(kind: str) -> None:
    calls: list[int] = []

    def pass_on(n: Tensor, context: Tensor, value: Tensor, extra_options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        calls.append(context.shape[1])
        return n, context, value

    both = run(avert(patch(model("sd15"), f"set_model_{kind}_patch", pass_on)), cfg=3.0)
    assert calls
    assert torch.equal(both, run(avert(model("sd15")), cfg=3.0))


def test_patch_that_scales_the_values_of_the_text() -> None:
    def scale(n: Tensor, context: Tensor, value: Tensor, extra_options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        return n, context, value * 0.5

    base = model("sd15")
    names = [name for name in base.model_state_dict() if name.endswith("attn2.to_v.weight")]
    halved = base.clone()
    halved.add_patches({name: ("diff", (base.model_state_dict()[name] * -0.5,)) for name in names}, 1.0)
    assert change(run(avert(halved)), run(avert(patch(base, "set_model_attn2_patch", scale)))) < CLOSE


@pytest.mark.parametrize("kind", ["attn1", "attn2"])
def test_output_patches(kind: str) -> None:
    def scale(n: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return n * 0.5

    patched = patch(model("sd15"), f"set_model_{kind}_output_patch", scale)
    both = run(avert(patched))
    assert torch.equal(both, run(patch(avert(model("sd15")), f"set_model_{kind}_output_patch", scale)))
    assert_both_act(both, run(patched), run(avert(model("sd15"))))


def append_token(only: tuple | None) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """Make a patch that adds a token to the text, everywhere or in one block."""

    def patch_text(n: Tensor, context: Tensor, value: Tensor, extra_options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        if only is not None and extra_options["block"][: len(only)] != only:
            return n, context, value
        return n, torch.cat([context, context[:, -1:]], dim=1), torch.cat([value, value[:, -1:]], dim=1)

    return patch_text


@pytest.mark.parametrize("only", [None, ("middle", 0)])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_patch_that_adds_text_tokens_is_refused(only: tuple | None, cfg: float) -> None:
    patched = avert(patch(model("sd15"), "set_model_attn2_patch", append_token(only)))
    with pytest.raises(RuntimeError, match="another node changes its tokens"):
        run(patched, cfg=cfg)
    assert torch.equal(
        run(model("sd15"), cfg=cfg), run(patch(model("sd15"), "set_model_attn2_patch", lambda n, c, v, e: (n, c, v)), cfg=cfg)
    )


class ImagePrompt(Shared):
    """Replace cross-attention as IPAdapter does: call the host's attention without transformer_options, add attention to tokens of its own."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.lengths: set[int] = set()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        self.lengths.add(k.shape[1])
        generator = torch.Generator().manual_seed(q.shape[-1])
        own = torch.randn(1, 4, q.shape[-1], generator=generator).expand(q.shape[0], -1, -1)
        heads = extra_options["n_heads"]
        return optimized_attention(q, k, v, heads) + self.weight * optimized_attention(q, own, own, heads)

    def on(self, base: Any, places: list[tuple[str, int]]) -> Any:
        clone = base.clone()
        for place in places:
            clone.set_model_attn2_replace(self, *place)
        return clone


@pytest.mark.parametrize(
    ("places", "mechanism", "cfg"),
    [(PLACES, "vsf", 1.0), (PLACES, "nag", 3.0), (PLACES[3:4], "vsf", 3.0), (PLACES[:2], "nasa", 3.0)],
    ids=["all, vsf", "all, nag, cfg", "middle, vsf, cfg", "two, nasa, cfg"],
)
def test_replaced_cross_attention(places: list[tuple[str, int]], mechanism: str, cfg: float) -> None:
    silent, acting = ImagePrompt(0.0), ImagePrompt(0.8)
    base = model("sd15")
    alone = run(avert(base, mechanism), cfg=cfg)
    assert change(alone, run(avert(silent.on(base, places), mechanism), cfg=cfg)) < CLOSE
    both = run(avert(acting.on(base, places), mechanism), cfg=cfg)
    assert torch.equal(both, run(acting.on(avert(base, mechanism), places), cfg=cfg))
    assert_both_act(both, alone, run(acting.on(base, places), cfg=cfg))
    # It sees the positive prompt (and what the host repeats it to when the batch has another prompt), never the negative.
    plain = ImagePrompt(0.0)
    run(plain.on(base, places), cfg=cfg)
    assert acting.lengths == silent.lengths == plain.lengths


@pytest.mark.parametrize("blocks", ["3", "0-2, 7"])
def test_replaced_cross_attention_keeps_its_block_number(blocks: str) -> None:
    expected = run(avert(model("sd15"), blocks=blocks))
    patched = avert(ImagePrompt(0.0).on(model("sd15"), PLACES[1:4]), blocks=blocks)
    assert change(expected, run(patched)) < CLOSE
    assert last_report(patched).steps


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_controlnet_sees_the_prompts_without_the_negative(cfg: float) -> None:
    net = tiny_controlnet()
    lengths: list[int] = []
    net.control_model.register_forward_pre_hook(lambda _, args, kwargs: lengths.append(kwargs["context"].shape[1]), with_kwargs=True)
    positive, negative = with_control(*prompts("sd15", TEXT), net)
    base = model("sd15")
    alone = sample(base, positive, negative, cfg, steps=2)
    plain_lengths, lengths[:] = list(lengths), []
    both = sample(avert(base), positive, negative, cfg, steps=2)
    assert lengths == plain_lengths
    assert_both_act(both, alone, run(avert(base), cfg=cfg))
    assert torch.equal(alone, sample(base, positive, negative, cfg, steps=2))
    silent = with_control(*prompts("sd15", TEXT), net, strength=0.0)
    assert change(run(avert(base), cfg=cfg), sample(avert(base), *silent, cfg, steps=2)) < CLOSE


def test_own_negative_with_controlnet() -> None:
    positive, negative = with_control(*prompts("sd15", TEXT), tiny_controlnet())
    connected = guided(model("sd15"), prompts("sd15", TEXT)[1], VSF)
    assert torch.equal(sample(guided(model("sd15"), None), positive, negative, 1.0), sample(connected, positive, negative, 1.0))


def test_texts_of_another_length_are_repeated_alike() -> None:
    # The host repeats texts of unequal length to a common one when it joins them in a batch.
    positive, negative = conditioning("sd15", 6, 1), conditioning("sd15", 9, 3)
    together = sample(avert(model("sd15")), positive, negative, 3.0, steps=1)
    apart = [sample(avert(model("sd15")), positive, negative, 1.0, steps=1), sample(model("sd15"), negative, positive, 1.0, steps=1)]
    assert change(apart[1] + 3.0 * (apart[0] - apart[1]), together) < CLOSE
