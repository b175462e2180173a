"""Check what only Flux.2 and its relatives have: text filled up to 512 tokens, reference pictures in many ways, and a cache of them."""

from __future__ import annotations

import dataclasses
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch._dynamo
from avert.guidance.attention.mechanism import Mechanism, NormalizedGuidance, ValueSignFlip
from avert.host.families import find_family
from avert.host.families.base import positions_restarted
from avert.host.guide import guide
from avert.host.install import last_report
from comfy_api.torch_helpers import set_torch_compile_wrapper
from torch import Tensor

import family_reference
from family_reference import Dense, Reference
from family_spec import Conditioning, Spec, all_specs, model_of, needs
from guided_runs import host_node
from reference.branches import Nag, Vsf
from spec_flux2 import DEV, FLUX, FLUX2, OVIS, build, prompt, with_references
from tiny import sample

WINDOW = (0.0, 1.0)
VSF, NAG = (ValueSignFlip(1.2, 0.0), Vsf(0, 1.2, 0.0)), (NormalizedGuidance(5.0, 2.5, 0.25), Nag(0, 5.0, 2.5, 0.25))


def assert_exact(spec: Spec, model: Any, positive: Conditioning, negative: Conditioning, mechanism: tuple[Mechanism, Any]) -> Tensor:
    """Compare a run with the dense reference's; return the guided picture."""
    latent = spec.latent(1)
    plain = sample(model, positive, positive, steps=2, latent=latent)
    guided = sample(guide(model, mechanism[0], negative, WINDOW, ""), positive, positive, steps=2, latent=latent)
    reference = Reference(spec, mechanism[1], negative)
    with reference.on(model) as patched:
        expected = sample(patched, positive, positive, steps=2, latent=latent)
    assert reference.calls == [spec.calls] * 2
    effect = (expected - plain).norm()
    assert effect > 0.003 * plain.norm() and (guided - expected).norm() < 1e-3 * effect
    return guided


@pytest.mark.parametrize("mechanism", [VSF, NAG])
@pytest.mark.parametrize(("positive", "negative"), [(512, 511), (520, 7), (515, 530)])
def test_prompts_around_the_filled_length(positive: int, negative: int, mechanism: tuple) -> None:
    """Prompts of 512 tokens and more are not filled up, and begin at the first position."""
    spec = all_specs()["flux2"]
    assert_exact(spec, model_of("flux2"), prompt(DEV, positive, 1), prompt(DEV, negative, 3), mechanism)


@pytest.mark.parametrize("name", ["flux2", "klein"])
def test_the_negative_is_not_filled_up(name: str) -> None:
    """The positive keeps its 512 tokens, zeros included; before it stand the negative's own tokens only."""
    spec, model = all_specs()[name], model_of(name)
    texts: list[Tensor] = []
    hook = model.model.diffusion_model.txt_in.register_forward_pre_hook(lambda module, args: texts.append(args[0]))
    negative = spec.prompt(5, 3)
    try:
        sample(guide(model, VSF[0], negative, WINDOW, ""), spec.prompt(9, 1), spec.prompt(9, 2), steps=1, latent=spec.latent(1))
    finally:
        hook.remove()
    assert [text.shape[1] for text in texts] == [5 + 512]
    assert torch.equal(texts[0][:, :5], negative[0][0])
    assert not texts[0][:, 5:-9].any() and torch.equal(texts[0][:, -9:], spec.prompt(9, 1)[0][0])


@pytest.mark.parametrize("method", ["offset", "uxo", "index_timestep_zero"])
def test_reference_pictures_in_every_way(method: str) -> None:
    """They are seen and see as without us, wherever their positions are, and also where they count as finished pictures."""
    spec = all_specs()["flux2_references"]
    assert_exact(spec, model_of("flux2"), with_references(DEV, 9, 1, method), prompt(DEV, 7, 3), NAG)


class WithoutReferences(Dense):
    """Take calls whose queries end before the reference pictures, as their keys and values come from a cache."""

    def __call__(self, func: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Any = None, **kw: Any) -> Tensor:
        missing = k.shape[2] - q.shape[2]
        assert missing in (0, self._layout.reference)
        wide = torch.nn.functional.pad(q, (0, 0, 0, missing))
        return super().__call__(func, wide, k, v, heads, mask, **kw)[:, : q.shape[2]]


