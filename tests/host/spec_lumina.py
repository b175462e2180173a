"""Lumina 2, NewBie and Z-Image: text and image share the first axis of the positions, and Z-Image pads both to a multiple of 32.

The reference lets the model embed [N, P] as one text, and then writes its padding and all positions itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.ldm.lumina.model
import comfy.supported_models
import torch
from torch import Tensor

from family_spec import Conditioning, Spec, needs, random_tokens
from reference.dense import Layout
from tiny_models import _patcher

# NewBie's pooled text.
POOLED = 24
LUMINA = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 64, "n_layers": 2, "n_refiner_layers": 2, "n_heads": 2,
    "n_kv_heads": 1, "qk_norm": True, "cap_feat_dim": 48, "axes_dims": [8, 12, 12], "axes_lens": [300, 512, 512],
}  # fmt: skip
# The width of its modulation, 256, is fixed.
ZIMAGE = {
    **LUMINA, "dim": 256, "n_heads": 4, "n_kv_heads": 4, "axes_dims": [16, 24, 24], "rope_theta": 256.0, "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
}  # fmt: skip
PIXELS = {
    **ZIMAGE, "image_model": "zimage_pixel", "patch_size": 4, "in_channels": 3, "decoder_in_channels": 48, "decoder_hidden_size": 32,
    "decoder_num_res_blocks": 1, "decoder_max_freqs": 2,
}  # fmt: skip


def prompt(length: int, seed: int) -> Conditioning:
    return [[random_tokens(length, 48, seed), {"pooled_output": None, "attention_mask": torch.ones(1, length, dtype=torch.long)}]]


def newbie_prompt(length: int, seed: int) -> Conditioning:
    ((tokens, options),) = prompt(length, seed)
    return [[tokens, {**options, "pooled_output": random_tokens(1, POOLED, seed + 100)[0]}]]


def padded(length: int) -> int:
    return 32 * -(-length // 32)


def positions(ids: Tensor, layout: Layout) -> Tensor:
    """Write the first axis of [.., axes]: each prompt counts from where the host's count begins, the image stands one behind the positive."""
    ids, first, spans = ids.clone(), float(ids[0, 0, 0]), layout.spans()
    for span in (*spans["N"], *spans["P"]):
        ids[:, list(span), 0] = (first + torch.arange(len(span))).to(ids)
    return ids


@contextmanager
def around(model: Any, layout: Layout) -> Iterator[None]:
    """Write positions where they become rotary factors, and padding where it is added."""
    embed, pad = model.rope_embedder.forward, getattr(comfy.ldm.lumina.model, "pad_zimage", None)
    text = layout.total - layout.image - layout.reference
    (own,) = layout.spans()["P"]
    calls: list[int] = []

    def forward(ids: Tensor) -> Tensor:
        calls.append(ids.shape[1])
        if len(calls) == 1:
            behind = ids[0, 0, 0] + len(own)
            ids = positions(ids, layout)
            # 0.3.64 asks for all at once.
            ids[:, text : text + layout.image, 0] = behind
            return embed(ids)
        ids = ids.clone()
        ids[:, : layout.image, 0] = 1 + len(own)
        return embed(ids)

    def fill(feats: Tensor, token: Tensor, multiple: int) -> tuple[Tensor, int]:
        if token is not model.cap_pad_token:
            return pad(feats, token, multiple)
        count = text - feats.shape[1]
        return torch.cat([feats, token.to(feats).expand(feats.shape[0], count, -1)], 1), count

    model.rope_embedder.forward = forward
    if pad is not None:
        comfy.ldm.lumina.model.pad_zimage = fill
    try:
        yield
    finally:
        del model.rope_embedder.forward
        if pad is not None:
            comfy.ldm.lumina.model.pad_zimage = pad


def feed(conditions: dict[str, Any], layout: Layout) -> dict[str, Any]:
    return {**conditions, "num_tokens": conditions["num_tokens"] + sum(layout.negatives)}


def patches(x: Tensor) -> int:
    return -(-x.shape[-2] // 2) * -(-x.shape[-1] // 2)


def newbie() -> Any:
    needs("ZImage")
    return _patcher(comfy.supported_models.Lumina2, {**LUMINA, "clip_text_dim": POOLED}, 0)


COMMON: dict[str, Any] = {
    "prompt": prompt, "latent": lambda batch: torch.zeros(batch, 16, 8, 12), "image_tokens": patches, "calls": 2, "around": around, "feed": feed,
    "text_calls": True,
}  # fmt: skip
PADDED: dict[str, Any] = {**COMMON, "positive_tokens": padded, "reference_tokens": lambda conditions: 8}
SPECS = [
    Spec(name="lumina2", family="Lumina 2", build=lambda: _patcher(needs("Lumina2"), dict(LUMINA), 0), **COMMON),
    Spec(name="newbie", family="Lumina 2", build=newbie, **{**COMMON, "prompt": newbie_prompt}),
    Spec(name="zimage", family="Z-Image", build=lambda: _patcher(needs("ZImage"), dict(ZIMAGE), 0), **PADDED),
    Spec(
        name="zimage_pixel",
        family="Z-Image",
        build=lambda: _patcher(needs("ZImagePixelSpace"), dict(PIXELS), 0),
        **{**PADDED, "latent": lambda batch: torch.zeros(batch, 3, 16, 24), "image_tokens": lambda x: 4 * 6},
    ),
]
