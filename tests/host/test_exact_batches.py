"""Compare whole runs with the dense reference: which rows of a batch are guided, however the host or a guider arranges them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dense_run import Case, Conditioning, Node, assert_exact, model_of, prompt, texts
from tiny import latent

FAMILIES = ("sd3", "flux", "wan", "sd15")
# Equal lengths, which every family takes in one call, and different ones, which only UNets do (by repeating both: 40 and 60 to 120).
LENGTHS = {"sd3": (20, 20), "flux": (20, 20), "wan": (20, 30), "sd15": (40, 60), "sdxl": (77, 154)}
VSF = ("VSF", (0.94, -0.6))
NAG = ("NAG", (5.0, 2.5, 0.25))


def with_(conditioning: Conditioning, **entries: Any) -> Conditioning:
    """Set entries of a conditioning, as the host's conditioning nodes do."""
    return [[tokens, {**entry, **entries}] for tokens, entry in conditioning]


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the host believe that memory is too small for two conditionings in one call."""
    for variant in (*FAMILIES, "sdxl"):
        monkeypatch.setattr(model_of(variant).model, "memory_required", lambda *_, **__: 1e18)
    return None


@pytest.mark.parametrize("family", [*FAMILIES, "sdxl"])
def test_one_call_for_both(family: str) -> None:
    node = Node(*VSF, prompt(family, 9, 3))
    assert_exact(Case(family, (node,), *texts(family, *LENGTHS[family]), 3.0, batch=2), together=True)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("family", [*FAMILIES, "sdxl"])
def test_a_call_for_each(family: str) -> None:
    node = Node(*VSF, prompt(family, 9, 3))
    assert_exact(Case(family, (node,), *texts(family, *LENGTHS[family]), 3.0, batch=2), together=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_the_other_way_round(family: str) -> None:
    node = Node(*NAG, prompt(family, 9, 3))
    found = assert_exact(Case(family, (node,), *texts(family, *LENGTHS[family]), 3.0, guider="swapped", batch=2), together=True)
    # The host's own order is (1, 0) with 0 the positive; here 1 is.
    assert set(found.ours.calls) == {(1, 0)}


@pytest.mark.parametrize("lengths", [(20, 20, 20), (20, 30, 60)], ids=["equal", "different"])
@pytest.mark.parametrize("guider", ["dual", "nested", "perp"])
@pytest.mark.parametrize("family", ["sd3", "sd15"])
def test_three_lists(family: str, guider: str, lengths: tuple[int, int, int]) -> None:
    node = Node(*VSF, prompt(family, 9, 3))
    case = Case(
        family, (node,), *texts(family, *lengths[:2]), 3.0, guider=guider, middle=prompt(family, lengths[2], 4), batch=2
    )  # fmt: skip
    assert_exact(case, together=family == "sd15" or len(set(lengths)) == 1)


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("family", ["sd3", "flux", "sd15"])
def test_positive_with_an_area(family: str, cfg: float) -> None:
    # ConditioningSetArea (height, width, y, x) on one of two positives; the host copies its area, id included, to the other side.
    positive = prompt(family, 20, 1) + with_(prompt(family, 28, 5), area=(8, 12, 4, 2), strength=0.8)
    node = Node(*VSF, prompt(family, 9, 3))
    assert_exact(Case(family, (node,), positive, prompt(family, 20, 2), cfg, latent=latent(family, 2)))


def test_negative_with_an_area() -> None:
    # The host copies the area, and the id of the negative with it, into the positive list.
    negative = prompt("sd15", 20, 2) + with_(prompt("sd15", 25, 6), area=(8, 8, 0, 0), strength=1.0)
    assert_exact(Case("sd15", (Node(*VSF, prompt("sd15", 9, 3)),), prompt("sd15", 30, 1), negative, 3.0, latent=latent("sd15")))


# Lengths that the host takes in one call on a UNet, by repeating the shorter.
@pytest.mark.parametrize("lengths", [(18, 36), (36, 18)], ids=["middle longer", "middle shorter"])
@pytest.mark.parametrize("family", ["sd3", "sd15"])
def test_area_with_a_middle_list(family: str, lengths: tuple[int, int]) -> None:
    # The middle list gets a copy of the positive's area with the positive's id, and its own text, of another length.
    positive = prompt(family, 20, 1) + with_(prompt(family, lengths[0], 5), area=(8, 12, 4, 2), strength=0.8)
    middle, node = prompt(family, lengths[1], 4), Node(*VSF, prompt(family, 9, 3))
    assert_exact(Case(family, (node,), positive, prompt(family, 20, 2), 3.0, guider="dual", middle=middle, latent=latent(family)))


@pytest.mark.parametrize("family", ["sd3", "wan", "sd15"])
def test_positive_with_a_mask(family: str) -> None:
    size = (8, 12)
    mask = torch.zeros(1, *size)
    mask[:, :, : size[1] // 2] = 1.0
    positive = with_(prompt(family, 20, 1), mask=mask, set_area_to_bounds=False, mask_strength=1.0)
    positive += with_(prompt(family, 20, 5), mask=1.0 - mask, set_area_to_bounds=False, mask_strength=0.7)
    assert_exact(Case(family, (Node(*NAG, prompt(family, 9, 3)),), positive, prompt(family, 20, 2), 3.0), together=True)


def test_mask_with_area_to_bounds() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, 2:10, 4:14] = 1.0
    positive = prompt("sd15", 20, 1) + with_(prompt("sd15", 20, 5), mask=mask, set_area_to_bounds=True, mask_strength=1.0)
    assert_exact(Case("sd15", (Node(*VSF, prompt("sd15", 9, 3)),), positive, prompt("sd15", 20, 2), 3.0, latent=latent("sd15")))


@pytest.mark.parametrize(
    ("family", "lengths"),
    [("sd3", (20, 20)), ("sd3", (20, 31)), ("flux", (20, 31)), ("wan", (20, 20)), ("sd15", (20, 20)), ("sd15", (20, 30))],
)
def test_several_positives(family: str, lengths: tuple[int, int]) -> None:
    positive = prompt(family, lengths[0], 1) + prompt(family, lengths[1], 5)
    node = Node(*VSF, prompt(family, 9, 3))
    assert_exact(Case(family, (node,), positive, prompt(family, lengths[0], 2), 3.0, batch=2), together=True)


def test_default_positive_around_a_masked_one() -> None:
    # ConditioningSetDefaultCombine: the default holds wherever no other positive does.
    mask = torch.zeros(1, 8, 12)
    mask[:, :, :5] = 1.0
    masked = with_(prompt("sd3", 20, 1), mask=mask, set_area_to_bounds=False, mask_strength=1.0)
    default = with_(prompt("sd3", 26, 5), default=True)
    assert_exact(Case("sd3", (Node(*VSF, prompt("sd3", 9, 3)),), masked + default, prompt("sd3", 20, 2), 3.0))


def test_reference_pictures_on_the_positive_only() -> None:
    positive, _ = texts("kontext", 20, 20)
    assert_exact(Case("kontext", (Node(*VSF, prompt("flux", 9, 3)),), positive, prompt("flux", 20, 2), 3.0), together=False)


def test_positive_that_changes_during_the_run() -> None:
    # ConditioningSetTimestepRange: one positive for the first half of the run, a longer one for the second.
    positive = with_(prompt("sd15", 20, 1), start_percent=0.0, end_percent=0.5) + with_(
        prompt("sd15", 33, 5), start_percent=0.5, end_percent=1.0
    )
    assert_exact(Case("sd15", (Node(*VSF, prompt("sd15", 9, 3)),), positive, prompt("sd15", 20, 2), 3.0, steps=4))
