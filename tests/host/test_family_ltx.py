"""LTX-Video and the video of LTX-2: masks of the text, frames of guides, and calls that are as long as the text."""

from __future__ import annotations

import inspect
from typing import Any

import avert.host.install
import pytest
import torch
from avert.guidance.attention.mechanism import NormalizedGuidance
from avert.host.families import find_family
from avert.host.install import last_report
from avert.host.negative import Negative, Prompt
from torch import Tensor

from family_spec import Conditioning, all_specs, model_of, random_tokens
from guided_runs import host_node
from ltx_runs import VSF, assert_nobody_notices, distance, guided, latents, padded, prompt

BOTH = ["ltxv", "ltx2_silent"]
NAG = NormalizedGuidance(5.0, 2.5, 0.25)
# Tokens of the latent: 3 frames of 2 x 4.
TOKENS = 24


def guide_frames(
    name: str, cond: Conditioning, count: int, sparse: bool = False, strength: float = 1.0
) -> tuple[Conditioning, Tensor, Tensor]:
    """Append frames of a guide as LTXVAddGuide does; sparse: every other place of them, as of an IC-LoRA on a small grid.

    Returns the prompt with their places, the latent, and its noise mask.
    """
    add = host_node("nodes_lt", "LTXVAddGuide")
    latent, guide = all_specs()[name].latent(1), 0.3 * random_tokens(128 * count, 8, 7).view(1, 128, count, 2, 4)
    mask = torch.full((1, 1, count, 2, 4), -strength if sparse else 1 - strength)
    if sparse:
        mask[..., ::2, ::2] = 1 - strength
    cond = add.add_keyframe_index(cond, 0, guide, (8, 32, 32))
    if strength != 1.0 and hasattr(add, "dilate_latent"):
        entry = {"pre_filter_count": 8 * count, "strength": strength, "pixel_mask": None, "latent_shape": [count, 2, 4]}
        cond = [[tokens, {**options, "guide_attention_entries": [entry]}] for tokens, options in cond]
    return cond, torch.cat([latent, guide], dim=2), torch.cat([torch.ones(1, 1, 3, 2, 4), mask], dim=2)


def sparse_guides() -> bool:
    return hasattr(host_node("nodes_lt", "LTXVAddGuide"), "dilate_latent")


@pytest.mark.parametrize("mechanism", [VSF, NAG])
@pytest.mark.parametrize("name", BOTH)
def test_masked_padding_is_as_if_it_were_not_there(name: str, mechanism: Any) -> None:
    """In the positive, where the model gets the mask, and in LTX-Video's negative, where we cut it off."""
    model, avoided = model_of(name), prompt(name, 5, 3)
    bare = latents(name, guided(model, avoided, mechanism), prompt(name, 9, 1))
    effect = distance(bare, latents(name, model, prompt(name, 9, 1)))
    long = latents(name, guided(model, avoided, mechanism), padded(prompt(name, 9, 1), 14))
    assert distance(long, bare) < 1e-3 * effect
    if name == "ltxv":
        long = latents(name, guided(model, padded(avoided, 12), mechanism), prompt(name, 9, 1))
        assert distance(long, bare) < 1e-3 * effect


def test_masks_of_a_batch() -> None:
    """Guided and unguided rows are in one call at cfg 3, each with the mask of its own text."""
    model, avoided = model_of("ltxv"), prompt("ltxv", 5, 3)
    positive, negative = padded(prompt("ltxv", 9, 1), 14), padded(prompt("ltxv", 6, 2), 14)
    together = latents("ltxv", guided(model, avoided), positive, negative=negative, cfg=3.0)
    apart = latents("ltxv", guided(model, avoided), prompt("ltxv", 9, 1), negative=prompt("ltxv", 6, 2), cfg=3.0)
    plain = latents("ltxv", model, positive, negative=negative, cfg=3.0)
    assert distance(together, apart) < 1e-3 * distance(together, plain)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("mechanism", [VSF, NAG])
