"""Build the host's text encoders that see pictures, whole but small, with random weights; and transformers' own models with the same weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.supported_models_base
import pytest
import safetensors.torch
import torch
import transformers
from avert.host.textgen import ClipBackend
from avert.vlm.backend import Example, Query
from avert.vlm.instructions import instruction

import tiny_tokenizers
from tiny_clip import T5
from tiny_weights import randomise

CPU = torch.device("cpu")
WIDE, TALL = (112, 168), (168, 112)
LLM = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1, "num_key_value_heads": 1}
SMALL_EYE = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 2}
QWEN35_TOKENS = tuple(
    (token, 248044 + i)
    for i, token in enumerate(
        (
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "3",
            "4",
            "5",
            "6",
            "7",
            "8",
            "<|vision_start|>",
            "<|vision_end|>",
            "11",
            "<|image_pad|>",
        )
    )
)
GEMMA4_TOKENS = (("<|turn>", 105), ("<turn|>", 106), ("<|image>", 107), ("<image|>", 108), ("<|image|>", 258880))


def _module(name: str) -> Any:
    return pytest.importorskip(f"comfy.text_encoders.{name}", reason=f"this host has no {name}")


def _clip(tokenizer: Any, model: Any, configs: dict[str, Any], data: dict[str, Any] | None = None) -> comfy.sd.CLIP:
    options: dict[str, Any] = {"dtype": torch.float32, "load_device": CPU, "offload_device": CPU, "initial_device": CPU}
    options |= {f"{name}_model_config": config for name, config in configs.items()}
    target = comfy.supported_models_base.ClipTarget(tokenizer, model)
    clip = comfy.sd.CLIP(target, tokenizer_data=data or {}, model_options=options)
    randomise(clip.cond_stage_model, 3)
    for path, buffer in clip.cond_stage_model.named_buffers():
        # Gemma 4 leaves these to the checkpoint.
        if path.endswith("layer_scalar"):
            buffer.fill_(1.0)
    return clip


def _qwen25(module: str, tokenizer: str, layers: int = 2) -> Callable[[pytest.MonkeyPatch], comfy.sd.CLIP]:
    def build(patch: pytest.MonkeyPatch) -> comfy.sd.CLIP:
        qwen_vl, own = _module("qwen_vl"), _module(module)
        eye = qwen_vl.Qwen2VLVisionTransformer
        small = functools.partial(eye, intermediate_size=128, num_heads=2, num_layers=8)
        patch.setattr(qwen_vl, "Qwen2VLVisionTransformer", lambda hidden_size, **options: small(hidden_size=64, **options))
        return _clip(getattr(own, tokenizer), own.te(), {"qwen25_7b": {**LLM, "num_hidden_layers": layers}, "": T5})

    return build


def _qwen3(module: str, tokenizer: str, make: str, size: str) -> Callable[[pytest.MonkeyPatch], comfy.sd.CLIP]:
    def build(patch: pytest.MonkeyPatch) -> comfy.sd.CLIP:
        qwen3vl, own = _module("qwen3vl"), _module(module)
        small = {"hidden_size": 64, "intermediate_size": 128, "depth": 2, "deepstack_visual_indexes": [0, 1]}
        patch.setitem(qwen3vl.QWEN3VL_VISION, size, small)
        # Krea 2 and Ideogram 4 read certain layers, up to the last.
        layers = 36 if module in ("krea2", "ideogram4") else 2
        made = (
            (getattr(own, tokenizer)(size), getattr(own, make)(model_type=size))
            if module == "qwen3vl"
            else (getattr(own, tokenizer), getattr(own, make)())
        )
        return _clip(*made, {size: {**LLM, "num_hidden_layers": layers}})

    return build


def _qwen35(patch: pytest.MonkeyPatch) -> comfy.sd.CLIP:
    qwen35 = _module("qwen35")
    small = {"hidden_size": 64, "num_heads": 2, "intermediate_size": 128, "depth": 2}
    patch.setitem(qwen35.QWEN35_MODELS, "qwen35_2b", {"vision": small})
    patch.setattr(transformers.Qwen2Tokenizer, "from_pretrained", lambda path: tiny_tokenizers.standing_in(QWEN35_TOKENS))
    linear = {"linear_num_key_heads": 1, "linear_num_value_heads": 1, "layer_types": ["linear_attention"] * 3 + ["full_attention"]}
    return _clip(qwen35.tokenizer("qwen35_2b"), qwen35.te(model_type="qwen35_2b"), {"qwen35_2b": {**LLM, **linear, "num_hidden_layers": 4}})


def _gemma3(patch: pytest.MonkeyPatch, config: str) -> None:
    llama = _module("llama")
    for key, value in {**SMALL_EYE, "image_size": 56}.items():
        patch.setitem(llama.GEMMA3_VISION_CONFIG, key, value)
    patch.setattr(getattr(llama, config), "mm_tokens_per_image", 4)


def _gemma3_4b(patch: pytest.MonkeyPatch) -> comfy.sd.CLIP:
    _gemma3(patch, "Gemma3_4B_Vision_Config")
    lumina2 = _module("lumina2")
    model = lumina2.te(model_type="gemma3_4b_vision")
    return _clip(
        lumina2.NTokenizer, model, {"gemma3_4b_vision": {**LLM, "num_hidden_layers": 3}}, {"spiece_model": tiny_tokenizers.spiece()}
    )


def _ltx2(patch: pytest.MonkeyPatch) -> comfy.sd.CLIP:
    _gemma3(patch, "Gemma3_12B_Config")
    lt = _module("lt")
    return _clip(lt.LTXAVGemmaTokenizer, lt.ltxav_te(video_projection_dim=48), {"": LLM}, {"spiece_model": tiny_tokenizers.spiece()})


def _gemma4(patch: pytest.MonkeyPatch) -> comfy.sd.CLIP:
    gemma4 = _module("gemma4")
    eye = {**SMALL_EYE, "head_dim": 32, "position_embedding_size": 1024}
    for key, value in eye.items():
        patch.setitem(gemma4.GEMMA4_VISION_31B_CONFIG, key, value)
    data = {"tokenizer_json": tiny_tokenizers.tokenizer_json(("<pad>", "<eos>", "<bos>"), GEMMA4_TOKENS)}
    return _clip(gemma4.Gemma4_31B.tokenizer, gemma4.gemma4_te(model_class=gemma4.Gemma4_31B), {"gemma4": LLM}, data)


KINDS: dict[str, Callable[[pytest.MonkeyPatch], comfy.sd.CLIP]] = {
    "qwen_image": _qwen25("qwen_image", "QwenImageTokenizer"),
    "hunyuan_image": _qwen25("hunyuan_image", "HunyuanImageTokenizer", 4),
    "qwen3vl": _qwen3("qwen3vl", "tokenizer", "te", "qwen3vl_4b"),
    "qwen35": _qwen35,
    "krea2": _qwen3("krea2", "Krea2Tokenizer", "te", "qwen3vl_4b"),
    "mage_flow": _qwen3("mage_flow", "MageFlowTokenizer", "te", "qwen3vl_4b"),
    "boogu": _qwen3("boogu", "BooguTokenizer", "te", "qwen3vl_8b"),
    "joyimage": _qwen3("joyimage", "JoyImageTokenizer", "te", "qwen3vl_8b"),
    "ideogram4": _qwen3("ideogram4", "Ideogram4Qwen3VLTokenizer", "te_qwen3vl", "qwen3vl_8b"),
    "gemma3_4b": _gemma3_4b,
    "ltx2": _ltx2,
    "gemma4": _gemma4,
    "minimax": _qwen3("minimax", "MiniMaxH3Tokenizer", "te", "qwen3vl_32b"),
}  # fmt: skip
# MiniMax takes what its last layers would read.
WHOLE = tuple(kind for kind in KINDS if kind != "minimax")


@functools.cache
def seeing_clip(kind: str) -> comfy.sd.CLIP:
    """Give a CLIP of a kind; on hosts that let none of them write, the test is skipped."""
    if not hasattr(comfy.sd.CLIP, "generate"):
        pytest.skip("this host lets no text encoder write")
    with pytest.MonkeyPatch.context() as patch:
        clip = KINDS[kind](patch)
    return clip


def model_of(clip: comfy.sd.CLIP) -> Any:
    """Give the language model with its eye."""
    stage = clip.cond_stage_model
    return getattr(stage, stage.clip).transformer


def with_file(clip: comfy.sd.CLIP, folder: Path, tensors: dict[str, torch.Tensor]) -> comfy.sd.CLIP:
    """Give a clone that seems to have been loaded from a file, as the host's loader notes it."""
    file = folder / "model.safetensors"
    safetensors.torch.save_file(tensors, file)
    found = clip.clone()
    found.patcher.cached_patcher_init = (comfy.sd.load_clip_model_patcher, ([str(file)], None, comfy.sd.CLIPType.QWEN_IMAGE, {}))
    return found


