"""Check our own guided attention and sampler without a host: who sees whom, what it adds up to, and when nothing happens."""

from __future__ import annotations

import pytest
import torch
from avert.demo.model.guided_attention import Guide, GuidedAttention, encode_negatives
from avert.demo.model.mmdit import MMDiT
from avert.demo.model.sampler import Settings, prompt, sample, sigmas, starting_noise
from avert.demo.model.text_encoder import TextEncoder
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.guidance.schedule import Window
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

VSF = ValueSignFlip(1.3, -0.4)
FIRST, SECOND, POSITIVE, IMAGE = 3, 2, 5, 9


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def world() -> tuple[TextEncoder, MMDiT]:
    torch.manual_seed(3)
    encoder, model = TextEncoder(), MMDiT()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return encoder, model


def guided(mechanism: Mechanism, **fields: object) -> tuple[GuidedAttention, Tensor, list[Tensor]]:
    """Attend in layer 1 with two negatives; return the object, its output, and q, k, v."""
    guide = Guide(mechanism, (noise(1, FIRST, 128, seed=1), noise(1, SECOND, 128, seed=2)), **fields)  # type: ignore[arg-type]
    attention = GuidedAttention(noise(2, POSITIVE, 128, seed=3), IMAGE, [guide])
    qkv = [noise(2, 3, attention.text.shape[1] + IMAGE, 64, seed=seed) for seed in (4, 5, 6)]
    return attention, attention(*qkv, 1), qkv


def over(qkv: list[Tensor], rows: slice, keys: list[int]) -> Tensor:
    q, k, v = qkv
    return scaled_dot_product_attention(q[:, :, rows], k[:, :, keys], v[:, :, keys])


@pytest.mark.parametrize("mechanism", [VSF, NormalizedGuidance(5.0, 2.5, 0.25), NegativeAway(0.3)])
def test_texts_see_themselves_and_the_image(mechanism: Mechanism) -> None:
    attention, out, qkv = guided(mechanism)
    count = FIRST + SECOND + POSITIVE
    assert attention.text.shape == (2, count, 128)
    image = list(range(count, count + IMAGE))
    for start, length in ((0, FIRST), (FIRST, SECOND), (FIRST + SECOND, POSITIVE)):
        own = list(range(start, start + length))
        torch.testing.assert_close(out[:, :, own], over(qkv, slice(start, start + length), own + image), atol=1e-5, rtol=1e-5)


def test_image_rows_are_the_papers_equation() -> None:
    attention, out, (q, k, v) = guided(VSF)
    negatives, count = FIRST + SECOND, FIRST + SECOND + POSITIVE
    scores = q[:, :, count:] @ k.transpose(-1, -2) / 8
    scores[..., :negatives] -= VSF.offset
    attended = scores.softmax(-1)
    flipped = torch.cat([-VSF.scale * v[:, :, :negatives], v[:, :, negatives:]], dim=2)
    torch.testing.assert_close(out[:, :, count:], attended @ flipped, atol=1e-5, rtol=1e-5)
    share = attention.share_map()
    assert share is not None
    torch.testing.assert_close(share, attended[..., :negatives].sum(-1).mean(1), atol=1e-5, rtol=1e-5)


def test_blocks_that_are_not_chosen_rest() -> None:
    attention, out, qkv = guided(VSF, layers=frozenset({0, 2}))
    start = FIRST + SECOND
    plain = over(qkv, slice(start, None), list(range(start, qkv[0].shape[2])))
    torch.testing.assert_close(out[:, :, start:], plain, atol=1e-5, rtol=1e-5)
    assert attention.share_map() is None


@pytest.mark.parametrize(
    "fields", [{"mechanism": ValueSignFlip(0.0, -1.0)}, {"negatives": ()}, {"window": Window(0.3, 0.3)}, {"mechanism": NegativeAway(0.0)}]
)
def test_idle_guides_change_nothing(world: tuple[TextEncoder, MMDiT], fields: dict[str, object]) -> None:
    encoder, model = world
    with torch.no_grad():
        guide = Guide(**{"mechanism": VSF, "negatives": encode_negatives(encoder, "hat"), **fields})  # type: ignore[arg-type]
        positive = prompt(encoder, "a red house")
    assert guide.idle
    plain, idle = (sample(model, positive, guides, Settings(steps=2)) for guides in ((), (guide,)))
    assert torch.equal(plain.latents, idle.latents) and idle.maps is None
    assert not plain.latents.requires_grad


def test_window_guides_its_steps_only(world: tuple[TextEncoder, MMDiT]) -> None:
    encoder, model = world
    guide = Guide(VSF, encode_negatives(encoder, "hat\nsmoke"), Window(0.25, 0.75))
    maps = sample(model, prompt(encoder, "a red house"), [guide], Settings(steps=4, batch=2, width=80)).maps
    assert maps is not None and maps.shape == (4, 2, 8, 10)
    assert [bool(step.max() > 0) for step in maps] == [False, True, True, False]
    assert 0 <= maps.min() <= maps.max() <= 1


def test_schedule_and_noise() -> None:
    assert sigmas(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert sigmas(2, shift=3.0).tolist() == pytest.approx([1.0, 0.75, 0.0])
    assert starting_noise(Settings(height=80)).shape == (1, 16, 10, 8)
    torch.manual_seed(7)
    assert torch.equal(starting_noise(Settings(seed=7, batch=2)), torch.randn(2, 16, 8, 8))
