"""Read the weights that come with the pack, and build the demo world's models with them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .autoencoder import Autoencoder
from .mmdit import MMDiT
from .text_encoder import TextEncoder

# Prefixes of the two models in a variant's file.
MODEL, TEXT_ENCODER = "diffusion_model.", "text_encoder."
FEW_STEP, GUIDED, AUTOENCODER = "few_step", "guided", "autoencoder"


def folder_of_weights() -> Path:
    """Give the folder that comes with the pack."""
    return Path(__file__).resolve().parent.parent / "weights"


def read_weights(name: str, folder: Path | None = None, prefix: str = "") -> dict[str, Tensor]:
    """Read <name>.safetensors in float32: the entries under `prefix`, without it."""
    path = (folder or folder_of_weights()) / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights of the demo world are not where they belong ({path}); install Avert again, or run demo/train_{name}.py in a clone."
        )
    return {key.removeprefix(prefix): value.to(torch.float32) for key, value in load_file(path).items() if key.startswith(prefix)}


def fill(model: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    """Put weights into a model that has exactly these."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(misfit(name)) from error
    model.requires_grad_(False).train(False)


def misfit(name: str) -> str:
    """Say that a file of weights is not the one for this model."""
    return f"The weights of the demo world in {name}.safetensors are another version's; install Avert again."


def load_text_encoder(variant: str, folder: Path | None = None) -> TextEncoder:
    """Build the text encoder of a variant."""
    text_encoder = TextEncoder()
    fill(text_encoder, read_weights(variant, folder, TEXT_ENCODER), variant)
    return text_encoder


def load_few_step(folder: Path | None = None) -> tuple[TextEncoder, MMDiT]:
    """Build the text encoder and the model of the few-step variant."""
    model = MMDiT()
    fill(model, read_weights(FEW_STEP, folder, MODEL), FEW_STEP)
    return load_text_encoder(FEW_STEP, folder), model


def load_autoencoder(folder: Path | None = None) -> Autoencoder:
    """Build the autoencoder, which both variants share."""
    autoencoder = Autoencoder()
    fill(autoencoder, read_weights(AUTOENCODER, folder), AUTOENCODER)
    return autoencoder
