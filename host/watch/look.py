"""Turn a predicted latent into small pictures, for a vision-language model to look at."""

from __future__ import annotations

from typing import Any

import comfy.utils
import latent_preview
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..families.base import unpacked
from ..progress import quiet_progress

# Large latents are shrunk before they are decoded, and pictures before they are shown; previews of one pixel per latent are enlarged.
PICTURE_SIDE, PREVIEW_SIDE = 512, 256
NO_PICTURE = "This model makes no pictures that a vision-language model could look at (its latent is {shape}); use another negative."
NO_PREVIEW = "This model ({model}) has no fast preview; connect its VAE to `vae` of Avert VLM Negative."


def check_picture(latent: Tensor) -> None:
    """Refuse latents that are no pictures or videos, before anything is sampled."""
    if latent.ndim not in (4, 5):
        raise ValueError(NO_PICTURE.format(shape=list(latent.shape)))


def picture_part(latent: Tensor, model: Any) -> Tensor:
    """Give the pictures of a run's latent, without the sound that some models (LTX-2, MiniMax H3) pack behind them."""
    return unpacked(latent, {"latent_shapes": getattr(model, "latent_shapes", None)})[0]


def middle_frame(latent: Tensor) -> Tensor:
    """Give the middle frame of a video, [B, C, 1, h, w], and pictures as they are."""
    middle = latent.shape[2] // 2
    return latent[:, :, middle : middle + 1] if latent.ndim == 5 else latent


class Eye:
    """Look at the pictures of one run. `vae` None: with the preview decoder that the host would use, or the model's linear one."""

    def __init__(self, vae: Any, patcher: Any) -> None:
        self._vae = vae
        self._model = patcher.model
        self._previewer: Any = None if vae is not None else self._preview_decoder(patcher)

    def _preview_decoder(self, patcher: Any) -> Any:
        latent_format = self._model.latent_format
        chosen = latent_preview.get_previewer(patcher.load_device, latent_format) or linear_preview(latent_format)
        if chosen is None:
            raise ValueError(NO_PREVIEW.format(model=type(self._model).__name__))
        return chosen

    def see(self, denoised: Tensor) -> list[Tensor]:
        """Give a picture, [H, W, 3] in 0..1 on the CPU, of each predicted latent, as the sampler has it; of a video its middle frame."""
        if self._previewer is None:
            # Before the sound is cut off: what the host does to a latent on its way out depends on where in it that lies.
            return self._decoded(self._frames(self._model.process_latent_out(denoised.float())))
        return [self._preview(one) for one in self._frames(denoised).split(1)]

    def _frames(self, latent: Tensor) -> Tensor:
        return middle_frame(picture_part(latent, self._model))

    def _decoded(self, latents: Tensor) -> list[Tensor]:
        side = max(1, PICTURE_SIDE // int(self._vae.spacial_compression_decode()))
        with quiet_progress():
            pictures: Tensor = self._vae.decode(within(latents, side))
        if pictures.ndim == 5:
            pictures = pictures[:, pictures.shape[1] // 2]
        small = within(pictures[..., :3].movedim(-1, 1).float(), PICTURE_SIDE)
        return list(small.movedim(1, -1).clamp(0, 1).cpu())

    def _preview(self, denoised: Tensor) -> Tensor:
        image = self._previewer.decode_latent_to_preview(denoised).convert("RGB")
        picture = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3).float() / 255
        channels = within(picture.movedim(-1, 0)[None], PICTURE_SIDE)
        longest = max(channels.shape[-2:])
        if longest < PREVIEW_SIDE:
            channels = interpolate(channels, scale_factor=PREVIEW_SIDE / longest, mode="bilinear", antialias=True)
        return channels[0].movedim(0, -1).clamp(0, 1)


def linear_preview(latent_format: Any) -> Any:
    """Give the host's fastest preview decoder, a matrix from latent to colour; None for formats that have none."""
    if latent_format.latent_rgb_factors is None:
        return None
    # Formats that pack their latents need a third argument, which old hosts do not know.
    reshape = getattr(latent_format, "latent_rgb_factors_reshape", None)
    options = (latent_format.latent_rgb_factors_bias, *(() if reshape is None else (reshape,)))
    return latent_preview.Latent2RGBPreviewer(latent_format.latent_rgb_factors, *options)


def shrunk(pictures: Tensor) -> Tensor:
    """Shrink pictures [N, H, W, C] to the size in which pictures are shown."""
    return within(pictures.movedim(-1, 1), PICTURE_SIDE).movedim(1, -1)


def within(values: Tensor, side: int) -> Tensor:
    """Shrink [B, C, H, W] or [B, C, 1, H, W] so that no side is longer."""
    height, width = values.shape[-2:]
    if max(height, width) <= side:
        return values
    share = side / max(height, width)
    small: Tensor = comfy.utils.common_upscale(values, max(1, round(width * share)), max(1, round(height * share)), "area", "disabled")
    return small
