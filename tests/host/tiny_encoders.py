"""Build the text encoders of the host's newer models with tiny random weights: its own classes, and its own tokenizers where it has their files."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.sd
import comfy.supported_models_base
import pytest
import torch
import transformers

import tiny_tokenizers
from tiny_clip import CLIP_G, CLIP_L, T5
from tiny_weights import randomise

PACKAGE = "comfy.text_encoders"


def llm(layers: int, **more: Any) -> dict[str, Any]:
    """Shrink a language model; the layers that the host reads must be there."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        **more,
    }


@dataclass(frozen=True)
class Kind:
    """Describe one text encoder. key: its tokens' key; config: of its parts, by the names under which the host looks for them."""

    module: str
    # Names in the module, or what gives the classes.
    tokenizer: str | Callable[[], Any]
    model: str | Callable[[], Any]
    key: str
    config: Mapping[str, Any]
    made: bool = True  # `model` is a function that makes the class
    arguments: Mapping[str, Any] = field(default_factory=dict)
    data: Callable[[], Mapping[str, Any]] = dict


def _spiece() -> dict[str, Any]:
    return {"spiece_model": tiny_tokenizers.spiece()}


def _two_spieces() -> dict[str, Any]:
    return {"gemma_spiece_model": tiny_tokenizers.spiece(), "jina_spiece_model": tiny_tokenizers.spiece()}


def _tekken() -> dict[str, Any]:
    return {"tekken_model": tiny_tokenizers.tekken()}


def _gemma4() -> dict[str, Any]:
    return {"tokenizer_json": tiny_tokenizers.tokenizer_json(("<pad>", "<eos>", "<bos>"))}


def _gemma4_tokenizer() -> Any:
    lt, gemma4 = (importlib.import_module(f"{PACKAGE}.{name}") for name in ("lt", "gemma4"))
    return lt.ltxav_gemma4_tokenizer(gemma4.Gemma4_12B.tokenizer)


def _gemma4_model() -> Any:
    lt, gemma4 = (importlib.import_module(f"{PACKAGE}.{name}") for name in ("lt", "gemma4"))
    model = gemma4.gemma4_text_encoder_model(gemma4.Gemma4_12B)
    return functools.partial(lt.ltxav_te, text_encoder_model=model, text_encoder_key="gemma4", **DUAL)


# What sees and hears is large, and has nothing to do here.
SENSES = ("visual", "vision_model", "multi_modal_projector", "audio_projector")
PIECES = {"vocab_size": 512}
DUAL = {"text_projection_type": "dual_linear", "video_projection_dim": 48, "audio_projection_dim": 16}
QWEN25 = {"qwen25_7b": llm(4)}
QWEN3VL = {"qwen3vl_4b": llm(4), "qwen3vl_8b": llm(4), "qwen3vl_32b": llm(4)}
TAPPED = {"qwen3vl_4b": llm(36), "qwen3vl_8b": llm(36)}
GEMMA3 = llm(3, **PIECES)

