"""Build folders of vision-language models as they are published, of transformers' own classes, with tiny random weights and a tokenizer of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from avert.host.transformers_vlm import TransformersBackend, load_vlm
from avert.vlm.backend import Example, Query
from avert.vlm.instructions import instruction
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")
GEMMA_TEMPLATE = (
    "{% for m in messages %}<start_of_turn>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}<start_of_image>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SMOL_END = "<end_of_utterance>"
SMOL_TOKENS = ("<pad>", "<eos>", "<bos>", SMOL_END, "<image>", "<fake_token_around_image>", "<global-img>")
SMOL_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}:{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


def byte_tokenizer(special: tuple[str, ...], extra: dict[str, str], **named: str) -> transformers.PreTrainedTokenizerFast:
    """Make a tokenizer of single bytes behind the special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*special, *letters])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=extra, **named)


def _qwen_tokenizer() -> transformers.PreTrainedTokenizerFast:
    extra = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    return byte_tokenizer(QWEN_TOKENS, extra, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def _ids(tokens: tuple[str, ...], **named: str) -> dict[str, int]:
    return {key: tokens.index(token) for key, token in named.items()}


QWEN_IDS = _ids(
    QWEN_TOKENS,
    image_token_id="<|image_pad|>",
    video_token_id="<|video_pad|>",
    vision_start_token_id="<|vision_start|>",
    vision_end_token_id="<|vision_end|>",
)


def qwen25() -> tuple[Any, Any]:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    text = {**TEXT, "vocab_size": len(QWEN_TOKENS) + 256, "rope_parameters": {**ROPE, "mrope_section": [4, 2, 2]}}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **QWEN_IDS)
    images = transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=112 * 112)
    processor = transformers.Qwen2_5_VLProcessor(
        image_processor=images,
        tokenizer=_qwen_tokenizer(),
        video_processor=transformers.Qwen2VLVideoProcessor(),
        chat_template=QWEN_TEMPLATE,
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3() -> tuple[Any, Any]:
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32, "patch_size": 16, "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 256,
    }  # fmt: skip
    rope = {**ROPE, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    text = {**TEXT, "vocab_size": len(QWEN_TOKENS) + 256, "rope_parameters": rope}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **QWEN_IDS)
    size = {"shortest_edge": 64 * 64, "longest_edge": 128 * 128}
    images = transformers.Qwen2VLImageProcessor(patch_size=16, size=size)
    processor = transformers.Qwen3VLProcessor(
        image_processor=images,
        tokenizer=_qwen_tokenizer(),
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=QWEN_TEMPLATE,
    )
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    extra = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = byte_tokenizer(GEMMA_TOKENS, extra, eos_token="<eos>", pad_token="<pad>", bos_token="<bos>")
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
    }
    text = {**TEXT, "vocab_size": len(GEMMA_TOKENS) + 256, "sliding_window": 64}
    ids = _ids(GEMMA_TOKENS, image_token_index="<image_soft_token>", boi_token_index="<start_of_image>", eoi_token_index="<end_of_image>")
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, **ids)
    images = transformers.Gemma3ImageProcessor(size={"height": 56, "width": 56})
    processor = transformers.Gemma3Processor(image_processor=images, tokenizer=tokenizer, chat_template=GEMMA_TEMPLATE, image_seq_length=4)
    return transformers.Gemma3ForConditionalGeneration(config), processor


def smol() -> tuple[Any, Any]:
    extra = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": SMOL_END,
    }
    tokenizer = byte_tokenizer(SMOL_TOKENS, extra, eos_token=SMOL_END, pad_token="<pad>", bos_token="<bos>")
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    }
    text = {"model_type": "llama", **TEXT, "vocab_size": len(SMOL_TOKENS) + 256, "pad_token_id": 0}
    config = transformers.SmolVLMConfig(
        text_config=text, vision_config=vision, scale_factor=2, image_token_id=SMOL_TOKENS.index("<image>"), pad_token_id=0
    )
    images = transformers.SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 64}, do_image_splitting=False)
    processor = transformers.SmolVLMProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=transformers.SmolVLMVideoProcessor(),
        image_seq_len=4,
        chat_template=SMOL_TEMPLATE,
    )
    return transformers.SmolVLMForConditionalGeneration(config), processor


KINDS = {"qwen2.5-vl": qwen25, "qwen3-vl": qwen3, "gemma3": gemma3, "smolvlm": smol}


def write_vlm(kind: str, folder: Path) -> Path:
    """Write a model folder, in safetensors."""
    torch.manual_seed(7)
    model, processor = KINDS[kind]()
    # Random models as initialised say the same whatever they see.
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim > 1:
                value.normal_(0, 0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def load(kind: str, folder: Path) -> TransformersBackend:
    """Load a model of a kind, which is written to the folder if it is not there yet; skip what this Python cannot run."""
    if kind == "smolvlm":
        pytest.importorskip("num2words", reason="transformers' SmolVLM needs the package num2words, which ComfyUI does not bring")
    own = folder / kind
    return load_vlm(own if own.exists() else write_vlm(kind, own), "default")


def pictures(count: int) -> list[torch.Tensor]:
    return [torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(i)) for i in range(count)]


def query(shown: Sequence[torch.Tensor], examples: int = 1, tokens: int = 6, **more: Any) -> Query:
    return Query(instruction("custom", "hats"), shown, tuple(Example(one, "hat") for one in pictures(examples)), tokens, **more)
