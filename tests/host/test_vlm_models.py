"""Check that real vision-language models, tiny and random, do the whole path: they see, say something, are read, and guide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
from avert.host.install import last_report
from avert.host.transformers_vlm import load_vlm
from avert.host.vlm_folder import DEMO, demo_folder, known, model_folder, safe_folder
from avert.host.vlm_gate import Gate, none_tokens
from avert.vlm.answer import read_answer
from avert.vlm.backend import Query

from tiers import ROOT
from tiny_vlms import pictures, query, write_vlm
from watched_runs import STATIC, VSF, guided, picture, watched


@torch.inference_mode()
def test_a_batch_is_answered_as_each_alone(vlm: Any) -> None:
    shown = pictures(3)
    assert vlm.ask(query(shown)) == [vlm.ask(query([one]))[0] for one in shown]


@torch.inference_mode()
def test_it_looks_at_the_picture_and_the_examples(vlm: Any) -> None:
    """Of what the last layer makes of a question, not of words: tiny random models often choose the same ones."""
    seen: list[torch.Tensor] = []
    head = vlm.patcher.model.inner.lm_head
    hook = head.register_forward_hook(lambda module, args, out: seen.append(out[0, -1].clone()))
    black, white = torch.zeros(64, 64, 3), torch.ones(64, 64, 3)
    try:
        for asked in (query([black], tokens=1), query([white], tokens=1), query([black], 0, tokens=1)):
            vlm.ask(asked)
    finally:
        hook.remove()
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


@pytest.mark.filterwarnings("error::FutureWarning")
@torch.inference_mode()
def test_the_beginning_is_read_once_and_makes_no_difference(vlm: Any) -> None:
    """Compared with a model that reads all of it each time; what is read is told by the lengths of what is embedded."""
    lengths: list[int] = []
    asked = query(pictures(2), tokens=8)
    hook = vlm.patcher.model.inner.get_input_embeddings().register_forward_hook(lambda module, args, out: lengths.append(out.shape[1]))
    try:
        first = vlm.ask(asked)
        lengths.clear()
        again = vlm.ask(asked)
        kept = max(lengths)
        vlm.forget()
        lengths.clear()
        after = vlm.ask(Query(asked.instruction, pictures(3)[1:], asked.examples, 8))
    finally:
        hook.remove()
    assert first == again
    fresh = load_vlm(Path(vlm.patcher.model.inner.config._name_or_path), "default")
    fresh._reader._trusted = False
    assert after == fresh.ask(Query(asked.instruction, pictures(3)[1:], asked.examples, 8))
    # A question with its picture is short, the instruction and the example before it are long.
    assert kept < 100 < 300 < max(lengths)


@torch.inference_mode()
def test_an_answer_that_nobody_waits_for_ends(vlm: Any) -> None:
    calls: list[int] = []
    vlm.ask(query(pictures(1), tokens=50, stopped=lambda: bool(calls.append(0)) or len(calls) >= 3))
    assert 3 <= len(calls) <= 4


@torch.inference_mode()
def test_a_thought_that_the_template_begins_is_known_as_one(vlm_models: Path) -> None:
    """Cut off within it, the answer says nothing; the template of models that always think ends with the thought's beginning."""
    thinker = load_vlm(write_vlm("qwen3-vl", vlm_models / "thinker"), "default")
    template = thinker._processor.chat_template
    thinker._processor.chat_template = template.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    assert thinker._processor.chat_template != template
    (answer,) = thinker.ask(query(pictures(1)))
    assert answer.startswith("<think>") and read_answer(answer, 8, query(pictures(1)).instruction).kind == "unreadable"


@pytest.mark.parametrize("variant", ["few_step", "guided"])
def test_nonsense_is_survived(vlm: Any, demo_worlds: dict[str, Any], variant: str) -> None:
    world = demo_worlds[variant]
    model = guided(world, VSF if variant == "few_step" else STATIC, watched(world, vlm, max_tokens=12))
    assert torch.isfinite(picture(model, world, 3.0, 2)).all()
    kinds = {entry["kind"] for entry in last_report(model).watched[0]["entries"]}
    assert kinds and "failed" not in kinds


