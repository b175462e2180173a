"""Check the demo world's MODEL, CLIP and VAE in the host's own hands, with random weights: prompts of every kind, both variants, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths
import nodes as host_nodes
import pytest
import safetensors.torch
import torch
from avert.demo.model.tokenizer import END, LENGTH, PAD, START, UNKNOWN, word_id
from avert.guidance.attention.mechanism import ValueSignFlip
from avert.host.amplified import amplified
from avert.host.demo import VARIANTS, load_demo
from avert.host.encode import encode_negative
from avert.host.guide import guide
from avert.host.install import last_report
from avert.nodes.demo import AvertDemoModel

from demo_weights import write_weights
from guided_runs import MECHANISMS, change
from tiny import sample
from tiny_clip import encode

LONG = "a red house with a (chimney:1.2) and smoke on the grass, " * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"), seed=80)


@pytest.fixture(scope="module", params=VARIANTS)
def world(request: pytest.FixtureRequest, folder: Path) -> tuple[Any, Any, Any]:
    """Load as the host does, which runs its nodes in inference mode."""
    with torch.inference_mode():
        return load_demo(request.param, folder)


@pytest.fixture(scope="module")
def clip(folder: Path) -> Any:
    return load_demo("few_step", folder)[1]


def ids(clip: Any, text: str) -> list[list[int]]:
    return [[token[0] for token in chunk] for chunk in clip.tokenize(text)["avert"]]


def test_tokens_are_padded_with_pad(clip: Any) -> None:
    assert ids(clip, "") == [[START, END] + [PAD] * (LENGTH - 2)]
    assert ids(clip, "red Houses, xyz") == [[START, word_id("red"), word_id("house"), UNKNOWN, END] + [PAD] * (LENGTH - 5)]


def test_weights_stand_at_their_words(clip: Any) -> None:
    tokens = clip.tokenize("red (house:1.3) with ((hat))")["avert"][0]
    words = [word_id(word) for word in ("red", "house", "with", "hat")]
    assert [token[0] for token in tokens[:6]] == [START, *words, END]
    assert [token[1] for token in tokens] == pytest.approx([1, 1, 1.3, 1, 1.21] + [1] * (LENGTH - 5))


def test_long_text_goes_into_several_chunks(clip: Any) -> None:
    chunks = ids(clip, LONG)
    assert len(chunks) == 3 and all(len(chunk) == LENGTH and chunk[0] == START and END in chunk for chunk in chunks)
    assert encode(clip, LONG)[0][0].shape == (1, 3 * LENGTH, 128)
    (negative,) = encode_negative(clip, LONG).prompts
    assert negative.length == sum(chunk.index(END) + 1 for chunk in chunks)


def test_a_weight_acts_in_the_prompt_and_not_in_the_negatives_embedding(clip: Any) -> None:
    plain, weighted = (encode(clip, text)[0][0] for text in ("a hat", "a (hat:1.5)"))
    assert torch.equal(plain[:, :2], weighted[:, :2]) and change(plain[:, 2], weighted[:, 2]) > 1e-3
    (negative,) = encode_negative(clip, "a (hat:1.5)").prompts
    torch.testing.assert_close(negative.embedding, plain[:, :4])
    assert negative.weights is not None and negative.weights.tolist() == [1.0, 1.0, 1.5, 1.0]
    assert negative.tokens == {"clip_avert": 4}


def test_no_words_are_no_negative(clip: Any) -> None:
    assert encode_negative(clip, "").prompts == encode_negative(clip, ", ,\n").prompts == encode_negative(clip, "(hat:0)").prompts == ()


@pytest.mark.parametrize("layer", [-1, -2, -3, -24])
def test_clip_skip(clip: Any, layer: int) -> None:
    skipped = clip.clone()
    skipped.clip_layer(layer)
    last, other = encode(clip, "a red hat")[0][0], encode(skipped, "a red hat")[0][0]
    assert other.shape == last.shape and torch.allclose(last, other, atol=1e-6) == (layer != -2)
    assert torch.equal(encode(clip, "a red hat")[0][0], last)


def test_embeddings(clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert ids(clip, "a embedding:nothing_of_that_name hat") == ids(clip, "a hat")
    safetensors.torch.save_file({"clip_avert": torch.randn(2, 128)}, tmp_path / "mine.safetensors")
    safetensors.torch.save_file({"clip_l": torch.randn(2, 768)}, tmp_path / "wide.safetensors")
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda name: [str(tmp_path)] if name == "embeddings" else [])
    mine = load_demo("few_step", folder)[1]
    assert encode(mine, "a embedding:mine hat")[0][0].shape == (1, LENGTH, 128)
    (negative,) = encode_negative(mine, "embedding:mine hat").prompts
    assert negative.length == 5
    assert encode(mine, "a embedding:wide hat")[0][0].isfinite().all()


def test_untokenize_and_decode(clip: Any) -> None:
    tokens = clip.tokenize("red hat zebra")["avert"][0]
    assert [word for _, word in clip.tokenizer.untokenize(tokens)][:6] == ["<start>", "red", "hat", "<unknown>", "<end>", "<pad>"]
    if hasattr(clip.tokenizer, "decode"):
        assert clip.tokenizer.decode([token[0] for token in tokens]) == "red hat <unknown>"


@torch.inference_mode()
def test_every_variant_draws_with_the_hosts_nodes(world: tuple[Any, Any, Any]) -> None:
    model, clip, vae = world
    empty = host_nodes.EmptyLatentImage().generate(64, 64, 2)[0]
    prompt = host_nodes.CLIPTextEncode().encode(clip, "a red house")[0]
    nothing = host_nodes.CLIPTextEncode().encode(clip, "")[0]
    latent = host_nodes.KSampler().sample(model, 5, 3, 3.0, "euler", "normal", prompt, nothing, empty)[0]
    (picture,) = host_nodes.VAEDecode().decode(vae, latent)
    assert picture.shape == (2, 64, 64, 3) and picture.isfinite().all() and 0 <= picture.min() < picture.max() <= 1
    (again,) = host_nodes.VAEEncode().encode(vae, picture)
    assert again["samples"].shape == latent["samples"].shape == (2, 16, 8, 8)
    tiled = vae.encode_tiled(picture, tile_x=64, tile_y=64, overlap=16)
    assert tiled.shape == again["samples"].shape


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_every_variant_can_be_guided(world: tuple[Any, Any, Any], name: str, cfg: float) -> None:
    model, clip, _ = world
    positive, empty, latent = encode(clip, "a red house with a chimney"), encode(clip, ""), torch.zeros(1, 16, 8, 8)
    negative = encode_negative(clip, "chimney, (smoke:1.4)")
    patched = guide(model, MECHANISMS[name], negative, (0.0, 1.0), "")
    plain, guided = (sample(m, positive, empty, cfg, latent=latent, steps=2) for m in (model, patched))
    assert guided.isfinite().all() and change(plain, guided) > 1e-3
    report = last_report(patched)
    assert [step["layers"] for step in report.steps] == [report.layers_total] * 2
    assert torch.equal(sample(model, positive, empty, cfg, latent=latent, steps=2), plain)


def test_unpadded_and_padded_negatives_differ(world: tuple[Any, Any, Any]) -> None:
    model, clip, _ = world
    positive, latent = encode(clip, "a red house"), torch.zeros(1, 16, 8, 8)
    outs = []
    for negative in (
        encode_negative(clip, "chimney"),
        encode(clip, "chimney"),
        amplified(encode_negative(clip, "chimney"), encode(clip, ""), 2.0),
    ):
        patched = guide(model, ValueSignFlip(1.0, 0.0), negative, (0.0, 1.0), "")
        outs.append(sample(patched, positive, positive, latent=latent, steps=2))
    assert change(outs[0], outs[1]) > 1e-3 and change(outs[0], outs[2]) > 1e-3


def test_lora_patches_model_and_text_encoder(world: tuple[Any, Any, Any]) -> None:
    model, clip, _ = world
    before = encode(clip, "a hat")[0][0]
    key = "clip_avert.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    patched = clip.clone()
    assert patched.add_patches({key: (torch.ones(256, 128),)}, 1.0) == [key]
    assert change(before, encode(patched, "a hat")[0][0]) > 1e-3
    assert torch.equal(encode(clip, "a hat")[0][0], before)
    weight = next(
        name for name in model.model_state_dict() if name.endswith("t_embedder.mlp.0.weight") or name.endswith("time_embed.0.weight")
    )
    other = model.clone()
    assert other.add_patches({weight: (torch.ones_like(model.model_state_dict()[weight]),)}, 1.0) == [weight]
    latent = torch.zeros(1, 16, 8, 8)
    plain, changed = (sample(m, encode(clip, "a hat"), encode(clip, ""), latent=latent, steps=1) for m in (model, other))
    assert change(plain, changed) > 1e-3


def test_two_loads_share_nothing(folder: Path) -> None:
    one, two = load_demo("few_step", folder), load_demo("few_step", folder)
    with torch.no_grad():
        for parameter in one[0].model.diffusion_model.parameters():
            parameter.zero_()
    assert all(parameter.abs().max() > 0 for parameter in two[0].model.diffusion_model.parameters())


def test_node_loads_what_comes_with_the_pack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avert.demo.model.weights.folder_of_weights", lambda: folder)
    model, clip, vae = AvertDemoModel.execute("few_step").args
    assert type(model.model).__mro__[1].__name__ == "SD3"
    assert encode(clip, "hat")[0][0].shape[-1] == 128 and vae.latent_channels == 16


def test_unknown_variant(folder: Path) -> None:
    with pytest.raises(ValueError, match="`variant`"):
        load_demo("other", folder)


@pytest.mark.parametrize("missing", ["few_step", "autoencoder"])
def test_missing_file_says_what_to_do(tmp_path: Path, missing: str) -> None:
    (write_weights(tmp_path) / f"{missing}.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=f"{missing}.safetensors.*install Avert again"):
        load_demo("few_step", tmp_path)


@pytest.mark.parametrize("name", ["few_step", "guided", "autoencoder"])
@pytest.mark.parametrize("part", ["first", "last", "extra"])
def test_file_of_another_version_says_so(tmp_path: Path, name: str, part: str) -> None:
    path = write_weights(tmp_path) / f"{name}.safetensors"
    entries = comfy.utils.load_torch_file(str(path))
    if part == "extra":
        prefix = "" if name == "autoencoder" else "text_encoder."
        entries[f"{prefix}more.weight"] = torch.ones(1)
    else:
        del entries[sorted(entries)[0 if part == "first" else -1]]
    safetensors.torch.save_file(entries, path)
    with pytest.raises(ValueError, match=f"{name}.safetensors are another version's"):
        load_demo("guided" if name == "guided" else "few_step", tmp_path)
