"""Check MiniMax H3 where it differs from other families: keyframes, references and sound beside the video, masks, windows, pictures in the text."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import avert.host.install
import comfy.ops
import pytest
import torch
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.attention.strands import Segment
from avert.host.families import FAMILIES, find_family
from avert.host.families.base import Grid, Inputs
from avert.host.guide import guide
from avert.host.install import last_report
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from family_reference import Reference
from family_spec import all_specs, model_of, needs
from reference.branches import Nag, Nasa, Vsf
from spec_minimax import SOUND, VIDEO, latent, prompt
from tiny import sample

NAME = "minimax_h3"
VSF = ValueSignFlip(1.2, 0.0)
NOT_SEEN = ValueSignFlip(1.0, 1e4)
WINDOW = (0.0, 1.0)


def noise(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_pictures(length: int) -> dict[str, Any]:
    """Let some of the text be what the text encoder made of a picture."""
    tags = torch.ones(length, dtype=torch.long)
    tags[2:6] = 0
    return {"minimax_token_tags": tags}


def with_keyframes(length: int) -> dict[str, Any]:
    """Add a first frame, and a clip with its sound later, as MiniMaxH3ImageToVideo and MiniMaxH3AddGuide do."""
    frames = [
        {"resolved_frame_index": 0, "latent": noise(1, 24, 1, 8, 6)},
        {"resolved_frame_index": 2, "latent": noise(1, 24, 1, 8, 6, seed=8), "audio_latent": noise(1, 32, 2, 2)},
    ]
    return {**with_pictures(length), "minimax_keyframes": frames}


def with_references(length: int) -> dict[str, Any]:
    """Add a picture, a video with sound and a sound of its own, as MiniMaxH3ReferenceToVideo does."""
    clip = {
        "latent_t": 2,
        "latent_h": 4,
        "latent_w": 4,
        "ref_audio_t": 3,
        "latent": noise(1, 24, 2, 4, 4),
        "audio_latent": noise(1, 32, 2, 3),
    }
    blocks = [
        {"kind": "image", "latent_h": 6, "latent_w": 4, "latent": noise(1, 24, 1, 6, 4)},
        {"kind": "video_audio", **clip},
        {"kind": "audio", "ref_audio_t": 4, "audio_latent": noise(1, 32, 2, 4)},
    ]
    return {**with_pictures(length), "minimax_refs": blocks}


def with_nothing(length: int) -> dict[str, Any]:
    return {}


ENTRIES = {"nothing": with_nothing, "pictures": with_pictures, "keyframes": with_keyframes, "references": with_references}


def streams(model: Any, entries: str = "nothing", cfg: float = 1.0, **options: Any) -> list[Tensor]:
    """Sample a video and its sound, with the same pictures beside both prompts."""
    positive, negative = (prompt(length, seed, **ENTRIES[entries](length)) for length, seed in ((9, 1), (11, 2)))
    return sample(model, positive, negative, cfg, **{"steps": 2, "latent": latent(1)} | options).unbind()


def run(model: Any, entries: str = "nothing", cfg: float = 1.0, **options: Any) -> Tensor:
    return torch.cat([part.flatten() for part in streams(model, entries, cfg, **options)]).double()


def guided(model: Any, mechanism: Any = VSF, length: int = 5) -> Any:
    return guide(model, mechanism, prompt(length, 3), WINDOW, "")


@pytest.mark.parametrize(
    ("ours", "dense"),
    [(VSF, Vsf(0, 1.2, 0.0)), (NormalizedGuidance(5.0, 2.5, 0.25), Nag(0, 5.0, 2.5, 0.25)), (NegativeAway(0.3), Nasa(0, 0.3))],
)
@pytest.mark.parametrize("entries", ["pictures", "keyframes", "references"])
def test_exact_beside_pictures_and_sounds(entries: str, ours: Any, dense: Any) -> None:
    model = model_of(NAME)
    plain, found = run(model, entries, 3.0), run(guided(model, ours), entries, 3.0)
    with Reference(all_specs()[NAME], dense, prompt(5, 3)).on(model) as patched:
        expected = run(patched, entries, 3.0)
    effect = (expected - plain).norm()
    assert effect > 0.003 * plain.norm()
    assert (found - expected).norm() <= 1e-3 * effect
    # The pictures do something at all.
    assert (run(model, "nothing", 3.0) - plain).norm() > effect * 1e-3


@pytest.mark.parametrize("entries", ENTRIES)
def test_a_negative_that_the_video_does_not_see_changes_nothing(entries: str) -> None:
    model = model_of(NAME)
    plain = run(model, entries)
    effect = (run(guided(model), entries) - plain).norm()
    assert (run(guided(model, NOT_SEEN, 40), entries) - plain).norm() < 1e-4 * effect


def test_the_video_is_guided_and_the_sound_follows_it() -> None:
    """Sound attends to the video, so that it changes with it, but in the last block, where only its own rows count, not at all."""
    model = model_of(NAME)
    (video, sound), (other_video, other_sound) = streams(model, steps=1), streams(guide(model, VSF, prompt(5, 3), WINDOW, "1"), steps=1)
    assert (other_video - video).norm() > 1e-3 * video.norm()
    assert (other_sound - sound).norm() < 1e-5 * sound.norm()


def test_masks_keep_their_meaning() -> None:
    model = model_of(NAME)
    start = type(latent(1))((noise(*VIDEO), noise(*SOUND)))
    mask = type(start)((torch.ones(1, 1, 2, 7, 6), torch.ones(1, 1, 2, 5)))
    mask.tensors[0][:, :, 0], mask.tensors[1][..., :2] = 0.0, 0.5
    masked: dict[str, Any] = {"latent": start, "noise_mask": mask}
    plain = run(model, **masked)
    effect = (run(guided(model), **masked) - plain).norm()
    assert effect > 1e-3 * plain.norm()
    assert (run(guided(model, NOT_SEEN), **masked) - plain).norm() < 1e-4 * effect
    assert (run(model, latent=start) - plain).norm() > effect * 1e-2


def by_frames(executor: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Evaluate the model for each frame alone with the sound, as a node for windows would, and take the mean of the sounds."""
    frame, size = (1, 24, 1, 7, 6), 24 * 7 * 6
    video, sound = x[..., : 2 * size].unflatten(-1, (24, 2, -1)), x[..., 2 * size :]
    alone = [
        executor(torch.cat([video[..., i, :].flatten(2), sound], -1), *args, **{**kwargs, "latent_shapes": [frame, SOUND]})
        for i in range(2)
    ]
    frames = torch.stack([one[..., :size].unflatten(-1, (24, -1)) for one in alone], -2)
    return torch.cat([frames.flatten(2), (alone[0] + alone[1])[..., size:] / 2], -1)