def test_models_are_found_and_others_refused(vlm_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    assert known() == [DEMO] and model_folder(DEMO) == demo_folder()
    with pytest.raises(ValueError, match="LLM"):
        model_folder("LLM/none")
    good = write_vlm("qwen3-vl", tmp_path / "LLM" / "owner" / "good")
    code, pickled = tmp_path / "VLM" / "code", tmp_path / "LLM" / "pickled"
    for folder in (code, pickled):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Evil"}} if folder is code else {}))
        (folder / "pytorch_model.bin").write_bytes(b"")
    nested = write_vlm("qwen3-vl", tmp_path / "VLM" / "nested")
    (nested / "processor_config.json").write_text(json.dumps({"image_processor": {"auto_map": {"AutoImageProcessor": "evil.Evil"}}}))
    assert known() == ["LLM/owner/good", "LLM/pickled", "VLM/code", "VLM/nested", DEMO]
    assert model_folder("LLM/owner/good") == good
    for name, reason in (
        ("VLM/code", "auto_map"),
        ("VLM/nested", "auto_map"),
        ("LLM/pickled", "safetensors"),
        ("LLM/../../etc", "There is no"),
        (str(good), "There is no"),
    ):
        with pytest.raises(ValueError, match=reason):
            model_folder(name)


def test_example_workflows_find_the_model_that_they_tell_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put where their notes say: the whole folder, by its published name, into LLM."""
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    for file in sorted((ROOT / "workflows" / "api").glob("*.json")):
        for body in json.loads(file.read_text(encoding="utf-8")).values():
            if body["class_type"] == "AvertLoadVLM":
                folder = tmp_path / "LLM" / "Qwen2.5-VL-7B-Instruct"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "config.json").write_text("{}")
                assert body["inputs"]["model_name"] in known(), file.name
    assert len(known()) == 2, "no workflow has such a model"


def test_half_a_model_is_refused(tmp_path: Path) -> None:
    """A download that broke off."""
    folder = write_vlm("qwen2.5-vl", tmp_path / "half")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ValueError, match="transformers could not load"):
        load_vlm(folder, "cpu")
    (folder / "config.json").write_text("5")
    with pytest.raises(ValueError, match="no configuration"):
        safe_folder(folder, "half")


def test_a_folder_that_is_no_such_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="transformers could not load"):
        load_vlm(tmp_path, "cpu")


def spelled(text: str) -> list[int]:
    """Read text as a tokenizer that knows " none" as a token of its own and spells the rest."""
    return [3] if text == " none" else [1] * len(text)


@pytest.mark.parametrize(("least", "named"), [(0.1, [True, True]), (0.5, [True, False]), (0.95, [False, False])])
def test_the_gate_follows_the_first_tokens_probability(least: float, named: list[bool]) -> None:
    """P(none) is 0.2 and 0.7, though the likeliest token is "none" in one and another one in the other."""
    gate = Gate(none_tokens(spelled), [2, 0], least)
    scores = torch.tensor([[0.1, 0.15, 0.15, 0.2, 0.2, 0.2], [0.05, 0.05, 0.1, 0.7, 0.05, 0.05]]).log()
    first = gate(torch.zeros(2, 5), scores)
    assert [int(row.argmax()) != 3 for row in first] == named
    for row, mine, before in zip(first, named, scores, strict=True):
        assert torch.isinf(row[3]) == mine and (not mine or torch.equal(row[:3], before[:3]))
    second = gate(torch.zeros(2, 6), scores)
    assert all(
        torch.equal(row, before) if mine else int(row.argmax()) == 2 for row, mine, before in zip(second, named, scores, strict=True)
    )


def test_a_tokenizer_without_the_word_has_no_gate() -> None:
    scores = torch.randn(2, 6)
    assert torch.equal(Gate(none_tokens(lambda text: [1, 1]), 2, 1.0)(torch.zeros(2, 5), scores), scores)
