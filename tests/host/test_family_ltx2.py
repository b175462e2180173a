"""LTX-2: the video is guided, and the audio hears of it only through the video. See test_family_ltx.py for what it shares with LTX-Video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import avert.host.install
import pytest
import torch
import torch._dynamo
from avert.guidance.attention.mechanism import NormalizedGuidance
from avert.host.install import last_report
from torch import Tensor

from family_spec import all_specs, flat, model_of, parts
from guided_runs import host_node, module_outline, patcher_outline
from ltx_runs import VSF, assert_nobody_notices, distance, guided, latents, padded, prompt
from spec_ltx import with_sound

WITH_SOUND = ["ltx2", "ltx23", "ltx2_raw", "ltx23_raw"]
# Tokens of the latent's video and of its sound.
VIDEO, SOUND = 24, 7
# Tokens of every text behind the connectors.
CONNECTED = 1024


def unheard(model: Any) -> Any:
    """Let the audio not attend to the video, by the host's own switch (LTXVModalityGuidance)."""
    clone = model.clone()
    clone.model_options["transformer_options"]["v2a_cross_attn"] = False
    return clone


@contextmanager
def contexts(model: Any, number: int = 0) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the texts that a block's attentions are called with."""
    found: dict[str, list[Tensor]] = {"attn2": [], "audio_attn2": []}
    block = model.model.diffusion_model.transformer_blocks[number]

    def note(name: str) -> Any:
        return lambda module, args, kwargs: found[name].append(kwargs["context"].clone())

    hooks = [getattr(block, name).register_forward_pre_hook(note(name), with_kwargs=True) for name in found]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize(("cfg", "batch", "lengths"), [(1.0, 1, (9, 9)), (3.0, 2, (9, 9)), (3.0, 1, (9, 6))])
@pytest.mark.parametrize("name", WITH_SOUND)
def test_the_audio_is_the_same_bits_while_it_does_not_listen_to_the_video(
    name: str, cfg: float, batch: int, lengths: tuple[int, int]
) -> None:
    model, latent = unheard(model_of(name)), with_sound(batch)
    positive, negative = (prompt(name, length, seed) for length, seed in zip(lengths, (1, 2), strict=True))
    for mechanism in (VSF, NormalizedGuidance(5.0, 2.5, 0.25)):
        runs = [
            latents(name, patched, positive, negative=negative, cfg=cfg, latent=latent)
            for patched in (model, guided(model, prompt(name, 5, 3), mechanism))
        ]
        (video, sound), (guided_video, guided_sound) = map(parts, runs)
        assert torch.equal(sound, guided_sound)
        assert distance(video, guided_video) > 1e-3 * video.norm()


@pytest.mark.parametrize("name", WITH_SOUND)
def test_the_audio_follows_the_video_where_it_listens(name: str) -> None:
    model = model_of(name)
    plain, steered = (latents(name, patched, prompt(name, 9, 1)) for patched in (model, guided(model, prompt(name, 5, 3))))
    assert distance(parts(plain)[1], parts(steered)[1]) > 0


