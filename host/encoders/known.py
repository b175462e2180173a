"""Which text encoders are known, by the keys under which the host's tokenizers give their tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...demo.model.tokenizer import END, START

# What the host's tokenizers give for one encoder: chunks of (token, weight).
Chunk = list[tuple[Any, ...]]
Tokens = dict[str, list[Chunk]]


@dataclass(frozen=True)
class Encoder:
    """Name a text encoder as the host does, and its special tokens."""

    name: str
    end: int | None = None
    start: int | None = None


# CLIP reads forwards only, and all of its 77 positions. "avert" is the demo world's, a CLIP with words of its own.
CLIPS = {key: Encoder(f"clip_{key}", end=49407, start=49406) for key in ("l", "g", "h")} | {"avert": Encoder("clip_avert", END, START)}
# These read in both directions, so that their padding is left out before they read. AuraFlow's has an end token of its own.
T5S = {key: Encoder(key, end=1) for key in ("t5xxl", "umt5xxl")} | {"pile_t5xl": Encoder("pile_t5xl", end=2)}
# Language models read forwards only. The host puts the words into a template, if the model was trained with one.
LLMS = {
    key: Encoder(key)
    for key in (
        "qwen25_7b",  # Qwen-Image, HunyuanImage, HunyuanVideo 1.5, Kandinsky 5, LongCat
        "qwen25_3b",  # OmniGen 2
        "qwen3_06b",  # Anima
        "qwen3_2b",  # Ovis
        "qwen3_4b",  # Z-Image, FLUX.2 Klein 4B
        "qwen3_8b",  # FLUX.2 Klein 9B
        "qwen3vl_4b",  # Krea 2, Mage-Flow
        "qwen3vl_8b",  # Ideogram 4, Boogu, JoyImage
        "qwen3vl_32b",  # MiniMax H3
        "mistral3_24b",  # FLUX.2 dev
        "ministral3_3b",  # Ernie
        "gemma2_2b",  # Lumina 2, PixelDiT
        "gemma3_4b",
        "gemma",  # NewBie
        "gemma3_12b",  # LTX-2
        "gemma4",  # LTX-2
        "llama",  # HunyuanVideo, HiDream
    )
}
# Weights are read out of a line here for these: for language models the host has them turned off, and AuraFlow's T5 would read a space behind each bracket.
WEIGHED_HERE = frozenset({*LLMS, "pile_t5xl"})
# It reads what stands in quotes, for models that write it into the picture.
GLYPHS = {"byt5": Encoder("byt5_small", end=1)}
# These give a pooled vector and no rows.
POOLED = {"jina": Encoder("jina")}
KNOWN = CLIPS | T5S | LLMS | GLYPHS | POOLED


def check_encoders(keys: Iterable[str]) -> None:
    """Refuse a text encoder of which it is not known what is padding."""
    unknown = [key for key in keys if key not in KNOWN]
    if unknown:
        raise ValueError(
            f"Avert does not know this text encoder ({', '.join(unknown)}) and where its padding is; it knows CLIP, T5, UMT5 and the language models of "
            "ComfyUI's picture and video models. Use CLIP Text Encode and connect its CONDITIONING to `negative`, or, for a vision-language model that "
            "watches, a node that works on predictions."
        )


def is_loaded(clip: Any, key: str) -> bool:
    """Tell whether the host's text model has this encoder; SD3 keeps tokens for encoders that were not loaded."""
    return getattr(clip.cond_stage_model, KNOWN[key].name, None) is not None


def main_model(clip: Any, keys: Iterable[str]) -> str | None:
    """Name the language model whose rows are the prompt; None if CLIP or T5 give them (HiDream has T5 beside a language model)."""
    keys = list(keys)
    if any(hasattr(clip.cond_stage_model, KNOWN[key].name) for key in keys if key in T5S):
        return None
    return next((key for key in keys if key in LLMS), None)