@pytest.mark.parametrize("entries", ["nothing", "keyframes", "references"])
def test_windows_of_a_longer_video(entries: str) -> None:
    """The layout that the host made before the run is of the whole video, and the host makes another where it does not fit."""
    model = model_of(NAME).clone()
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "by frames", by_frames)
    plain, found = run(model, entries), run(guided(model), entries)
    one_frame = dataclasses.replace(all_specs()[NAME], image_tokens=lambda x: 12)
    with Reference(one_frame, Vsf(0, 1.2, 0.0), prompt(5, 3)).on(model) as patched:
        expected = run(patched, entries)
    effect = (expected - plain).norm()
    assert effect > 1e-3 * plain.norm() and (found - expected).norm() <= 1e-3 * effect
    assert (run(model_of(NAME), entries) - plain).norm() > effect * 1e-2


def test_pictures_in_a_negative_are_refused() -> None:
    model = guide(model_of(NAME), VSF, prompt(8, 3, **with_pictures(8)), WINDOW, "")
    with pytest.raises(ValueError, match="has pictures in it"):
        run(model)


def test_another_nodes_attention_may_take_containers() -> None:
    """The host hands its tensors over in containers; ours asks for tensors, also where another node's function below ours knows containers."""

    def theirs(func: Any, *args: Any, **kwargs: Any) -> Tensor:
        taken.append(isinstance(args[0], Tensor))
        return func(*args, **kwargs)

    def in_containers(*args: Any, **kwargs: Any) -> Tensor:
        raise AssertionError("the guided call was not ours")

    taken: list[bool] = []
    theirs.container_function = in_containers  # type: ignore[attr-defined]
    model = model_of(NAME).clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = theirs
    expected, plain = run(guided(model_of(NAME))), run(model_of(NAME))
    assert (run(guided(model)) - expected).norm() < 1e-3 * (expected - plain).norm()
    assert taken and all(taken)


def test_the_layout_of_copies() -> None:
    """The released layout's copies are text too: they end where the positive ends, as the negatives do."""
    family = find_family(model_of(NAME).model)
    plan: Any = SimpleNamespace(segments=(Segment(0, 4), Segment(4, 2)), negative=6, added=12, text=21, grid=Grid(2, 4, 3))
    payload = {"text_token_tags": torch.tensor([1, 0, 0, 0, 1, 1, 1, 1, 1]), "keyframes": None}
    fed = family.feed(Inputs(torch.zeros(1, 21, 64), {"minimax_payload": payload, "latent_shapes": [VIDEO, SOUND]}, {}), plan)
    made = fed.conditions["minimax_payload"]
    assert made["layout"].position_ids[:21, 0].tolist() == [5, 6, 7, 8, 7, 8, 3, 4, 5, 6, 7, 8, *range(9)]
    assert made["layout"].segments == [(0, 21, "text"), (21, 31, "audio"), (31, 55, "video")]
    assert made["layout"].signature == (21, 2, 8, 6, 5)
    assert made["text_token_tags"].tolist() == [1] * 13 + [0] * 3 + [1] * 5
    assert len(payload) == 2 and len(payload["text_token_tags"]) == 9


def test_maps_are_of_the_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avert.host.install, "contains_node", lambda name: name == "AvertReport")
    model = guided(model_of(NAME))
    run(model)
    maps = last_report(model).maps
    assert maps is not None and tuple(maps.shape[-3:]) == (2, 4, 3)


def test_the_music_model_is_no_relative() -> None:
    needs("MiniMaxMusic3")
    from comfy.ldm.minimax_music.dit import MiniMaxMusic3DiT

    model = MiniMaxMusic3DiT(dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init)
    assert all(family.match(model) is None for family in FAMILIES)