@pytest.mark.parametrize("name", BOTH)
def test_frames_of_a_guide_see_the_text_as_without_us(name: str, mechanism: Any, sparse: bool) -> None:
    model = model_of(name)
    if sparse and not sparse_guides():
        pytest.skip("this host has no sparse guides")
    positive, latent, mask = guide_frames(name, prompt(name, 9, 1), 2, sparse)
    seen: list[Tensor] = []
    hook = model.model.diffusion_model.transformer_blocks[0].attn2.register_forward_hook(lambda *call: seen.append(call[2].clone()))
    try:
        for patched in (model, guided(model, prompt(name, 5, 3), mechanism)):
            latents(name, patched, positive, latent=latent, noise_mask=mask, steps=1)
    finally:
        hook.remove()
    plain, steered = seen
    assert plain.shape[1] == TOKENS + (4 if sparse else 16)
    assert distance(steered[:, TOKENS:], plain[:, TOKENS:]) < 1e-5 * plain[:, TOKENS:].norm()
    assert (steered - plain)[:, :TOKENS].norm(dim=-1).min() > 1e-3 * plain[:, :TOKENS].norm(dim=-1).max()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", BOTH)
def test_a_text_as_long_as_a_video_with_a_guide(name: str, sparse: bool) -> None:
    """A guide's strength is a mask on self-attention, whose queries then come in parts: fewer than keys, as with the text."""
    model_of(name)
    if not sparse_guides():
        pytest.skip("this host has no strengths of guides")
    positive, latent, mask = guide_frames(name, prompt(name, 9, 1), 1, sparse, strength=0.5)
    tokens = TOKENS + (2 if sparse else 8)
    assert_nobody_notices(name, positive, prompt(name, tokens - 9, 3), latent=latent, noise_mask=mask)


@pytest.mark.parametrize("name", BOTH)
def test_a_text_as_long_as_the_video(name: str) -> None:
    for length in (TOKENS - 10, TOKENS - 9, TOKENS - 8):
        assert_nobody_notices(name, prompt(name, 9, 1), prompt(name, length, 3))


def test_the_map_is_of_the_video_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avert.host.install, "contains_node", lambda name: True)
    positive, latent, mask = guide_frames("ltxv", prompt("ltxv", 9, 1), 2)
    patched = guided(model_of("ltxv"), prompt("ltxv", 5, 3))
    latents("ltxv", patched, positive, latent=latent, noise_mask=mask)
    maps = last_report(patched).maps
    assert maps is not None and maps.shape == (2, 1, 3, 2, 4)
    # Each place has its own share: nothing was averaged away.
    assert maps.flatten(1).std(dim=1).min() > 0


@pytest.mark.parametrize("name", BOTH)
def test_long_video_in_windows(name: str) -> None:
    model, latent = model_of(name), torch.zeros(1, 128, 6, 2, 4)
    node = host_node("nodes_context_windows", "ContextWindowsManualNode")
    # 0.3.64 does not know of free noise.
    known = {key: False for key in ("freenoise",) if key in inspect.signature(node.execute).parameters}
    windows = node.execute(model, 3, 1, "standard_static", 1, False, "pyramid", 2, **known)[0]
    assert distance(latents(name, windows, prompt(name, 9, 1), latent=latent), latents(name, model, prompt(name, 9, 1), latent=latent)) > 0
    assert_nobody_notices(name, prompt(name, 9, 1), prompt(name, TOKENS - 9, 3), windows, latent=latent)


@pytest.mark.parametrize(("name", "part"), [("ltxv", "attn2"), ("ltx2", "attn2"), ("ltx2", "audio_attn2")])
def test_relatives_are_refused(name: str, part: str) -> None:
    model = all_specs()[name].build()
    assert find_family(model.model).name == all_specs()[name].family
    delattr(model.model.diffusion_model.transformer_blocks[0], part)
    with pytest.raises(ValueError, match="does not support this model"):
        find_family(model.model)


def test_negatives_of_other_encoders_are_refused() -> None:
    model = model_of("ltxv")
    with pytest.raises(ValueError, match="encoded for another model"):
        guided(model, [[random_tokens(5, 32, 3), {"pooled_output": None}]])
    with pytest.raises(ValueError, match="a LTX-Video model reads t5xxl"):
        guided(model, Negative((Prompt(random_tokens(5, 48, 3), tokens={"umt5xxl": 5}),)))