def twin(kind: str, clip: comfy.sd.CLIP) -> tuple[Any, torch.Tensor]:
    """Give transformers' own model with a CLIP's weights, and its output layer, which the host may not have."""
    tokens = {"image_token_id": 151655, "video_token_id": 151656, "vision_start_token_id": 151652, "vision_end_token_id": 151653}
    eye = {"hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": LLM["hidden_size"]}
    if kind == "qwen_image":
        rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
        text = {**LLM, "vocab_size": 152064, "rope_parameters": rope, "tie_word_embeddings": False}
        vision = {**eye, "depth": 8, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7]}
        config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **tokens)
        model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    else:
        rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True}
        text = {**LLM, "vocab_size": 151936, "head_dim": 128, "rope_parameters": rope}
        vision = {**eye, "num_heads": 16, "depth": 2, "patch_size": 16, "num_position_embeddings": 2304, "deepstack_visual_indexes": [0, 1]}
        config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **tokens)
        model = transformers.Qwen3VLForConditionalGeneration(config)
    ours = model_of(clip).state_dict()
    names = {name: name.replace("model.visual.", "visual.").replace("model.language_model.", "model.") for name in model.state_dict()}
    model.load_state_dict({name: ours[mine] for name, mine in names.items() if mine in ours}, strict=False)
    head = model.lm_head.weight.data
    if kind == "qwen_image":
        head.normal_(0, head.shape[1] ** -0.5, generator=torch.Generator().manual_seed(5))
    return model.train(False), head


def logits_of(backend: ClipBackend, asked: Query) -> torch.Tensor:
    """Give the first token's logits, through the whole path."""
    seen: list[torch.Tensor] = []
    model, before = backend._writer._model, backend._writer._choosing

    def choosing(query: Query) -> Any:
        choose = before(query)
        return lambda logits, *args, **options: (seen.append(logits.clone()), choose(logits, *args, **options))[1]

    backend._writer._choosing = choosing  # type: ignore[method-assign]
    try:
        backend.ask(asked)
    finally:
        del backend._writer._choosing
    assert "sample_token" not in vars(model)
    return seen[0][0]


def shown(size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.rand(*size, 3, generator=torch.Generator().manual_seed(seed))


def query(*pictures: torch.Tensor, examples: int = 1, **more: Any) -> Query:
    return Query(instruction("custom", "hats"), pictures, (Example(shown(TALL, 9), "hat"),) * examples, 4, **more)
