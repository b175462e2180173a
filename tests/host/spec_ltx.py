"""LTX-Video and LTX-2: cross-attention with a mask; of LTX-2's two streams only the video's text has the negatives in it.

The audio of the dense reference gets its own text by cutting what its attention is called with, after everything else was done with both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

VIDEO = {
    "image_model": "ltxv", "in_channels": 128, "num_layers": 2, "attention_head_dim": 32, "num_attention_heads": 2, "cross_attention_dim": 64,
    "caption_channels": 48, "positional_embedding_max_pos": [20, 2048, 2048],
}  # fmt: skip
# As released: 2.0 projects a text of the connectors' width in the model; 2.3 before its connectors, and its blocks modulate and gate.
AUDIO = {
    **VIDEO, "image_model": "ltxav", "audio_in_channels": 128, "audio_cross_attention_dim": 48, "audio_attention_head_dim": 24,
    "audio_num_attention_heads": 2, "connector_attention_head_dim": 24, "connector_num_attention_heads": 2, "rope_type": "split",
    "use_middle_indices_grid": True, "frequencies_precision": "float64",
}  # fmt: skip
LATER = {
    **AUDIO, "caption_proj_before_connector": True, "caption_projection_first_linear": False, "cross_attention_adaln": True, "apply_gated_attention": True,
    "connector_apply_gated_attention": True, "connector_attention_head_dim": 32, "audio_connector_attention_head_dim": 24,
}  # fmt: skip
# What comes out of the connectors: as wide as what the model takes for both streams.
CONNECTED, CONNECTED_LATER = 2 * 48, 64 + 48


def masked_prompt(length: int, seed: int) -> Conditioning:
    """Give what LTX-Video's T5 gives: tokens and a mask over them."""
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "attention_mask": torch.ones(1, length, dtype=torch.long)}]]


def connected_prompt(width: int) -> Any:
    return lambda length, seed: [[random_tokens(length, width, seed), {"pooled_output": None}]]


def raw_prompt(width: int) -> Any:
    """Give what a text encoder gives whose embeddings the model's connectors are still to go over."""
    return lambda length, seed: [[random_tokens(length, width, seed), {"pooled_output": None, "unprocessed_ltxav_embeds": True}]]


def video(batch: int, frames: int = 3) -> Tensor:
    return torch.zeros(batch, 128, frames, 2, 4)


def with_sound(batch: int, length: int = 7) -> Any:
    needs("LTXAV")
    # Hosts without that model have no packed latents either.
    from comfy.nested_tensor import NestedTensor

    return NestedTensor([video(batch), torch.zeros(batch, 8, length, 16)])


def own_tokens(conditions: dict[str, Any], length: int) -> Tensor:
    """Take the text's own tokens, which the connectors put first."""
    return conditions["c_crossattn"].cond[:, :length]


def wider_mask(conditions: dict[str, Any], layout: Layout) -> dict[str, Any]:
    mask = torch.ones(conditions["attention_mask"].shape[0], layout.total, dtype=torch.long)
    return {**conditions, "attention_mask": mask}


@contextmanager
def deaf_audio(model: Any, layout: Layout) -> Iterator[None]:
    """Cut the negatives off the text of the audio's attention."""
    with ExitStack() as stack:
        for block in model.transformer_blocks:
            attend = block.audio_attn2.forward

            def forward(x: Tensor, *args: Any, context: Tensor, attend: Any = attend, **options: Any) -> Tensor:
                return attend(x, *args, context=context[:, sum(layout.negatives) :], **options)

            block.audio_attn2.forward = forward
            stack.callback(delattr, block.audio_attn2, "forward")
        yield


def _spec(name: str, family: str, config: dict[str, Any], prompt: Any, kind: str, **more: Any) -> Spec:
    return Spec(
        name=name,
        family=family,
        build=lambda: _patcher(needs(kind), dict(config), 0),
        prompt=prompt,
        image_tokens=lambda x: 3 * 2 * 4,
        calls=2,
        joint=False,
        **more,
    )


SPECS = [
    _spec("ltxv", "LTX-Video", VIDEO, masked_prompt, "LTXV", latent=video, feed=wider_mask),
    _spec("ltx2_silent", "LTX-2", AUDIO, connected_prompt(CONNECTED), "LTXAV", latent=video, around=deaf_audio),
    _spec("ltx2", "LTX-2", AUDIO, connected_prompt(CONNECTED), "LTXAV", latent=with_sound, around=deaf_audio),
    _spec("ltx23", "LTX-2", LATER, connected_prompt(CONNECTED_LATER), "LTXAV", latent=with_sound, around=deaf_audio),
    _spec("ltx2_raw", "LTX-2", AUDIO, raw_prompt(48), "LTXAV", latent=with_sound, around=deaf_audio, tokens=own_tokens),
    _spec("ltx23_raw", "LTX-2", LATER, raw_prompt(64 + 48), "LTXAV", latent=with_sound, around=deaf_audio, tokens=own_tokens),
]
