"""Compare whole runs with the dense reference: several nodes and negatives, weights, the sampler's own negative, blocks, windows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dense_run import JOINT, Case, Conditioning, Node, assert_exact, model_of, product, prompt, run, texts
from tiny import latent, tiny_flux

FAMILIES = ("sd3", "flux", "wan", "sd15")
METHODS = {"VSF": (0.94, -0.6), "NAG": (5.0, 2.5, 0.25), "NASA": (0.3,)}


def node(method: str, negative: Conditioning | None, **settings: object) -> Node:
    return Node(method, METHODS[method], negative, **settings)


def case(family: str, *nodes: Node, cfg: float = 1.0, **settings: object) -> Case:
    return Case(family, nodes, *texts(family, 20, 20), cfg, **settings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_two_negatives_in_one_node(family: str, method: str) -> None:
    both = prompt(family, 7, 3) + prompt(family, 11, 4)
    assert_exact(case(family, node(method, both), cfg=3.0))


@pytest.mark.parametrize("family", FAMILIES)
def test_two_vsf_nodes_share_one_softmax(family: str) -> None:
    first = Node("VSF", (1.4, 0.3), prompt(family, 7, 3))
    second = Node("VSF", (0.5, -0.6), prompt(family, 11, 4))
    assert_exact(case(family, first, second, cfg=3.0, batch=2))


@pytest.mark.parametrize("family", ["flux", "sd15"])
@pytest.mark.parametrize("methods", [("VSF", "NAG"), ("NAG", "NASA"), ("NASA", "VSF", "NAG")], ids="+".join)
def test_mechanisms_add_up(family: str, methods: tuple[str, ...]) -> None:
    assert_exact(case(family, *(node(method, prompt(family, 7 + i, 3 + i)) for i, method in enumerate(methods))))


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_released_layout_beside_other_nodes(family: str) -> None:
    released = Node("VSF", (3.3, 0.2), prompt(family, 7, 3), layout="released")
    assert_exact(case(family, released, node("VSF", prompt(family, 9, 4)), node("NAG", prompt(family, 5, 5))))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("family", JOINT)
def test_released_layout_at_cfg_3(family: str, batch: int) -> None:
    # The unguided rows of the batch must not see the unflipped copies.
    released = Node("VSF", (3.3, 0.2), prompt(family, 7, 3), layout="released")
    assert_exact(case(family, released, cfg=3.0, batch=batch), together=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_token_weights(family: str, method: str) -> None:
    weights = torch.tensor([1.0, 1.4, 0.5, 2.0, 1.0, 0.0, 1.1])
    # A Negative has no padding, so Wan's is not padded here.
    negative = prompt(family, 7, 3, pad_to=0)
    weighted = assert_exact(case(family, node(method, negative, weights=(weights,)), cfg=3.0))
    plain = run(case(family), product(case(family, node(method, negative)), model_of(family)))
    assert not torch.allclose(weighted.ours.picture, plain.picture, rtol=1e-3)


@pytest.mark.parametrize("method", ["VSF", "NAG"])
def test_token_weights_on_two_negatives(method: str) -> None:
    both = prompt("sd3", 4, 3) + prompt("sd3", 3, 4)
    weights: tuple[Tensor | None, ...] = (torch.tensor([1.0, 1.5, 0.2, 1.0]), None)
    assert_exact(case("sd3", node(method, both, weights=weights)))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("variant", ["sd3", "kontext", "wan", "wan_i2v", "sd15", "sd15_control"])
def test_negative_of_the_sampler(variant: str, cfg: float) -> None:
    assert_exact(Case(variant, (node("VSF", None),), *texts(variant, 20, 12), cfg))


def test_two_negatives_of_the_sampler() -> None:
    positive, negative = texts("sd15", 20, 12)
    assert_exact(Case("sd15", (node("VSF", None),), positive, negative + prompt("sd15", 9, 7), 3.0))


@pytest.mark.parametrize(
    ("family", "blocks"), [("sd3", (1,)), ("sd35_medium", (0, 3)), ("flux", (1, 2)), ("wan", (0,)), ("sd15", (2, 3, 7)), ("sdxl", (0, 5))]
)
def test_blocks(family: str, blocks: tuple[int, ...]) -> None:
    assert_exact(case(family, node("VSF", prompt(family, 9, 3), blocks=blocks), cfg=3.0))


def test_two_nodes_with_blocks_of_their_own() -> None:
    assert_exact(case("flux", node("VSF", prompt("flux", 7, 3), blocks=(0, 2)), node("NAG", prompt("flux", 9, 4), blocks=(2, 3))))


# With five steps of the "simple" schedule 0.4 and 0.8 are noise levels of steps themselves, at least on SD3 and Flux.
@pytest.mark.parametrize("window", [(0.0, 0.5), (0.4, 1.0), (0.27, 0.8)], ids=str)
@pytest.mark.parametrize("family", ["sd3", "flux", "sd15"])
def test_window(family: str, window: tuple[float, float]) -> None:
    found = assert_exact(case(family, node("VSF", prompt(family, 9, 3), window=window), cfg=3.0, steps=5))
    whole = run(case(family, cfg=3.0, steps=5), product(case(family, node("VSF", prompt(family, 9, 3))), model_of(family)))
    assert not torch.equal(found.ours.picture, whole.picture)
    starts_late = window[0] > 0
    assert torch.equal(found.ours.first, found.plain.first) == starts_late


@pytest.mark.parametrize("family", ["sd3", "sd15"])
def test_negatives_that_hold_for_a_part_of_the_run(family: str) -> None:
    # ConditioningSetTimestepRange on the negative, in a node with a window of its own.
    early, late = prompt(family, 7, 3, start_percent=0.0, end_percent=0.55), prompt(family, 11, 4, start_percent=0.35, end_percent=1.0)
    both = node("VSF", early + late, window=(0.15, 0.9))
    assert_exact(case(family, both, steps=5), nodes=both.apart())


def test_two_nodes_with_windows_of_their_own() -> None:
    nodes = node("VSF", prompt("sd3", 7, 3), window=(0.0, 0.6)), node("NAG", prompt("sd3", 9, 4), window=(0.4, 1.0))
    assert_exact(case("sd3", *nodes, steps=5))


@pytest.mark.parametrize("sampler_name", ["euler", "heun"])
@pytest.mark.parametrize("family", ["sd3", "sd15"])
def test_image_to_image(family: str, sampler_name: str) -> None:
    settings = {
        "latent": latent(family, 1, seed=4, height=8, width=12),
        "options": {"denoise": 0.6},
        "steps": 3,
        "sampler_name": sampler_name,
    }
    assert_exact(case(family, node("VSF", prompt(family, 9, 3)), cfg=3.0, **settings))


@pytest.mark.parametrize("family", ["flux", "sd15"])
def test_part_of_the_steps(family: str) -> None:
    # KSampler (Advanced): from a step to a step, with noise left.
    settings = {"latent": latent(family, 1, seed=4, height=8, width=12), "options": {"start_step": 1, "last_step": 4}, "steps": 6}
    assert_exact(case(family, node("VSF", prompt(family, 9, 3)), cfg=3.0, **settings))


def test_part_of_the_steps_with_a_window() -> None:
    # Percent is of the model's noise range, not of the steps that this sampler runs.
    settings = {
        "latent": latent("sd3", 1, seed=4, height=8, width=12),
        "options": {"start_step": 2, "force_full_denoise": True},
        "steps": 6,
    }
    assert_exact(case("sd3", node("VSF", prompt("sd3", 9, 3), window=(0.0, 0.7)), **settings))


@pytest.mark.parametrize("family", ["flux", "sd15"])
def test_inpainting(family: str) -> None:
    mask = torch.zeros(1, 1, 8, 12)
    mask[..., 4:] = 1.0
    settings = {"latent": latent(family, 1, seed=4, height=8, width=12), "options": {"noise_mask": mask}}
    assert_exact(case(family, node("VSF", prompt(family, 9, 3)), cfg=3.0, **settings))


def test_flux_dev() -> None:
    model = tiny_flux(guidance_embed=True)
    pair = (prompt("flux", 20, seed, guidance=3.5) for seed in (1, 2))
    assert_exact(Case("flux", (node("VSF", prompt("flux", 9, 3)),), *pair, 3.0), model=model, together=True)