# Language models: read forwards only.
LLMS = {
    "qwen_image": Kind("qwen_image", "QwenImageTokenizer", "te", "qwen25_7b", QWEN25),
    "hunyuan_image": Kind("hunyuan_image", "HunyuanImageTokenizer", "te", "qwen25_7b", QWEN25 | {"": T5}),
    "hunyuan_video_15": Kind("hunyuan_video", "HunyuanVideo15Tokenizer", "..hunyuan_image.te", "qwen25_7b", QWEN25 | {"": T5}),
    "kandinsky5": Kind("kandinsky5", "Kandinsky5Tokenizer", "te", "qwen25_7b", QWEN25 | {"clip_l": CLIP_L}),
    "longcat": Kind("longcat_image", "LongCatImageTokenizer", "te", "qwen25_7b", QWEN25),
    "omnigen2": Kind("omnigen2", "Omnigen2Tokenizer", "te", "qwen25_3b", {"qwen25_3b": llm(2)}),
    "z_image": Kind("z_image", "ZImageTokenizer", "te", "qwen3_4b", {"qwen3_4b": llm(3)}),
    "klein_4b": Kind("flux", "KleinTokenizer", "klein_te", "qwen3_4b", {"qwen3_4b": llm(28)}, arguments={"model_type": "qwen3_4b"}),
    "klein_9b": Kind("flux", "KleinTokenizer8B", "klein_te", "qwen3_8b", {"qwen3_8b": llm(28)}, arguments={"model_type": "qwen3_8b"}),
    "flux2": Kind("flux", "Flux2Tokenizer", "flux2_te", "mistral3_24b", {"mistral3_24b": llm(31, vocab_size=512)}, data=_tekken),
    "ernie": Kind("ernie", "ErnieTokenizer", "te", "ministral3_3b", {"ministral3_3b": llm(3, vocab_size=512)}, data=_tekken),
    "krea2": Kind("krea2", "Krea2Tokenizer", "te", "qwen3vl_4b", TAPPED),
    "mage_flow": Kind("mage_flow", "MageFlowTokenizer", "te", "qwen3vl_4b", QWEN3VL),
    "boogu": Kind("boogu", "BooguTokenizer", "te", "qwen3vl_8b", QWEN3VL),
    "joyimage": Kind("joyimage", "JoyImageTokenizer", "te", "qwen3vl_8b", QWEN3VL),
    "ideogram4": Kind("ideogram4", "Ideogram4Tokenizer", "te", "qwen3vl_8b", TAPPED),
    "minimax": Kind("minimax", "MiniMaxH3Tokenizer", "te", "qwen3vl_32b", QWEN3VL),
    "ovis": Kind("ovis", "OvisTokenizer", "te", "qwen3_2b", {"qwen3_2b": llm(2)}),
    "anima": Kind("anima", "AnimaTokenizer", "te", "qwen3_06b", {"qwen3_06b": llm(2)}),
    "lumina2": Kind("lumina2", "LuminaTokenizer", "te", "gemma2_2b", {"gemma2_2b": llm(3, **PIECES)}, data=_spiece),
    "gemma3_4b": Kind("lumina2", "NTokenizer", "te", "gemma3_4b", {"gemma3_4b": GEMMA3}, arguments={"model_type": "gemma3_4b"}, data=_spiece),
    "pixeldit": Kind("pixeldit", "PixelDiTGemma2Tokenizer", "pixeldit_te", "gemma2_2b", {"gemma2_2b": llm(3, **PIECES)}, data=_spiece),
    "ltx2": Kind(
        "lt", "LTXAVGemmaTokenizer", "ltxav_te", "gemma3_12b", {"": GEMMA3}, data=_spiece, arguments={"video_projection_dim": 48}
    ),
    "ltx2_dual": Kind("lt", "LTXAVGemmaTokenizer", "ltxav_te", "gemma3_12b", {"": GEMMA3}, data=_spiece, arguments=DUAL),
    "ltx2_gemma4": Kind("lt", _gemma4_tokenizer, _gemma4_model, "gemma4", {"": llm(2, **PIECES)}, data=_gemma4),
    "newbie": Kind("newbie", "NewBieTokenizer", "te", "gemma", {"": {"hidden_size": 32, "num_hidden_layers": 3, **PIECES}}, data=_two_spieces),
    "hunyuan_video": Kind("hunyuan_video", "HunyuanVideoTokenizer", "hunyuan_video_clip", "llama", {"llama": llm(4), "clip_l": CLIP_L}),
}  # fmt: skip
# T5 gives the rows.
T5S = {
    "ltxv": Kind("lt", "LTXVT5Tokenizer", "ltxv_te", "t5xxl", {"t5xxl": T5}),
    "mochi": Kind("genmo", "MochiT5Tokenizer", "mochi_te", "t5xxl", {"t5xxl": T5}),
    "cosmos": Kind("cosmos", "CosmosT5Tokenizer", "te", "t5xxl", {"t5xxl": T5}),
    "chroma": Kind("pixart_t5", "PixArtTokenizer", "pixart_te", "t5xxl", {"t5xxl": T5}),
    "cogvideo": Kind("cogvideo", "CogVideoXTokenizer", "cogvideo_te", "t5xxl", {"t5xxl": T5}),
    "aura": Kind("aura_t5", "AuraT5Tokenizer", "AuraT5Model", "pile_t5xl", {"pile_t5xl": T5}, made=False),
    "hidream": Kind(
        "hidream", "HiDreamTokenizer", "hidream_clip", "t5xxl", {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5, "llama": llm(2)}
    ),
}
KINDS = LLMS | T5S


