"""Check CogVideoX, JoyImage and Ideogram 4 where the tests of all families do not look: pictures beside the text, padding, graphs of a compiled model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from avert.guidance.attention.mechanism import NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.families import find_family
from avert.host.guide import guide
from comfy_api.torch_helpers import set_torch_compile_wrapper
from torch import Tensor

from family_reference import Reference
from family_spec import all_specs, model_of
from reference.branches import Nag, Nasa, Vsf
from tiny import sample

VSF = ValueSignFlip(1.2, 0.0)
NOT_SEEN = ValueSignFlip(1.0, 1e4)
WINDOW = (0.0, 1.0)
MECHANISMS = [(VSF, Vsf(0, 1.2, 0.0)), (NormalizedGuidance(5.0, 2.5, 0.25), Nag(0, 5.0, 2.5, 0.25)), (NegativeAway(0.3), Nasa(0, 0.3))]


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def run(name: str, model: Any, cfg: float = 1.0, batch: int = 1, lengths: tuple[int, int] = (9, 9), **entries: Any) -> Tensor:
    """Sample with these entries in both conditionings."""
    spec = all_specs()[name]
    sides = [
        [[tokens, {**own, **entries}]] for length, seed in zip(lengths, (1, 2), strict=True) for tokens, own in spec.prompt(length, seed)
    ]
    return sample(model, *sides, cfg, steps=2, latent=spec.latent(batch)).double()


def guided(name: str, model: Any, mechanism: Any = VSF, length: int = 5) -> Any:
    return guide(model, mechanism, all_specs()[name].prompt(length, 3), WINDOW, "")


def compare(name: str, ours: Any, dense: Any, **settings: Any) -> Tensor:
    """Check a guided run against the dense reference; return what the model gives without guidance."""
    model, spec = model_of(name), all_specs()[name]
    plain, found = run(name, model, **settings), run(name, guided(name, model, ours), **settings)
    with Reference(spec, dense, spec.prompt(5, 3)).on(model) as patched:
        expected = run(name, patched, **settings)
    effect = (expected - plain).norm()
    assert effect > 0.003 * plain.norm() and (found - expected).norm() <= 1e-3 * effect
    return plain


@pytest.mark.parametrize(("ours", "dense"), MECHANISMS)
def test_joyimage_beside_pictures(ours: Any, dense: Any) -> None:
    """Two pictures to edit, one of them of another size: tokens between the image's and the text's, seen and not guided."""
    pictures = [noise(1, 16, 1, 8, 12), noise(1, 16, 1, 5, 6)]
    plain = compare("joyimage", ours, dense, cfg=3.0, batch=2, reference_latents=pictures)
    assert (run("joyimage", model_of("joyimage"), 3.0, 2) - plain).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize("channels", [16, 32])
def test_cogvideox_image_to_video(channels: int) -> None:
    """Channels of a first frame are put beside the latent's behind us."""
    compare("cogvideox_15", VSF, Vsf(0, 1.2, 0.0), concat_latent_image=noise(1, channels, 3, 7, 12))


@pytest.mark.parametrize("kind", [torch.long, torch.float32])
@pytest.mark.parametrize("mechanism", [NOT_SEEN, *(ours for ours, _ in MECHANISMS)])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_ideogram_padding(kind: torch.dtype, mechanism: Any, cfg: float) -> None:
    """Padding of the positive is seen by padding only: with a negative as without, the picture is that of a prompt without any."""
    model = model_of("ideogram4")
    mask = torch.ones(1, 9, dtype=kind)
    mask[:, 6:] = 0
    tokens = all_specs()["ideogram4"].prompt(9, 1)[0][0]

    def picture(patched: Any, length: int) -> Tensor:
        side = [[tokens[:, :length], {"pooled_output": None, "attention_mask": mask[:, :length]}]]
        return sample(patched, side, side, cfg, steps=2, latent=torch.zeros(2, 128, 4, 6)).double()

    away = guided("ideogram4", model, mechanism)
    effect = (picture(guided("ideogram4", model), 6) - picture(model, 6)).norm()
    assert (picture(away, 9) - picture(away, 6)).norm() < 1e-4 * effect
    assert ((picture(away, 9) - picture(model, 9)).norm() < 1e-4 * effect) == (mechanism is NOT_SEEN)


@pytest.fixture
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ideogram4", "joyimage"])
def test_compiled(name: str, forget_graphs: None) -> None:
    """Lengths change between the runs, and sometimes the sum of two does not."""
    quick = model_of(name).clone()
    set_torch_compile_wrapper(
        model=quick, backend="eager", options={"guard_filter_fn": lambda found: ["transformer_options" not in one.name for one in found]}
    )
    for positive, negative in ((9, 0), (9, 5), (14, 0), (7, 7), (9, 5), (9, 0)):
        plain, fast = (
            run(name, base if negative == 0 else guided(name, base, VSF, negative), lengths=(positive, 11))
            for base in (model_of(name), quick)
        )
        assert (plain - fast).norm() < 1e-4 * plain.norm(), (positive, negative)


@pytest.mark.parametrize("name", ["cogvideox", "joyimage", "ideogram4"])
def test_only_the_one_family_matches(name: str) -> None:
    from avert.host.families import FAMILIES

    model = model_of(name).model
    assert [family.name for family in FAMILIES if family.match(model.diffusion_model)] == [find_family(model).name]
