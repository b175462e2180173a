"""Check what a vision-language model is shown: pictures of a size that it can read, of a video its middle frame, made where nobody sees it."""

from __future__ import annotations

import math
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

import comfy.model_management
import comfy.utils
import latent_preview
import pytest
import torch
from avert.host import install
from avert.host.install import last_report
from avert.host.progress import quiet_progress
from avert.host.thumbnail import as_jpeg
from avert.host.watch.look import PICTURE_SIDE, Eye, linear_preview, shrunk
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

import company_runs
from family_spec import all_specs
from watched_runs import STATIC, Script, guided, picture, watched


class Decoder:
    """Stand for a VAE: each pixel is its latent's first channel, `times` as large as the latent, with so many frames for each of a video's."""

    def __init__(self, times: int, says: int | None = None, frames: int = 1) -> None:
        self.times, self.says, self.frames = times, says or times, frames
        self.decoded: list[torch.Tensor] = []

    def spacial_compression_decode(self) -> int:
        return self.says

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        self.decoded.append(latents)
        large = latents[:, :1].repeat_interleave(self.times, -1).repeat_interleave(self.times, -2)
        if latents.ndim == 4:
            return large.expand(-1, 3, -1, -1).movedim(1, -1)
        # Of several frames only the middle one is right.
        wrong = [torch.zeros_like(large)] * (self.frames // 2)
        return torch.cat([*wrong, large, *wrong], 2).expand(-1, 3, -1, -1, -1).movedim(1, -1)


def eye(vae: Any) -> Eye:
    """Look with a VAE at what a model says whose latents the host leaves as they are."""
    return Eye(vae, SimpleNamespace(model=SimpleNamespace(process_latent_out=lambda latent: latent)))


def test_large_latents_are_shrunk_before_they_are_decoded() -> None:
    """Decoding them would take more memory than sampling did; small ones are decoded as they are."""
    vae, latents = Decoder(8), torch.rand(2, 4, 96, 128)
    seen = eye(vae).see(latents)
    torch.testing.assert_close(vae.decoded[0], adaptive_avg_pool2d(latents, (48, 64)))
    assert [tuple(one.shape) for one in seen] == [(384, 512, 3)] * 2
    for one, latent in zip(seen, vae.decoded[0], strict=True):
        assert torch.equal(one[4::8, 4::8, 0], latent[0])
    small = torch.rand(1, 4, 64, 16)
    eye(vae).see(small)
    assert torch.equal(vae.decoded[1], small)


def test_pictures_that_are_larger_than_a_decoder_says_are_shrunk_before_they_are_shown() -> None:
    latents = torch.rand(1, 4, 96, 128)
    (seen,) = eye(Decoder(8, says=2)).see(latents)
    assert tuple(seen.shape) == (384, 512, 3)
    torch.testing.assert_close(
        seen[..., 0][None], adaptive_avg_pool2d(latents[:, 0].repeat_interleave(4, -1).repeat_interleave(4, -2), (384, 512))
    )


def test_large_previews_and_examples_are_shrunk_before_they_are_shown(demo_worlds: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    large = Image.new("RGB", (1024, 640), (255, 0, 51))
    monkeypatch.setattr(latent_preview, "get_previewer", lambda *args: SimpleNamespace(decode_latent_to_preview=lambda latent: large))
    (seen,) = Eye(None, demo_worlds["guided"][0]).see(torch.rand(1, 16, 8, 8))
    assert tuple(seen.shape) == (320, PICTURE_SIDE, 3)
    torch.testing.assert_close(seen[100, 100], torch.tensor([1.0, 0.0, 0.2]))
    assert tuple(shrunk(torch.rand(2, 640, 1024, 3)).shape) == (2, 320, PICTURE_SIDE, 3)


@pytest.mark.parametrize("frames", [1, 5])
def test_of_a_video_the_middle_frame_is_decoded_and_shown(frames: int) -> None:
    """Decoders make several frames of each of a latent's; nothing else of the video is decoded."""
    vae, latents = Decoder(8, frames=frames), torch.rand(2, 16, 7, 96, 128)
    seen = eye(vae).see(latents)
    torch.testing.assert_close(vae.decoded[0][:, :, 0], adaptive_avg_pool2d(latents[:, :, 3], (48, 64)))
    assert tuple(vae.decoded[0].shape) == (2, 16, 1, 48, 64)
    assert all(torch.equal(one[4::8, 4::8, 0], latent[0, 0]) for one, latent in zip(seen, vae.decoded[0], strict=True))


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give what the progress bar of the node that runs is told."""
    told: list[Any] = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda *args, **options: told.append(args))
    return told


def test_decoding_in_tiles_does_not_move_the_samplers_bar(
    demo_worlds: dict[str, Any], moved: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the host does by itself when the memory is full, and shows."""
    world, backend, tiles = demo_worlds["guided"], Script(), []
    decode = world[2].first_stage_model.decode

    def full_at_first(latents: torch.Tensor, **options: Any) -> torch.Tensor:
        tiles.append(latents)
        if len(tiles) == 1:
            raise comfy.model_management.OOM_EXCEPTION("out of memory")
        return decode(latents, **options)

    monkeypatch.setattr(world[2].first_stage_model, "decode", full_at_first)
    picture(guided(world, STATIC, watched(world, backend, "5")), world, 3.0)
    assert len(tiles) > 1 and len(backend.queries) == 1 and not moved
    world[2].decode_tiled_(torch.zeros(1, 16, 8, 8))
    assert moved, "the host shows no progress here any more"


def test_the_users_cancel_still_passes_where_the_bar_is_kept_still() -> None:
    comfy.model_management.interrupt_current_processing(True)
    try:
        with quiet_progress(), pytest.raises(comfy.model_management.InterruptProcessingException):
            comfy.utils.ProgressBar(2).update(1)
    finally:
        comfy.model_management.interrupt_current_processing(False)


class Listener:
    """Stand for a browser."""

    open = True

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []

    def send(self, run: str, part: dict[str, Any]) -> None:
        self.parts.append(part)


@pytest.mark.parametrize("name", ["ltx2", "ltx23", "minimax_h3"])
def test_of_a_video_with_sound_it_sees_the_middle_frame(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host packs both into one flat latent. The panel and the report show it too."""
    base, predicted, backend, listener = all_specs()[name].build(), [], Script(), Listener()

    def keep(args: dict[str, Any]) -> torch.Tensor:
        predicted.append(args["denoised"].clone())
        return args["denoised"]

    base.set_model_sampler_post_cfg_function(keep)
    monkeypatch.setattr(install, "contains_node", lambda name: True)
    monkeypatch.setattr(install, "open_channel", lambda: listener)
    source = watched((base, None, None), backend, "3", trial=all_specs()[name].prompt(3, 1))
    model = guided((base, None, None), STATIC, source)
    company_runs.run(name, model, 3.0, steps=4)
    (shown,) = (picture for query in backend.queries for picture in query.pictures)
    shape = base.model.latent_shapes[0]
    videos = [one[:, :, : math.prod(shape[1:])].reshape(shape)[:, :, shape[2] // 2, None] for one in predicted]
    drawn, last = (linear_preview(base.model.latent_format).decode_latent_to_preview(videos[step]) for step in (1, 3))
    expected = torch.tensor(list(drawn.getdata())).view(drawn.height, drawn.width, 3) / 255
    small = torch.nn.functional.interpolate(shown.movedim(-1, 0)[None], expected.shape[:2], mode="area")[0].movedim(0, -1)
    assert max(shown.shape) == 256 and shown.std() > 0.01
    assert torch.corrcoef(torch.stack([small.flatten(), expected.flatten()]))[0, 1] > 0.9
    report, told = last_report(model), listener.parts[-1]
    urls = (told["picture"], told["saw"][0]["picture"])
    kept = [report.picture, *report.shown[0].pictures.values(), *(unquote_to_bytes(url.split(",", 1)[1]) for url in urls)]
    images = [Image.open(BytesIO(one)) for one in kept]
    assert [one.format for one in images] == ["JPEG"] * 4 and kept[2] == report.picture == as_jpeg(last)