# The host's real tokenizers, whose files take seconds to read.
SLOW = {cls: cls.from_pretrained for cls in (transformers.Qwen2Tokenizer, transformers.T5TokenizerFast, transformers.CLIPTokenizer)}


@functools.cache
def _tokenizer(cls: type, path: str) -> Any:
    """Read a tokenizer's files once for all encoders that have it."""
    tokenizer = SLOW[cls](path)
    tokenizer.get_vocab = functools.cache(tokenizer.get_vocab)
    return tokenizer


def has_llama_files() -> bool:
    module = importlib.import_module(f"{PACKAGE}.hunyuan_video")
    return os.path.isfile(os.path.join(os.path.dirname(module.__file__), "llama_tokenizer", "tokenizer.json"))


def _found(path: str | Callable[[], Any], module: str) -> Any:
    """Find a name in a module of the host's text encoders; "..other.name" is in another one."""
    try:
        if callable(path):
            return path()
        where, _, name = path.removeprefix("..").rpartition(".")
        return getattr(importlib.import_module(f"{PACKAGE}.{where or module}"), name)
    except (ImportError, AttributeError):
        pytest.skip(f"this host has no {module}.{path}")


@functools.cache
def _build(name: str, seed: int) -> comfy.sd.CLIP:
    """Build a CLIP as the host's loaders do, but for the sizes, and fill it with random weights."""
    kind = KINDS[name]
    tokenizer, model = (_found(path, kind.module) for path in (kind.tokenizer, kind.model))
    cpu = torch.device("cpu")
    options: dict[str, Any] = {"dtype": torch.float32, "load_device": cpu, "offload_device": cpu, "initial_device": cpu}
    options |= {f"{part}_model_config": dict(config) for part, config in kind.config.items()}
    target = comfy.supported_models_base.ClipTarget(tokenizer, model(**kind.arguments) if kind.made else model)
    with pytest.MonkeyPatch.context() as patch:
        for cls in SLOW:
            patch.setattr(cls, "from_pretrained", functools.partial(_tokenizer, cls))
        if name in ("hunyuan_video", "hidream") and not has_llama_files():
            hunyuan = importlib.import_module(f"{PACKAGE}.hunyuan_video")
            patch.setattr(hunyuan, "LlamaTokenizerFast", tiny_tokenizers.LlamaStandIn)
        clip = comfy.sd.CLIP(target, tokenizer_data=dict(kind.data()), model_options=options)
    for part in list(clip.cond_stage_model.modules()):
        for sense in SENSES:
            if hasattr(part, sense):
                setattr(part, sense, torch.nn.Identity())
    randomise(clip.cond_stage_model, seed)
    for path, buffer in clip.cond_stage_model.named_buffers():
        # Gemma 4 leaves these to the checkpoint.
        if path.endswith("layer_scalar"):
            buffer.fill_(1.0)
    return clip


def tiny_encoder(name: str, seed: int = 0) -> comfy.sd.CLIP:
    """Give a CLIP of a kind; a clone: options set on it stay with it."""
    return _build(name, seed).clone()
