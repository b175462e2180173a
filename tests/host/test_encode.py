"""Check rarer prompts of Avert Negative Prompt: weights token by token, several chunks, textual inversion, schedules, amplified runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.hooks
import pytest
import safetensors.torch
import torch
from avert.host.amplified import amplified
from avert.host.encode import encode_negative
from avert.host.install import last_report
from avert.host.negative import Negative

from guided_runs import MECHANISMS, change, guided, model, prompts
from tiny import sample
from tiny_clip import KINDS, encode, tiny_clip

ENDS = {"l": 49407, "g": 49407, "t5xxl": 1, "umt5xxl": 1}
# The encoders whose tokens are the conditioning's tokens, in their order.
ROWS = {"sd1": ["l"], "sdxl": ["l"], "sd3": ["l", "t5xxl"], "sd3_no_t5": ["l"], "flux": ["t5xxl"], "wan": ["umt5xxl"]}
CHUNKED = "a photo of a woman with glasses who reads a (very old:1.3) book in the garden under a tree, " * 6


def kept(clip: Any, kind: str, text: str) -> list[tuple[int, float]]:
    """List (id, weight) of the tokens that are no padding, from the host's tokenizer alone."""
    tokens = clip.tokenize(text)
    found = []
    for key in ROWS[kind]:
        for chunk in tokens[key]:
            ids = [token[0] for token in chunk]
            found += [(token[0], token[1]) for token in chunk[: ids.index(ENDS[key]) + 1]]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a man with (glasses:1.4) and (a (red:1.5) hat:0.6)", "(all of it:2)", "((nested)) words", CHUNKED])
def test_weights_stand_at_exactly_their_tokens(kind: str, text: str) -> None:
    clip = tiny_clip(kind)
    (prompt,) = encode_negative(clip, text).prompts
    assert prompt.weights is not None
    assert prompt.weights.tolist() == pytest.approx([weight for _, weight in kept(clip, kind, text)])
    assert prompt.length == len(prompt.weights)
    assert prompt.weights[-1] == 1.0


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "sd3"])
def test_second_chunk_is_cut_too(kind: str) -> None:
    clip = tiny_clip(kind)
    text = CHUNKED.replace("(", "").replace(":1.3)", "")
    (prompt,) = encode_negative(clip, text).prompts
    padded = encode(clip, text)[0][0]
    second = len(clip.tokenize(text)["l"][0])
    size = len(kept(clip, "sd1", text))
    assert 77 == second < size < 154
    torch.testing.assert_close(prompt.embedding[:, :size], padded[:, :size])
    assert prompt.tokens["clip_l"] == size


def test_long_t5_prompt_is_not_padded() -> None:
    clip = tiny_clip("flux")
    text = CHUNKED * 4
    (prompt,) = encode_negative(clip, text).prompts
    assert prompt.length == len(kept(clip, "flux", text)) > 256


def test_textual_inversion_counts_as_its_tokens(tmp_path: Path) -> None:
    safetensors.torch.save_file({"emb_params": torch.randn(3, 768)}, tmp_path / "badhands.safetensors")
    clip = tiny_clip("sd1")
    clip.tokenizer = type(clip.tokenizer)(embedding_directory=str(tmp_path))
    plain, with_it = (encode_negative(clip, text).prompts[0] for text in ("a hat", "a (embedding:badhands:1.2) hat"))
    assert with_it.length == plain.length + 3
    assert with_it.weights is not None
    assert with_it.weights.tolist() == pytest.approx([1.0, 1.0, 1.2, 1.2, 1.2, 1.0, 1.0])
    expected = encode(clip, "a embedding:badhands hat")[0][0]
    torch.testing.assert_close(with_it.embedding, expected[:, : with_it.length])


def scheduled_clip() -> Any:
    """Give a CLIP with a LoRA that is there in the first half of the run only (nodes Set CLIP Hooks, Set Hook Keyframes)."""
    clip = tiny_clip("sd3")
    weights = clip.cond_stage_model.state_dict()
    name = next(name for name in weights if name.startswith("clip_l.") and name.endswith("self_attn.q_proj.weight"))
    up, down = torch.randn(weights[name].shape[0], 1), torch.randn(1, weights[name].shape[1])
    key = "lora_te1_" + name.removeprefix("clip_l.transformer.").removesuffix(".weight").replace(".", "_")
    group = comfy.hooks.create_hook_lora({f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}, 1.0, 1.0)
    frames = comfy.hooks.HookKeyframeGroup()
    frames.add(comfy.hooks.HookKeyframe(strength=1.0, start_percent=0.0))
    frames.add(comfy.hooks.HookKeyframe(strength=0.0, start_percent=0.5))
    group.set_keyframes_on_hooks(frames)
    clip.patcher.forced_hooks = group
    clip.use_clip_schedule = True
    clip.patcher.register_all_hook_patches(group, comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Clip))
    return clip


def test_scheduled_clip_gives_a_negative_for_each_part_of_the_run() -> None:
    negative = encode_negative(scheduled_clip(), "glasses")
    windows = [prompt.window() for prompt in negative.prompts]
    assert [(w.start_percent, w.end_percent) for w in windows] == [(0.0, 0.5), (0.5, 1.0)]
    assert change(negative.prompts[0].embedding, negative.prompts[1].embedding) > 1e-3
    plain = model("sd3")
    both, first, last = (guided(plain, Negative(p)) for p in (negative.prompts, negative.prompts[:1], negative.prompts[1:]))
    pictures = [sample(m, *prompts("sd3"), steps=6) for m in (both, first, last)]
    assert min(change(pictures[0], picture) for picture in pictures[1:]) > 1e-4
    report = last_report(both)
    assert len(report.steps) == 6
    assert len(last_report(first).steps) + len(last_report(last).steps) == 6


@pytest.mark.parametrize(
    ("family", "kind"), [("sd15", "sd1"), ("sdxl", "sdxl"), ("sd3", "sd3"), ("sd3", "sd3_no_t5"), ("flux", "flux"), ("wan", "wan")]
)
def test_weights_and_amounts_act_in_a_run(family: str, kind: str) -> None:
    clip = tiny_clip(kind)
    plain, weighted = encode_negative(clip, "a man with glasses"), encode_negative(clip, "a man with (glasses:3)")
    amplified_one = amplified(weighted, encode(clip, ""), 2.0)
    none = sample(model(family), *prompts(family), steps=1)
    for mechanism in MECHANISMS.values():
        pictures = [sample(guided(model(family), n, mechanism), *prompts(family), steps=1) for n in (plain, weighted, amplified_one)]
        assert all(torch.isfinite(picture).all() for picture in pictures)
        assert change(none, pictures[0]) > 1e-4
        assert change(pictures[0], pictures[1]) > 1e-5
        assert change(pictures[1], pictures[2]) > 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_weight_zero_takes_a_word_out(kind: str) -> None:
    clip = tiny_clip(kind)
    tokens = kept(clip, kind, "a man with (glasses:0) today")
    (prompt,) = encode_negative(clip, "a man with (glasses:0) today").prompts
    (whole,) = encode_negative(clip, "a man with (glasses:1.5) today").prompts
    rest = [i for i, (_, weight) in enumerate(tokens) if weight]
    assert len(rest) < len(tokens)
    torch.testing.assert_close(prompt.embedding, whole.embedding[:, rest])
    assert prompt.weights is None or bool((prompt.weights == 1).all())
    assert encode_negative(clip, "(a man with glasses:0)").prompts == ()
