"""Build the host's real CLIP objects with the host's real tokenizers and tiny random text models, on the CPU in float32.

The host lets model_options["<name>_model_config"] override the configuration of a text model (comfy/sd1_clip.py, SDClipModel),
so nothing is replaced. Widths stay the real ones, because the encoders join and pad to them: `tiny_run.WIDTHS` fits.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models_base
import comfy.text_encoders.flux
import comfy.text_encoders.sd3_clip
import comfy.text_encoders.wan
import sentencepiece
import torch

from tiny_weights import randomise

# The penultimate layer is read, and the host asserts 2 < layers.
CLIP_L = {"num_hidden_layers": 3, "intermediate_size": 64}
CLIP_G = {"num_hidden_layers": 3, "intermediate_size": 64}
T5 = {"num_layers": 1, "d_ff": 64, "d_kv": 16, "num_heads": 2}

SENTENCES = (
    "a photo of a woman with glasses reading a book in the garden",
    "a cat sleeps on the red sofa, soft light, high quality, detailed",
    "subtitles, watermark, text, logo, blurry, low quality, extra fingers",
    "an old man walks along the beach at sunset while the waves roll in",
    "a bowl of fruit without apples: grapes, oranges (ripe) and one banana",
)


@functools.cache
def sentencepiece_model() -> bytes:
    """Train a model of some hundred pieces with UMT5's ids: pad 0, end 1, start 2, unknown 3; any text can be encoded."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20), model_writer=model, model_type="bpe", vocab_size=400,
        hard_vocab_limit=False, byte_fallback=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3, num_threads=1, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def _umt5() -> dict[str, Any]:
    """Shrink UMT5's vocabulary too: its tokenizer comes with the checkpoint, and here it is our own."""
    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model()).get_piece_size()
    return {**T5, "vocab_size": pieces}


def _target(kind: str) -> tuple[type, Callable]:
    """Return (tokenizer class, text model class) as comfy.supported_models gives them for a family."""
    sd3 = comfy.text_encoders.sd3_clip
    return {
        "sd1": lambda: (comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel),
        "sdxl": lambda: (comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel),
        "sd3": lambda: (sd3.SD3Tokenizer, sd3.sd3_clip(dtype_t5=torch.float32)),
        "sd3_no_t5": lambda: (sd3.SD3Tokenizer, sd3.sd3_clip(t5=False)),
        "flux": lambda: (comfy.text_encoders.flux.FluxTokenizer, comfy.text_encoders.flux.flux_clip(dtype_t5=torch.float32)),
        "wan": lambda: (comfy.text_encoders.wan.WanT5Tokenizer, comfy.text_encoders.wan.te(dtype_t5=torch.float32)),
    }[kind]()


@functools.cache
def _build(kind: str, seed: int) -> comfy.sd.CLIP:
    """Build a CLIP as the host's loaders do, but for the sizes, and fill it with random weights."""
    tokenizer, model = _target(kind)
    cpu = torch.device("cpu")
    options: dict[str, Any] = {
        "dtype": torch.float32, "load_device": cpu, "offload_device": cpu, "initial_device": cpu,
        "clip_l_model_config": CLIP_L, "clip_g_model_config": CLIP_G, "t5xxl_model_config": T5,
    }  # fmt: skip
    tokenizer_data: dict[str, Any] = {}
    if kind == "wan":
        options["umt5xxl_model_config"] = _umt5()
        tokenizer_data["spiece_model"] = torch.frombuffer(bytearray(sentencepiece_model()), dtype=torch.uint8)
    target = comfy.supported_models_base.ClipTarget(tokenizer, model)
    clip = comfy.sd.CLIP(target, tokenizer_data=tokenizer_data, model_options=options)
    randomise(clip.cond_stage_model, seed)
    return clip


def tiny_clip(kind: str, seed: int = 0) -> comfy.sd.CLIP:
    """Give a CLIP of `kind`: "sd1", "sdxl", "sd3", "sd3_no_t5", "flux" or "wan". A clone: options set on it stay with it."""
    return _build(kind, seed).clone()


@torch.inference_mode()
def encode(clip: comfy.sd.CLIP, text: str) -> list[list]:
    """Run what CLIPTextEncode runs."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


KINDS = ("sd1", "sdxl", "sd3", "sd3_no_t5", "flux", "wan")
