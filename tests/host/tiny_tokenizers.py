"""Make the tokenizers that come with a checkpoint, or that this host lacks the files of: small ones with the real special tokens."""

from __future__ import annotations

import base64
import functools
import json

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from tiny_clip import sentencepiece_model

# How GPT-4, Llama 3 and Mistral's tekken split words, before merging letters.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# Ids by which the host finds where Llama's template ends (comfy/text_encoders/hunyuan_video.py).
LLAMA = {"user": 882, "\u010a\u010a": 271}
LLAMA_SPECIAL = {
    "<|begin_of_text|>": 128000, "<|start_header_id|>": 128006, "<|end_header_id|>": 128007, "<|eot_id|>": 128009, "<pad>": 128258,
}  # fmt: skip
TEKKEN_SPECIAL = {
    "<unk>": 0, "<s>": 1, "</s>": 2, "[INST]": 3, "[/INST]": 4, "<pad>": 11, "[SYSTEM_PROMPT]": 17, "[/SYSTEM_PROMPT]": 18,
}  # fmt: skip
# Some words are one token, as in a real vocabulary.
MERGED = (" man", " with", " glasses", " old", " cat", " dog", "man", "with", "glasses", "old", "cat", "dog")


def _merges(words: tuple[str, ...]) -> tuple[list[str], list[tuple[str, str]]]:
    """List what letters are joined to on the way to whole words."""
    joined: list[str] = []
    pairs: list[tuple[str, str]] = []
    for word in words:
        for i in range(1, len(word)):
            if word[: i + 1] not in joined:
                joined.append(word[: i + 1])
                pairs.append((word[:i], word[i]))
    return joined, pairs


def _byte_level(ids: dict[str, int], special: dict[str, int], first: int) -> Tokenizer:
    """Make a byte-level tokenizer; ids: of tokens that must have theirs; first: id of the first byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    joined, pairs = _merges((*(word.replace(" ", "\u0120") for word in MERGED), *ids))
    vocab = {token: first + i for i, token in enumerate([*letters, *(token for token in joined if token not in ids)])}
    tokenizer = Tokenizer(models.BPE(vocab={**vocab, **ids, **special}, merges=pairs))
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


class LlamaStandIn:
    """Stand for the host's LlamaTokenizerFast."""

    @staticmethod
    @functools.cache
    def from_pretrained(path: str) -> transformers.PreTrainedTokenizerFast:
        tokenizer = _byte_level(LLAMA, LLAMA_SPECIAL, first=1000)
        begin = "<|begin_of_text|>"
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, LLAMA_SPECIAL[begin])])
        return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@functools.cache
def tokenizer_json(special: tuple[str, ...], placed: tuple[tuple[str, int], ...] = ()) -> torch.Tensor:
    """Write a tokenizer.json as a checkpoint holds it, with special tokens from id 0 on, and others at ids of their own."""
    tokenizer = _byte_level({}, {token: i for i, token in enumerate(special)} | dict(placed), first=110)
    return torch.tensor(list(tokenizer.to_str().encode()), dtype=torch.uint8)


@functools.cache
def standing_in(special: tuple[tuple[str, int], ...]) -> transformers.PreTrainedTokenizerFast:
    """Stand for a tokenizer whose files a host may lack, with special tokens at their ids."""
    return transformers.PreTrainedTokenizerFast(tokenizer_object=_byte_level({}, dict(special), first=1000))


@functools.cache
def tekken() -> torch.Tensor:
    """Write Mistral's tokenizer as a checkpoint holds it."""
    joined, _ = _merges(MERGED)
    tokens = [bytes([i]) for i in range(256)] + [token.encode() for token in joined]
    vocab = [{"rank": i, "token_bytes": base64.b64encode(token).decode()} for i, token in enumerate(tokens)]
    special = [{"rank": rank, "token_str": token} for token, rank in TEKKEN_SPECIAL.items()]
    config = {"default_num_special_tokens": 20, "default_vocab_size": 20 + len(vocab)}
    return torch.tensor(list(json.dumps({"config": config, "vocab": vocab, "special_tokens": special}).encode()), dtype=torch.uint8)


def spiece() -> torch.Tensor:
    """Give Gemma's place to a model of some hundred pieces, with Gemma's ids for padding, end and begin."""
    return torch.frombuffer(bytearray(sentencepiece_model()), dtype=torch.uint8)
