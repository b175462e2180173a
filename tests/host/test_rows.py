"""Check that guidance stays with whom it belongs to: unguided rows, the positive's tokens, each picture of a batch, each clone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dense_run import Case, Node, distance, model_of, product, prompt, run, small_latent, texts
from tiny import sample

VARIANTS = ("sd3", "sd35_medium", "flux", "kontext", "wan", "wan_i2v", "sd15", "sd15_control", "sdxl")
NODES = {
    "VSF": Node("VSF", (0.94, -0.6)),
    "VSF released": Node("VSF", (3.3, 0.2), layout="released"),
    "NAG": Node("NAG", (5.0, 2.5, 0.25)),
    "NASA": Node("NASA", (0.3,)),
}


def guided(variant: str, name: str = "VSF", length: int = 9, seed: int = 3, model: Any = None) -> Any:
    """Put a node on a variant's model."""
    node = NODES[name]
    node = Node(node.method, node.numbers, prompt(variant, length, seed), layout=node.layout)
    return node.patch(model_of(variant) if model is None else model)


def first_predictions(model: Any, case: Case) -> dict[str, Tensor]:
    """Sample, and return the first evaluation's predictions: of the positive, of the sampler's negative."""
    seen: list[dict[str, Tensor]] = []

    def look(args: dict[str, Any]) -> Tensor:
        seen.append({name: args[name].clone() for name in ("cond_denoised", "uncond_denoised")})
        return args["denoised"]

    watched = model.clone()
    watched.set_model_sampler_post_cfg_function(look)
    run(case, watched)
    return seen[0]


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_unguided_rows_of_a_mixed_batch(variant: str, name: str) -> None:
    case = Case(variant, (), *texts(variant, 20, 20), 3.0, batch=2, steps=1)
    plain, ours = (first_predictions(model, case) for model in (model_of(variant), guided(variant, name)))
    assert distance(plain["uncond_denoised"], ours["uncond_denoised"]) <= 1e-5 * plain["uncond_denoised"].norm()
    assert distance(plain["cond_denoised"], ours["cond_denoised"]) > 1e-2 * plain["cond_denoised"].norm()


@pytest.mark.parametrize("variant", ["sd3", "flux", "wan", "sd15"])
def test_unguided_rows_in_a_call_of_their_own_are_untouched(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_of(variant).model, "memory_required", lambda *_, **__: 1e18)
    case = Case(variant, (), *texts(variant, 20, 20), 3.0, batch=2, steps=1)
    plain, ours = (first_predictions(model, case) for model in (model_of(variant), guided(variant)))
    assert torch.equal(plain["uncond_denoised"], ours["uncond_denoised"])


def first_block(model: Any, case: Case) -> tuple[Tensor, Tensor]:
    """Sample, and return what the first joint block gives at the first evaluation: (text, image)."""
    diffusion = model.model.diffusion_model
    flux = hasattr(diffusion, "double_blocks")
    block = diffusion.double_blocks[0] if flux else diffusion.joint_blocks[0]
    seen: list[list[Tensor]] = []
    # Copies, because Flux's next block writes into these tensors.
    hook = block.register_forward_hook(lambda module, args, out: seen.append([part.clone() for part in out]))
    try:
        run(case, model)
    finally:
        hook.remove()
    text, image = reversed(seen[0]) if flux else seen[0]
    return text, image


@pytest.mark.parametrize("name", ["VSF", "NAG", "NASA"])
@pytest.mark.parametrize("variant", ["sd3", "sd35_medium", "flux", "kontext"])
def test_positive_tokens_do_not_see_the_negative(variant: str, name: str) -> None:
    # In the first block the image is still the same; from the second on it is not, and the text follows it.
    case = Case(variant, (), *texts(variant, 20, 20), batch=2, steps=1)
    plain_text, plain_image = first_block(model_of(variant), case)
    text, image = first_block(guided(variant, name), case)
    other_text, other_image = first_block(guided(variant, name, seed=4), case)
    assert text.shape[1] == plain_text.shape[1] + 9
    assert distance(text[:, 9:], plain_text) <= 1e-5 * plain_text.norm()
    assert torch.equal(text[:, 9:], other_text[:, 9:])
    assert distance(image, plain_image) > 1e-2 * plain_image.norm()
    assert not torch.equal(image, other_image)


