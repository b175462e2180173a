"""MiniMax H3: [text, keyframes or references, sound, video] in one sequence, where the text's length moves all positions behind it. The reference lets the
host lay out [N, P] as one long text and takes the negatives' length off the positions again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

CONFIG = {
    "image_model": "minimax_h3", "hidden_size": 64, "num_layers": 2, "token_refiner_num_layers": 1, "num_attention_heads": 2,
    "attention_head_dim": 32, "ffn_hidden_size": 96, "text_dim": 48, "timestep_input_dim": 32, "time_embed_hidden_size": 48,
    "time_embed_dim": 32, "rope_inv_freq_len": 4,
}  # fmt: skip
# Checkpoints come with a time embedder, or with a table of the curve that it makes.
CURVES = {**{key: value for key, value in CONFIG.items() if not key.startswith("time")}, "time_embed_dim": 12, "adaln_curve_grid": 21}
# 7 rows are padded to 8: 2 frames of 4 x 3 tokens; 5 latents of two channels of sound.
VIDEO, SOUND = (1, 24, 2, 7, 6), (1, 32, 2, 5)
VIDEO_TOKENS, SOUND_TOKENS = 24, 10


def build(config: dict[str, Any], seed: int = 0) -> Any:
    """Build the model; its tables are buffers, which come with the checkpoint."""
    patcher = _patcher(needs("MiniMaxH3"), dict(config), seed)
    model = patcher.model.diffusion_model
    model.rope.inv_freq.copy_(100.0 ** -(torch.arange(4) / 4))
    if hasattr(model, "adaln_t_table"):
        model.adaln_t_table.copy_(torch.randn(model.adaln_t_table.shape, generator=torch.Generator().manual_seed(seed)))
    for block in model.blocks:
        block.attn.q_norm.weight.copy_(block.attn.q_norm.weight.float() * 2.0)
    return patcher


def prompt(length: int, seed: int, **entries: Any) -> Conditioning:
    """Make a CONDITIONING as the text encoder gives it: with what kind of token each is."""
    return [
        [random_tokens(length, 48, seed), {"pooled_output": None, "minimax_token_tags": torch.ones(length, dtype=torch.long), **entries}]
    ]


def latent(batch: int) -> Any:
    """Make a latent of video and sound; the model takes one at a time, whatever `batch` says."""
    from comfy.nested_tensor import NestedTensor

    return NestedTensor((torch.zeros(VIDEO), torch.zeros(SOUND)))


def other_tokens(conditions: dict[str, Any]) -> int:
    """Count the tokens of sound, keyframes and references."""
    payload = conditions["minimax_payload"]
    pictures = [z.shape[2] * (z.shape[3] // 2) * (z.shape[4] // 2) for z in payload.get("cond_video_latents", [])]
    sounds = [2 * z.shape[-1] for z in payload.get("cond_audio_latents", [])]
    return SOUND_TOKENS + sum(pictures) + sum(sounds)


def order(layout: Layout) -> Sequence[int]:
    """The model's sequence is [N, P, R, I]."""
    text, rest = layout.total - layout.image - layout.reference, layout.total - layout.image
    return [*range(text), *range(rest, layout.total), *range(text, rest)]


def feed(conditions: dict[str, Any], layout: Layout) -> dict[str, Any]:
    payload = dict(conditions["minimax_payload"])
    tags = payload["text_token_tags"]
    payload["text_token_tags"] = torch.cat([tags.new_ones(sum(layout.negatives)), tags.flatten()])
    return {**conditions, "minimax_payload": payload}


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Move time back by the negatives' length, and let each negative end where the positive ends."""
    original, added, positive = model.rope_freqs, sum(layout.negatives), layout.positive

    def rope_freqs(ids: Tensor, device: Any) -> Tensor:
        ids = ids.clone()
        assert ids[added + positive - 1, 0] == added + positive - 1 and len(ids) == layout.total
        ids[added:, 0] -= added
        for span in layout.spans()["N"]:
            ids[list(span), 0] = torch.arange(positive - len(span), positive, dtype=ids.dtype)
        return original(ids, device)

    model.rope_freqs = rope_freqs
    try:
        yield
    finally:
        del model.rope_freqs


def spec(name: str, config: dict[str, Any]) -> Spec:
    return Spec(
        name=name,
        family="MiniMax H3",
        build=lambda: build(config),
        prompt=prompt,
        latent=latent,
        image_tokens=lambda x: VIDEO_TOKENS,
        calls=2,
        order=order,
        around=around,
        feed=feed,
        reference_tokens=other_tokens,
    )


SPECS = [spec("minimax_h3", CONFIG), spec("minimax_h3_curves", CURVES)]
