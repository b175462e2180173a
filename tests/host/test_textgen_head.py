"""Check that text encoders write with their own output layer: Qwen-Image's is read from its file, and models without one are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from avert.host.textgen import ClipBackend

from seeing_clips import WIDE, logits_of, model_of, query, seeing_clip, shown, with_file


def teardown_module() -> None:
    """Their vocabularies are as large as real ones."""
    seeing_clip.cache_clear()


def heads(like: torch.Tensor) -> dict[str, tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """Give the output layer in the forms of files that there are, and what it is then."""
    head = torch.randn(like.shape, generator=torch.Generator().manual_seed(1))
    eight, scale = (head / 4).to(torch.float8_e4m3fn), torch.tensor(4.0)
    return {
        "lm_head.weight": ({"lm_head.weight": head}, head),
        "a checkpoint's": ({"text_encoders.qwen25_7b.transformer.model.lm_head.weight": head}, head),
        "bfloat16": ({"lm_head.weight": head.bfloat16()}, head.bfloat16()),
        "eight bits": ({"lm_head.weight": eight, "lm_head.scale_weight": scale}, eight.bfloat16() * scale.bfloat16()),
    }


@pytest.mark.parametrize("form", ["lm_head.weight", "a checkpoint's", "bfloat16", "eight bits"])
@torch.inference_mode()
def test_qwen_images_output_layer_is_read_from_its_file(form: str, tmp_path: Path) -> None:
    clip = seeing_clip("qwen_image")
    tensors, weight = heads(model_of(clip).model.embed_tokens.weight)[form]
    backend = ClipBackend(with_file(clip, tmp_path, tensors))
    hidden: list[torch.Tensor] = []
    hook = model_of(clip).model.norm.register_forward_hook(lambda module, args, out: hidden.append(out))
    try:
        found = logits_of(backend, query(shown(WIDE)))
    finally:
        hook.remove()
    expected = hidden[0][0, -1].to(weight.dtype) @ weight.T
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-2 if weight.dtype == torch.bfloat16 else 1e-4, check_dtype=False)


@pytest.mark.parametrize("tensors", [{}, {"model.norm.weight": torch.ones(2)}, {"lm_head.weight": torch.ones(2, 2)}])
def test_qwen_image_without_its_output_layer_is_refused(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    clip = seeing_clip("qwen_image")
    with pytest.raises(ValueError, match="no output layer"):
        ClipBackend(with_file(clip, tmp_path, tensors) if tensors else clip)


def test_a_large_model_cut_before_its_output_layer_is_refused(tmp_path: Path) -> None:
    """The host would write with whatever lies in the memory that the file does not fill."""
    clip = seeing_clip("boogu")
    with pytest.raises(ValueError, match="no output layer"):
        ClipBackend(with_file(clip, tmp_path, {"model.norm.weight": torch.ones(2)}))
    ClipBackend(with_file(clip, tmp_path, {"lm_head.weight": torch.ones(2)}))


def test_a_model_cut_before_its_last_layer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="cannot write text"):
        ClipBackend(seeing_clip("minimax"))
    # As newer hosts say it.
    clip = seeing_clip("qwen3vl")
    monkeypatch.setattr(model_of(clip).model.config, "can_generate", False, raising=False)
    with pytest.raises(ValueError, match="cannot write text"):
        ClipBackend(clip)
