"""Model families, found by what a model has, not by its name: subclasses and wrapped models are met on the way."""

from __future__ import annotations

from typing import Any

from .aura import AuraFlow
from .base import Family, Grid, Inputs, changed_text, restarted
from .chroma import Chroma
from .cogvideo import CogVideoX
from .cosmos import Anima, Cosmos, CosmosPredict2
from .flux import Flux
from .flux2 import Flux2, LongCatImage, OvisImage
from .hidream import HiDream
from .hunyuan import Hunyuan
from .ideogram import Ideogram4
from .joyimage import JoyImage
from .kandinsky import Kandinsky5
from .krea import Krea2
from .lens import Lens
from .ltx import LTXAudioVideo, LTXVideo
from .lumina import Lumina, ZImage
from .mage import MageFlow
from .minimax import MiniMaxH3
from .omnigen import Boogu, OmniGen2
from .qwen import QwenImage
from .sd3 import SD3
from .unet import UNet
from .wan import Wan

# The first that matches: Mage-Flow has all that Qwen-Image is known by.
FAMILIES: tuple[type[Family], ...] = (
    SD3,
    Flux,
    Flux2,
    OvisImage,
    LongCatImage,
    Chroma,
    HiDream,
    Hunyuan,
    MageFlow,
    QwenImage,
    MiniMaxH3,
    CogVideoX,
    JoyImage,
    Ideogram4,
    Krea2,
    AuraFlow,
    Lens,
    Kandinsky5,
    Lumina,
    ZImage,
    OmniGen2,
    Boogu,
    Wan,
    LTXVideo,
    LTXAudioVideo,
    Cosmos,
    CosmosPredict2,
    Anima,
    UNet,
)

__all__ = ["FAMILIES", "Family", "Grid", "Inputs", "changed_text", "find_family", "restarted"]


def find_family(model: Any) -> Family:
    """Return the family of a host model (a BaseModel); raise an error that names it when there is none."""
    for family in FAMILIES:
        found = family.match(model.diffusion_model)
        if found is not None:
            return found
    raise ValueError(
        f"Avert's attention guidance does not support this model ({type(model).__name__}); the README lists those that it does. Use an Avert node that works "
        "on predictions (Avert Negative Guidance, Avert DNG), or remove this one."
    )