def test_reference_tokens_do_not_see_the_negative() -> None:
    case = Case("kontext", (), *texts("kontext", 20, 20), steps=1)
    reference = 4 * 6 + 3 * 2  # two pictures in patches of 2 x 2
    (_, plain), (_, ours) = (first_block(model, case) for model in (model_of("kontext"), guided("kontext")))
    assert distance(ours[:, -reference:], plain[:, -reference:]) <= 1e-5 * plain.norm()
    assert distance(ours[:, :-reference], plain[:, :-reference]) > 1e-2 * plain.norm()


@pytest.mark.parametrize("variant", VARIANTS)
def test_batch_of_four_is_four_times_a_batch_of_one(variant: str) -> None:
    noise = torch.randn(small_latent(variant, 4).shape, generator=torch.Generator().manual_seed(11))
    model = guided(variant, "NAG", model=guided(variant, "VSF", seed=5))
    pair = texts(variant, 20, 24)

    def pictures(part: Tensor) -> Tensor:
        return sample(model, *pair, 3.0, steps=2, noise=part, latent=torch.zeros_like(part))

    whole = pictures(noise)
    single = torch.cat([pictures(noise[i : i + 1]) for i in range(4)])
    assert distance(whole, single) <= 1e-5 * single.norm()


def test_a_negative_for_each_picture() -> None:
    positive, own = texts("sd3", 20, 20)
    negatives = [prompt("sd3", 9, seed) for seed in (3, 4)]
    both = [[torch.cat([n[0][0] for n in negatives]), negatives[0][0][1]]]
    noise = torch.randn(small_latent("sd3", 2).shape, generator=torch.Generator().manual_seed(11))

    def picture(negative: Any, part: Tensor) -> Tensor:
        model = Node("VSF", (0.94, -0.6), negative).patch(model_of("sd3"))
        return sample(model, positive, own, 3.0, steps=2, noise=part, latent=torch.zeros_like(part))

    single = torch.cat([picture(negatives[i], noise[i : i + 1]) for i in range(2)])
    assert distance(picture(both, noise), single) <= 1e-5 * single.norm()


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_seed_same_picture(variant: str) -> None:
    case = Case(variant, (Node("VSF", (0.94, -0.6), prompt(variant, 9, 3)),), *texts(variant, 20, 24), 3.0)
    patched = product(case, model_of(variant))
    first, second, fresh = (run(case, model).picture for model in (patched, patched, product(case, model_of(variant))))
    assert torch.equal(first, second)
    assert torch.equal(first, fresh)


@pytest.mark.parametrize("variant", ["sd3", "flux", "wan", "sd15"])
def test_clones_do_not_see_each_other(variant: str) -> None:
    case = Case(variant, (), *texts(variant, 20, 24), 3.0)
    models = {"plain": model_of(variant)}
    models["one"] = guided(variant, "VSF", model=models["plain"])
    models["other"] = guided(variant, "NAG", length=5, seed=6, model=models["plain"])
    models["both"] = guided(variant, "NAG", length=5, seed=6, model=models["one"])
    models["clone"] = models["one"].clone()
    first = {name: run(case, model).picture for name, model in models.items()}
    again = {name: run(case, model).picture for name, model in reversed(models.items())}
    assert all(torch.equal(first[name], again[name]) for name in models)
    assert torch.equal(first["one"], first["clone"])
    distinct = [first[name] for name in ("plain", "one", "other", "both")]
    assert all(distance(a, b) > 1e-2 * a.norm() for i, a in enumerate(distinct) for b in distinct[:i])
