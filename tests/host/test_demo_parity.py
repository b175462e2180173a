"""Check that the demo world's own models are the host's: same keys, same numbers, from random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.samplers
import pytest
import torch
from avert.demo.model.config import LATENT, MMDIT
from avert.demo.model.guided_attention import encode_negatives
from avert.demo.model.mmdit import MMDiT, position_table
from avert.demo.model.sampler import prompt, sigmas
from avert.demo.model.weights import load_autoencoder, load_few_step
from avert.host.demo import load_demo
from avert.host.demo_classes import PatchOne
from avert.host.encode import encode_negative

from demo_weights import OPERATIONS, host_unet, write_weights
from tiny import randomise
from tiny_clip import encode

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
TEXTS = ["", "A red house with a Chimney, and smoke", "zebra", "two faces with glasses and hats in the snow, outline style"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def world(folder: Path) -> tuple[Any, Any, Any]:
    return load_demo("few_step", folder)


def host_mmdit() -> PatchOne:
    return PatchOne(**MMDIT, dtype=torch.float32, device="cpu", operations=OPERATIONS)


@pytest.mark.parametrize(("height", "width", "words"), [(8, 8, 24), (10, 12, 24), (12, 10, 48), (1, 3, 2)])
@torch.inference_mode()
def test_mmdit_is_the_hosts(height: int, width: int, words: int) -> None:
    theirs, ours = randomise(host_mmdit(), seed=3), MMDiT()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    noise = torch.Generator().manual_seed(1)
    x = torch.randn(2, 16, height, width, generator=noise)
    context = torch.randn(2, words, 128, generator=noise)
    timesteps = torch.tensor([1000.0, 37.5])
    expected = theirs(x, timesteps, context=context)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(x, timesteps, context), expected, **TOLERANCE)


def test_fresh_mmdit_has_the_hosts_keys_and_gives_zero() -> None:
    ours = MMDiT()
    host_mmdit().load_state_dict(ours.state_dict(), strict=True)
    assert ours(torch.randn(1, 16, 8, 8), torch.tensor([500.0]), torch.randn(1, 24, 128)).abs().max() == 0


def test_mmdit_learns_in_every_parameter() -> None:
    ours = MMDiT()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    # The host has it too: nobody reads what the last block's text would see.
    unused = "joint_blocks.3.context_block.attn.ln_q.weight"
    ours(torch.randn(2, 16, 8, 8), torch.rand(2) * 1000, torch.randn(2, 24, 128)).square().mean().backward()
    assert all(p.grad.abs().max() > 0 for name, p in ours.named_parameters() if name != unused)


def test_positions_are_the_hosts() -> None:
    torch.testing.assert_close(position_table(8, 8, 192), host_mmdit().cropped_pos_embed((8, 8)))
    torch.testing.assert_close(position_table(6, 9, 192), host_mmdit().cropped_pos_embed((6, 9)))


def test_unet_config_builds_the_hosts_class() -> None:
    unet = host_unet()
    assert sum(p.numel() for p in unet.parameters()) <= 2_000_000
    randomise(unet, seed=1)
    out = unet(torch.randn(2, 16, 8, 8), timesteps=torch.tensor([3.0, 900.0]), context=torch.randn(2, 24, 128))
    assert out.shape == (2, 16, 8, 8) and out.isfinite().all()


@pytest.mark.parametrize("text", TEXTS)
@torch.inference_mode()
def test_prompt_is_the_hosts(world: tuple[Any, Any, Any], folder: Path, text: str) -> None:
    ours, _ = load_few_step(folder)
    ((theirs, options),) = encode(world[1], text)
    assert theirs.shape == (1, 24, 128) and options["pooled_output"].shape == (1, 128)
    torch.testing.assert_close(prompt(ours, text), theirs, **TOLERANCE)


@torch.inference_mode()
def test_negatives_are_avert_negative_prompts(world: tuple[Any, Any, Any], folder: Path) -> None:
    text = "glasses, hat\n\nChimneys"
    theirs = encode_negative(world[1], text).prompts
    ours = encode_negatives(load_few_step(folder)[0], text)
    assert [p.length for p in theirs] == [negative.shape[1] for negative in ours] == [4, 3]
    for p, negative in zip(theirs, ours, strict=True):
        torch.testing.assert_close(negative, p.embedding, **TOLERANCE)


@torch.inference_mode()
def test_autoencoder_is_the_hosts_vae(world: tuple[Any, Any, Any], folder: Path) -> None:
    ours, vae = load_autoencoder(folder), world[2]
    pixels = torch.rand(2, 64, 80, 3, generator=torch.Generator().manual_seed(4))
    latents = vae.encode(pixels)
    assert latents.shape == (2, 16, 8, 10)
    torch.testing.assert_close(ours.encode(pixels.movedim(-1, 1) * 2 - 1), latents, **TOLERANCE)
    decoded = (ours.decode(latents).movedim(1, -1) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(decoded, vae.decode(latents), **TOLERANCE)


@pytest.mark.parametrize("steps", [1, 4, 7, 8, 30])
def test_schedule_is_the_hosts(world: tuple[Any, Any, Any], steps: int) -> None:
    sampling = world[0].get_model_object("model_sampling")
    torch.testing.assert_close(sigmas(steps, sampling.shift), comfy.samplers.calculate_sigmas(sampling, "simple", steps))
    shifted = type(sampling)()
    shifted.set_parameters(shift=3.0)
    torch.testing.assert_close(sigmas(steps, 3.0), comfy.samplers.calculate_sigmas(shifted, "simple", steps))


def test_latent_scale_is_the_hosts(world: tuple[Any, Any, Any]) -> None:
    form = world[0].get_model_object("latent_format")
    assert {"scale": form.scale_factor, "shift": form.shift_factor} == LATENT
