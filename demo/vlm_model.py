"""A tiny Qwen3-VL for the demo world, of transformers' own classes: about a million parameters, with a tokenizer made for its few words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH, PATCH, MERGE, SIDE = 96, 8, 2, 64
PICTURE_TOKENS = (SIDE // PATCH // MERGE) ** 2


def build_tokenizer(texts: Iterable[str], words: int = 640) -> Any:
    """Make a byte-level tokenizer whose pieces are learned from `texts`."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=words, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False)
    )
    extra = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=extra
    )


def build_processor(tokenizer: Any) -> Any:
    """Make the processor; pictures are brought to 64 x 64 pixels whatever their size."""
    import transformers

    size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    options = {"patch_size": PATCH, "merge_size": MERGE, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size, **options),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=TEMPLATE,
    )


def build_model(words: int) -> Any:
    """Make the model with new weights."""
    import transformers

    vision = {
        "depth": 3, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_heads": 3, "out_hidden_size": WIDTH, "patch_size": PATCH,
        "spatial_merge_size": MERGE, "deepstack_visual_indexes": [1], "num_position_embeddings": (SIDE // PATCH) ** 2,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [8, 4, 4], "mrope_interleaved": True}
    text = {
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 3, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 32,
        "vocab_size": words, "rope_parameters": rope, "bos_token_id": None, "eos_token_id": SPECIAL.index("<|im_end|>"), "pad_token_id": 0,
    }  # fmt: skip
    ids = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>", "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **{key: SPECIAL.index(token) for key, token in ids.items()}
    )
    model = transformers.Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = SPECIAL.index("<|im_end|>")
    return model