@pytest.mark.parametrize("mechanism", [VSF, NAG])
def test_cached_reference_pictures(mechanism: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second step on Flux KV Cache gives reference pictures as keys and values alone."""
    needs("Flux2")
    model = host_node("nodes_flux", "FluxKVCache").execute(model_of("klein")).args[0]
    spec = dataclasses.replace(all_specs()["klein"], reference_tokens=all_specs()["flux2_references"].reference_tokens)
    positive = spec.prompt(9, 1)
    positive[0][1]["reference_latents"] = with_references(1, 1, 1, "")[0][1]["reference_latents"]
    monkeypatch.setattr(family_reference, "Dense", WithoutReferences)
    guided = assert_exact(spec, model, positive, spec.prompt(7, 3), mechanism)
    uncached = sample(
        guide(model_of("klein"), mechanism[0], spec.prompt(7, 3), WINDOW, ""), positive, positive, steps=2, latent=spec.latent(1)
    )
    assert not torch.equal(guided, uncached)


@pytest.mark.parametrize("name", ["flux2", "longcat_image"])
def test_only_what_the_host_shifts_is_shifted(name: str) -> None:
    """Positions that a node asks for by `rope_options` stay as they are."""
    spec, model = all_specs()[name], model_of(name).clone()
    options = {**model.model_options["transformer_options"], "rope_options": {"shift_x": 7.0, "shift_y": 3.0, "scale_x": 1.5}}
    model.model_options["transformer_options"] = options
    positive, negative = spec.prompt(9, 1), spec.prompt(40, 3)
    settings: dict[str, Any] = {"steps": 2, "latent": spec.latent(1)}
    plain = sample(model, positive, positive, **settings)
    seen, unseen = (
        sample(guide(model, ValueSignFlip(1.0, offset), negative, WINDOW, ""), positive, positive, **settings) for offset in (0.0, 1e4)
    )
    assert (unseen - plain).norm() < 1e-4 * (seen - plain).norm()


@pytest.mark.parametrize(("positive", "begins"), [(600, 512 - 5), (512, 512 - 5), (30, 30 - 5), (3, 0)])
def test_the_positive_begins_at_the_first_position(positive: int, begins: int) -> None:
    """Also one that nobody filled up; the negative then ends where it does."""
    plan = SimpleNamespace(segments=[SimpleNamespace(length=5)], negative=5, added=5, text=5 + positive, copies=())
    ids = torch.arange(5 + positive + 2)[None, :, None]
    embedder = torch.nn.Identity()
    with positions_restarted(embedder, plan, filled=512):
        found = embedder(ids).flatten().tolist()
    assert found == [*range(begins, begins + 5), *range(positive), 5 + positive, 6 + positive]
    assert torch.equal(embedder(ids), ids)


RELATIVES = {
    "counted along another axis": partial(build, "FluxSchnell", FLUX, OVIS, txt_ids_dims=[0]),
    "counted, without a norm": partial(build, "FluxSchnell", FLUX, OVIS),
    "normed, not counted": partial(build, "FluxSchnell", FLUX, OVIS, txt_norm=True, txt_ids_dims=[]),
    "LongCat with guidance": partial(build, "Flux", FLUX, 3584, guidance_embed=True),
}


@pytest.mark.parametrize("name", RELATIVES)
def test_unknown_relatives_are_refused(name: str) -> None:
    model = RELATIVES[name]()
    with pytest.raises(ValueError, match=r"does not support this model \(Flux\)"):
        find_family(model.model)


def test_flux1_is_told_from_flux2() -> None:
    assert find_family(build("FluxSchnell", FLUX, OVIS, txt_ids_dims=[]).model).name == "Flux"
    model = build("Flux2", FLUX2, 64)
    assert find_family(model.model).name == "Flux.2"
    guided = guide(model, VSF[0], prompt(64, 3, 3), WINDOW, "")
    sample(guided, prompt(64, 9, 1), prompt(64, 9, 1), steps=1, latent=torch.zeros(1, 128, 4, 6))
    assert last_report(guided).layers_total == 4


@pytest.mark.slow
def test_compiled() -> None:
    """Graphs made with the positions of one negative serve others of other lengths, and runs without any."""
    spec, model = all_specs()["ovis_image"], model_of("ovis_image")
    torch._dynamo.reset()
    quick = model.clone()
    # As the host's node does: graphs are not chosen by `transformer_options`.
    unguarded = {"guard_filter_fn": lambda entries: ["transformer_options" not in entry.name for entry in entries]}
    set_torch_compile_wrapper(model=quick, backend="eager", options=unguarded)
    try:
        for length, avoided in ((20, 0), (20, 7), (27, 0), (20, 5), (18, 9), (20, 0)):
            pictures = []
            for base in (model, quick):
                patched = guide(base, VSF[0], spec.prompt(avoided, 3), WINDOW, "") if avoided else base
                pictures.append(sample(patched, spec.prompt(length, 1), spec.prompt(11, 2), steps=2, latent=spec.latent(1)))
            assert (pictures[0] - pictures[1]).norm() < 1e-4 * pictures[0].norm(), (length, avoided)
    finally:
        torch._dynamo.reset()
