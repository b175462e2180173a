"""Write random weights of the demo world's models, in the files and under the keys in which the trained ones come."""

from __future__ import annotations

from pathlib import Path

import comfy.ops
import torch
from avert.demo.model.autoencoder import Autoencoder
from avert.demo.model.config import UNET
from avert.demo.model.mmdit import MMDiT
from avert.demo.model.text_encoder import TextEncoder
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from safetensors.torch import save_file
from torch import nn

from tiny import randomise

OPERATIONS = comfy.ops.disable_weight_init


def host_unet() -> UNetModel:
    return UNetModel(**UNET, dtype=torch.float32, device="cpu", operations=OPERATIONS)


def write_weights(folder: Path, seed: int = 0) -> Path:
    """Write few_step, guided and autoencoder, in half precision as they are published."""
    variants: dict[str, tuple[nn.Module, nn.Module]] = {"few_step": (MMDiT(), TextEncoder()), "guided": (host_unet(), TextEncoder())}
    for number, (name, (model, text_encoder)) in enumerate(variants.items()):
        parts = {"diffusion_model": randomise(model, seed + number), "text_encoder": randomise(text_encoder, seed + number + 10)}
        entries = {f"{prefix}.{key}": value for prefix, part in parts.items() for key, value in part.state_dict().items()}
        save_file({key: value.half().contiguous() for key, value in entries.items()}, folder / f"{name}.safetensors")
    autoencoder = randomise(Autoencoder(), seed + 20).state_dict()
    save_file({key: value.half().contiguous() for key, value in autoencoder.items()}, folder / "autoencoder.safetensors")
    return folder
