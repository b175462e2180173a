"""Check what is particular to Cosmos and Anima: their padding, ties with the picture's size, Anima's token ids, and patches of the text."""

from __future__ import annotations

import inspect
from typing import Any

import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.cosmos
import pytest
import torch
from avert.host.encode import encode_negative
from avert.host.families import find_family
from avert.host.negative import Negative, Prompt

from cosmos_runs import NAMES, assert_is_reference, avert, distance, prompt, run, seen
from family_spec import Conditioning, all_specs, model_of, needs
from spec_cosmos import COSMOS, MORE_IDS, PREDICT2, STATES, TEXT, filled, for_adapter
from tiny import sample
from tiny_clip import T5, encode
from tiny_models import _patcher
from tiny_weights import randomise


def with_entries(conditioning: Conditioning, **entries: Any) -> Conditioning:
    return [[tokens, {**entry, **entries}] for tokens, entry in conditioning]


@pytest.mark.parametrize("name", NAMES)
def test_text_as_long_as_the_picture(name: str) -> None:
    """22 x 24 image tokens are 512 of the positive and 16 of the negative; 32 x 16 are those of the positive alone."""
    length = 16 - MORE_IDS if name == "anima" else 16
    model = model_of(name)
    for size in ((44, 48), (64, 32)):
        latent = torch.zeros(1, 16, 1, *size)
        assert_is_reference(name, prompt(name, length, 3), model, latent=latent, steps=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_has_no_padding_and_the_positive_all(name: str) -> None:
    extra = MORE_IDS if name == "anima" else 0
    ((tokens, entry),) = prompt(name, 5, 3)
    for own in (prompt(name, 5, 3), Negative((Prompt(tokens[:, :5], entry),)), None):
        guided = avert(name, own)
        with seen(guided) as calls:
            run(name, guided, own=prompt(name, 5, 3))
        assert [call["context"].shape[1] for call in calls] == [5 + extra + TEXT] * 2
        plain = run(name, model_of(name))
        assert distance(run(name, guided, own=prompt(name, 5, 3)), plain) > 0.003 * plain.norm()


@pytest.mark.parametrize("name", ["cosmos", "cosmos_predict2"])
def test_padded_or_not_is_the_same(name: str) -> None:
    """As CLIP Text Encode gives a negative, and as Avert Negative Prompt does."""
    bare = [[prompt(name, 5, 3)[0][0][:, :5], {"pooled_output": None}]]
    assert torch.equal(run(name, avert(name, prompt(name, 5, 3))), run(name, avert(name, bare)))


def test_the_mask_of_cosmos_fits_the_longer_text() -> None:
    guided = avert("cosmos", filled(5, 3))
    with seen(guided) as calls:
        with_mask = run("cosmos", guided)
    (_, entry), mask = filled(9, 1)[0], calls[0]["attention_mask"]
    assert mask.shape == (1, 5 + TEXT) and mask[:, :5].all() and torch.equal(mask[:, 5:], entry["attention_mask"])
    nothing = {"attention_mask": None}
    own = with_entries(filled(6, 2), **nothing)
    without = sample(guided, with_entries(filled(9, 1), **nothing), own, 1.0, steps=2, latent=all_specs()["cosmos"].latent(1))
    assert torch.equal(with_mask, without)


@pytest.mark.parametrize("name", ["cosmos_predict2", "anima"])
def test_the_model_holds_no_text_of_ours(name: str) -> None:
    run(name, model_of(name))
    held = model_of(name).model.diffusion_model.crossattn_emb
    run(name, avert(name, prompt(name, 5, 3)))
    assert torch.equal(model_of(name).model.diffusion_model.crossattn_emb, held)


def test_anima_reads_token_ids() -> None:
    needs("Anima")
    ((states, entry),) = for_adapter(5, 3)
    pictures = [
        run("anima", avert("anima", [[states, options]])) for options in (entry, {**entry, "t5xxl_ids": entry["t5xxl_ids"].flip(0)})
    ]
    plain = run("anima", model_of("anima"))
    assert distance(*pictures) > 0.01 * distance(pictures[0], plain)


@pytest.mark.parametrize("bare", ["negative", "positive"])
def test_anima_prompts_of_other_encoders_are_refused(bare: str) -> None:
    """Without token ids the states would pass for the adapter's text, which is as wide in the real model."""
    needs("Anima")
    sides = {"negative": for_adapter(5, 3), "positive": for_adapter(9, 1)}
    sides[bare] = [[states, {"pooled_output": None}] for states, _ in sides[bare]]
    with pytest.raises(ValueError, match=f"has a list of T5 tokens and the {bare}.* has none; encode the negative with the same CLIP"):
        sample(avert("anima", sides["negative"]), sides["positive"], for_adapter(6, 2), steps=1)


def test_anima_weights_of_tokens() -> None:
    """The adapter's text times a weight: the norm of the keys undoes it, so that it is a weight of the values as Avert's own are."""
    needs("Anima")
    ((states, entry),) = for_adapter(5, 3)
    weights = torch.tensor([1.0, 1.0, 1.5, 1.5, 0.5, 1.0, 1.0])
    ours = run("anima", avert("anima", Negative((Prompt(states, entry, weights=weights),))))
    hosts = run("anima", avert("anima", [[states, {**entry, "t5xxl_weights": weights}]]))
    equal = run("anima", avert("anima", [[states, entry]]))
    assert distance(ours, hosts) < 1e-3 * distance(ours, equal) and distance(ours, equal) > 0
    weights[2] = 0.0
    guided = avert("anima", [[states, {**entry, "t5xxl_weights": weights}]])
    with seen(guided) as calls:
        run("anima", guided)
    assert calls[0]["context"].shape[1] == TEXT + 5 + MORE_IDS - 1


@pytest.mark.parametrize(("positive", "avoided"), [(9, 520), (530, 7), (515, 518)])
def test_anima_prompts_longer_than_its_padding(positive: int, avoided: int) -> None:
    needs("Anima")
    assert_is_reference("anima", for_adapter(avoided, 3), length=positive, cfg=3.0, steps=1)


def test_anima_in_training_is_refused() -> None:
    needs("Anima")
    guided, (positive, own) = avert("anima", for_adapter(5, 3)), (for_adapter(9, 1), for_adapter(6, 2))
    bare, latent = inspect.unwrap(sample), all_specs()["anima"].latent(1)
    with torch.no_grad():
        bare(model_of("anima"), positive, own, steps=1, latent=latent)
        with pytest.raises(ValueError, match="cannot guide Anima while it is being trained"):
            bare(guided, positive, own, steps=1, latent=latent)


def test_relatives_are_refused() -> None:
    adapted = _patcher(needs("CosmosT2IPredict2"), {**PREDICT2, "in_channels": 16}, 0)
    assert find_family(adapted.model).name == "Cosmos-Predict2"
    adapted.model.diffusion_model.llm_adapter = torch.nn.Identity()
    without_text = _patcher(needs("CosmosT2V"), {**COSMOS, "in_channels": 16, "block_config": "FA-MLP"}, 0)
    for other in (adapted, without_text):
        with pytest.raises(ValueError, match="does not support this model"):
            find_family(other.model)


def tiny_encoder(tokenizer: type, model: type, **sizes: Any) -> Any:
    """Build a text encoder of the host's, as tiny_clip does."""
    cpu = torch.device("cpu")
    options = {"dtype": torch.float32, "load_device": cpu, "offload_device": cpu, "initial_device": cpu, **sizes}
    clip = comfy.sd.CLIP(comfy.supported_models_base.ClipTarget(tokenizer, model), model_options=options)
    randomise(clip.cond_stage_model, 0)
    return clip


def test_the_hosts_encoder_of_cosmos() -> None:
    """What CLIP Text Encode gives acts as what Avert Negative Prompt makes of the same words."""
    module = comfy.text_encoders.cosmos
    clip = tiny_encoder(module.CosmosT5Tokenizer, module.te(dtype_t5=torch.float32), t5xxl_model_config={**T5, "d_model": 48})
    written, ours = encode(clip, "glasses on a table"), encode_negative(clip, "glasses on a table")
    ((tokens, entry),), ((_, expected),) = written, filled(ours.prompts[0].length, 3)
    assert tokens.shape[1] == TEXT and entry.keys() == expected.keys() and torch.equal(entry["attention_mask"], expected["attention_mask"])
    for name in ("cosmos", "cosmos_predict2"):
        effect = distance(run(name, avert(name, ours)), run(name, model_of(name)))
        assert distance(run(name, avert(name, ours)), run(name, avert(name, written))) < 1e-3 * effect


def test_the_hosts_encoder_of_anima() -> None:
    """Its CONDITIONING holds the token ids, and all of it comes to the model with the negative."""
    needs("Anima")
    module = pytest.importorskip("comfy.text_encoders.anima")
    sizes = {"num_hidden_layers": 1, "hidden_size": STATES, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    clip = tiny_encoder(module.AnimaTokenizer, module.te(dtype_llama=torch.float32), qwen3_06b_model_config=sizes)
    ((states, entry),), ((_, expected),) = encode(clip, "(glasses:1.3) on a wooden table"), for_adapter(5, 3)
    ids = entry["t5xxl_ids"]
    assert entry.keys() == expected.keys() and ids[-1] == 1 and len(ids) not in (TEXT, states.shape[1])
    for negative in ([[states, entry]], Negative((Prompt(states, entry),)), None):
        guided = avert("anima", negative)
        with seen(guided) as calls:
            run("anima", guided, own=[[states, entry]])
        assert calls[0]["context"].shape[1] == len(ids) + TEXT