@pytest.mark.parametrize("name", WITH_SOUND)
def test_the_audio_gets_its_own_text(name: str) -> None:
    model, tokens = model_of(name), CONNECTED if name.endswith("raw") else 9
    with contexts(model) as plain:
        latents(name, model, prompt(name, 9, 1), steps=1)
    with contexts(model) as found:
        latents(name, guided(model, prompt(name, 5, 3)), prompt(name, 9, 1), steps=1)
    assert found["attn2"][0].shape[1] == 5 + tokens
    assert torch.equal(found["audio_attn2"][0], plain["audio_attn2"][0])
    # A product of matrices of another height may round otherwise.
    torch.testing.assert_close(found["attn2"][0][:, 5:], plain["attn2"][0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ltx2_raw", "ltx23_raw"])
def test_of_the_registers_only_the_positive_has_any(name: str) -> None:
    """Behind 1024 tokens the connectors fill up to the next 128."""
    model = model_of(name)
    for positive, avoided in ((1030, 5), (9, 1030)):
        with contexts(model) as found:
            assert_nobody_notices(name, prompt(name, positive, 1), prompt(name, avoided, 3), steps=1)
        assert [text.shape[1] for text in found["attn2"][1:]] == [avoided + (1152 if positive > CONNECTED else CONNECTED)] * 2


@pytest.mark.parametrize("name", ["ltx2", "ltx23"])
def test_texts_as_long_as_video_or_sound(name: str) -> None:
    """Calls between video and sound have as many keys as the other has tokens."""
    for sound, avoided in ((SOUND, VIDEO - 9), (20, 20 - 9), (20, VIDEO - 9), (VIDEO, VIDEO - 9)):
        assert_nobody_notices(name, prompt(name, 9, 1), prompt(name, avoided, 3), latent=with_sound(1, sound))


def test_a_text_as_long_as_sound_with_a_voice_before_it() -> None:
    voice = {"tokens": torch.randn(1, 6, 128, generator=torch.Generator().manual_seed(0))}
    positive = prompt("ltx2", 9, 1, ref_audio=voice)
    assert distance(flat(latents("ltx2", model_of("ltx2"), positive)), flat(latents("ltx2", model_of("ltx2"), prompt("ltx2", 9, 1)))) > 0
    assert_nobody_notices("ltx2", positive, prompt("ltx2", SOUND + 6 - 9, 3))


@pytest.mark.parametrize("name", ["ltx2", "ltx23"])
def test_masked_padding_is_as_if_it_were_not_there(name: str) -> None:
    """Both streams share the mask, and their texts are of different length while the video is guided."""
    model, avoided = model_of(name), prompt(name, 5, 3)
    bare, long = (flat(latents(name, guided(model, avoided), text)) for text in (prompt(name, 9, 1), padded(prompt(name, 9, 1), 14)))
    assert distance(long, bare) < 1e-3 * distance(bare, flat(latents(name, model, prompt(name, 9, 1))))


@pytest.mark.parametrize("node", ["LTXVSpatioTemporalGuidance", "LTXVModalityGuidance"])
def test_beside_guidance_of_the_host(node: str) -> None:
    """Both evaluate the model once more in every step, with something missing."""
    settings = {"scale": 1.0, "blocks": "1"} if "Spatio" in node else {"modality_scale": 3.0}
    model = model_of("ltx2")
    patched = host_node("nodes_lt", node).execute(model, **settings, start_percent=0.0, end_percent=1.0)[0]
    assert distance(flat(latents("ltx2", patched, prompt("ltx2", 9, 1))), flat(latents("ltx2", model, prompt("ltx2", 9, 1)))) > 0
    assert_nobody_notices("ltx2", prompt("ltx2", 9, 1), prompt("ltx2", 5, 3), patched)


def test_nothing_to_guide_while_the_audio_runs_alone() -> None:
    model = model_of("ltx2").clone()
    model.model_options["transformer_options"].update(run_vx=False, a2v_cross_attn=False)
    plain, patched = latents("ltx2", model, prompt("ltx2", 9, 1)), guided(model, prompt("ltx2", 5, 3))
    assert torch.equal(flat(latents("ltx2", patched, prompt("ltx2", 9, 1))), flat(plain))
    assert {step["reason"] for step in last_report(patched).skipped} == {"the audio ran alone"}


def test_beside_another_node_in_a_block() -> None:
    """It is given the text that each stream is to have, and may call the block as it likes."""
    model, seen = model_of("ltx2"), []

    def replacement(arguments: dict[str, Any], extra: dict[str, Any]) -> Any:
        seen.append((arguments["v_context"].shape[1], arguments["a_context"].shape[1]))
        return extra["original_block"](arguments)

    other = model.clone()
    other.set_model_patch_replace(replacement, "dit", "double_block", 0)
    expected, made = (latents("ltx2", guided(patched, prompt("ltx2", 5, 3)), prompt("ltx2", 9, 1)) for patched in (model, other))
    assert torch.equal(flat(expected), flat(made)) and seen == [(14, 9)] * 2


def test_the_map_is_of_the_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avert.host.install, "contains_node", lambda name: True)
    patched = guided(model_of("ltx2"), prompt("ltx2", 5, 3))
    latents("ltx2", patched, prompt("ltx2", 9, 1))
    maps = last_report(patched).maps
    assert maps is not None and maps.shape == (2, 1, 3, 2, 4)
    assert maps.flatten(1).std(dim=1).min() > 0


def test_nothing_stays_behind_after_an_error() -> None:
    model, wrong = model_of("ltx2"), prompt("ltx2", 9, 1)
    before = patcher_outline(model), module_outline(model)

    def trouble(arguments: dict[str, Any], extra: dict[str, Any]) -> Any:
        raise InterruptedError

    other = model.clone()
    other.set_model_patch_replace(trouble, "dit", "double_block", 1)
    with pytest.raises(InterruptedError):
        latents("ltx2", guided(other, prompt("ltx2", 5, 3)), wrong)
    assert (patcher_outline(model), module_outline(model)) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ltx2", "ltx23"])
def test_compiled(name: str) -> None:
    """Also with another negative in a text that is as long as one before, which a graph could take for the same."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    torch._dynamo.reset()
    model = all_specs()[name].build()
    quick = model.clone()
    keep = {"guard_filter_fn": lambda entries: ["transformer_options" not in entry.name for entry in entries]}
    set_torch_compile_wrapper(model=quick, backend="eager", options=keep)
    for length, avoided in ((9, 0), (9, 5), (14, 0), (10, 4), (9, 5)):
        runs = [
            flat(latents(name, guided(one, prompt(name, avoided, 3)) if avoided else one, prompt(name, length, 1), steps=1))
            for one in (model, quick)
        ]
        assert distance(*runs) < 1e-4 * runs[0].norm()
    torch._dynamo.reset()
