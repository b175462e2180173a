"""Lumina 2, Z-Image and OmniGen2 in company: what is refused, other nodes' patches, errors, and compiled models."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import comfy.ldm.lumina.model
import pytest
import torch
from torch import Tensor

from family_spec import model_of
from guided_runs import module_outline
from lumina_runs import UNSEEN, WHOLE, distance, guided, references, run, spec_of

needs_parts = pytest.mark.skipif(not WHOLE, reason="this host lays text and image out at once")


@needs_parts
@pytest.mark.parametrize("name", ["lumina2", "zimage"])
def test_reference_images_are_refused(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    before = module_outline(model)
    with pytest.raises(ValueError, match=r"that are given reference images; remove those"):
        run(guided(model, spec.prompt(5, 3)), spec, references(spec.prompt(9, 1), (8, 12)))
    # The negative's own have no meaning, as those of any negative.
    assert torch.isfinite(run(guided(model, references(spec.prompt(5, 3), (8, 12))), spec, spec.prompt(9, 1))).all()
    assert module_outline(model) == before


@needs_parts
def test_hosts_that_pad_elsewhere_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("zimage")
    monkeypatch.delattr(comfy.ldm.lumina.model.NextDiT, "embed_all")
    with pytest.raises(ValueError, match="does not support this model"):
        guided(model, spec_of("zimage").prompt(5, 3))


@needs_parts
def test_patches_of_other_nodes_find_the_image_where_it_was() -> None:
    """ControlNets of Z-Image take the image's tokens and their positions from a block."""
    spec, base = spec_of("zimage"), model_of("zimage")

    def pictures(patch: Callable[[Any], Any]) -> list[tuple[Tensor, Tensor]]:
        found: list[tuple[Tensor, Tensor]] = []

        def look(arguments: dict[str, Any]) -> dict[str, Any]:
            found.append((arguments["img_input"].clone(), arguments["pe"].clone()))
            return {}

        model = base.clone()
        model.set_model_double_block_patch(look)
        run(patch(model), spec, spec.prompt(9, 1), steps=1)
        return found

    plain, ours = pictures(lambda model: model), pictures(lambda model: guided(model, spec.prompt(5, 3), UNSEEN))
    assert len(plain) == len(ours) == spec.calls
    for (image, places), (other, others) in zip(plain, ours, strict=True):
        assert torch.equal(places, others) and distance(image, other) < 1e-4 * image.norm()


@pytest.mark.parametrize("name", ["lumina2", "zimage"])
def test_another_nodes_method_is_called_and_stays(name: str) -> None:
    spec, model = spec_of(name), model_of(name).clone()
    method, lengths = "embed_all" if WHOLE else "patchify_and_embed", []
    original = getattr(model.model.diffusion_model, method)

    def other(x: Tensor, text: Tensor, *args: Any, **kwargs: Any) -> Any:
        lengths.append(text.shape[1])
        return original(x, text, *args, **kwargs)

    model.add_object_patch(f"diffusion_model.{method}", other)
    run(
        guided(model, spec.prompt(5, 3)),
        spec,
        spec.prompt(9, 1),
        callback=lambda *_: lengths.append(vars(model.model.diffusion_model)[method] is other),
    )
    assert lengths == [9 if WHOLE else 14, True] * 2


@pytest.mark.parametrize("name", ["lumina2", "zimage", "omnigen2"])
def test_nothing_stays_after_an_error(name: str) -> None:
    spec, model = spec_of(name), model_of(name)
    before, broken = module_outline(model), model.clone()

    def fail(*args: Any, **kwargs: Any) -> Tensor:
        raise KeyboardInterrupt

    broken.model_options["transformer_options"]["optimized_attention_override"] = fail
    with pytest.raises(KeyboardInterrupt):
        run(guided(broken, spec.prompt(5, 3)), spec, spec.prompt(9, 1))
    assert module_outline(model) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lumina2", "zimage", "omnigen2"])
def test_compiled(name: str) -> None:
    """Texts that are equally long in all, but not in their parts, are told apart."""
    spec, base = spec_of(name), model_of(name)
    dynamo = importlib.import_module("torch._dynamo")
    compiler = importlib.import_module("comfy_api.torch_helpers")
    dynamo.reset()
    quick = base.clone()
    options = {"guard_filter_fn": lambda entries: ["transformer_options" not in entry.name for entry in entries]}
    compiler.set_torch_compile_wrapper(model=quick, backend="eager", options=options)
    for positive, avoided in ((9, 5), (6, 8), (14, 0), (8, 6), (40, 3)):
        plain, fast = (
            run(guided(model, spec.prompt(avoided, 3)) if avoided else model, spec, spec.prompt(positive, 1)) for model in (base, quick)
        )
        assert distance(plain, fast) < 1e-4 * plain.norm(), (positive, avoided)
    dynamo.reset()
