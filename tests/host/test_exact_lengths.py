"""Compare whole runs with the dense reference where lengths could deceive: ties with other attention calls, odd sizes, long negatives."""

from __future__ import annotations

import pytest

from dense_run import Case, Node, assert_exact, prompt, small_latent, texts

VSF = ("VSF", (0.94, -0.6))
NAG = ("NAG", (5.0, 2.5, 0.25))


@pytest.mark.parametrize("family", ["sd3", "flux", "wan", "sd15", "sdxl"])
def test_negative_longer_than_the_positive(family: str) -> None:
    assert_exact(Case(family, (Node(*NAG, prompt(family, 61, 3)),), *texts(family, 12, 20), 3.0))


@pytest.mark.parametrize("variant", ["sd3", "kontext", "wan", "sd15"])
def test_one_token_each(variant: str) -> None:
    assert_exact(Case(variant, (Node("VSF", (1.5, -2.0), prompt(variant, 1, 3)),), *texts(variant, 1, 1), 3.0))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize(
    ("variant", "positive", "avoided", "size"),
    [
        # 2 x 4 x 4 video tokens.
        ("wan", 20, 12, (8, 8)),
        ("wan_i2v", 20, 12, (8, 8)),
        # 257 image tokens.
        ("wan_i2v", 200, 57, (8, 8)),
        # 2 x 8 x 16 video tokens, one less than image tokens.
        ("wan_i2v", 200, 56, (16, 32)),
        # The levels of the UNet: 8 x 8, 4 x 4, 2 x 2.
        ("sd15", 52, 12, (8, 8)),
        ("sd15", 11, 5, (8, 8)),
        ("sd15", 2, 2, (8, 8)),
        ("sdxl", 13, 3, (8, 8)),
        # 4 x 4 image tokens, which attend a second time among themselves.
        ("sd35_medium", 11, 5, (8, 8)),
    ],
)  # fmt: skip
def test_text_as_long_as_another_attention(variant: str, positive: int, avoided: int, size: tuple[int, int], cfg: float) -> None:
    # Unpadded texts, so that Wan's can be short.
    extra = {"pad_to": 0}
    node = Node(*VSF, prompt(variant, avoided, 3, **extra))
    case = Case(variant, (node,), *texts(variant, positive, positive, **extra), cfg, latent=small_latent(variant, 1, *size))
    assert_exact(case)


def test_repeated_text_as_long_as_a_level() -> None:
    # 18 and 27 tokens are repeated to 54; with 10 negative ones they are 64 = 8 x 8.
    assert_exact(Case("sd15", (Node(*VSF, prompt("sd15", 10, 3)),), *texts("sd15", 18, 27), 3.0, latent=small_latent("sd15", 1, 8, 8)))


@pytest.mark.parametrize(
    ("variant", "size"), [("sd3", (9, 13)), ("sd35_medium", (7, 8)), ("flux", (9, 13)), ("wan", (7, 9)), ("sd15", (9, 13))]
)
def test_odd_sizes(variant: str, size: tuple[int, int]) -> None:
    assert_exact(Case(variant, (Node(*NAG, prompt(variant, 9, 3)),), *texts(variant, 20, 20), 3.0, latent=small_latent(variant, 1, *size)))


def test_one_frame_of_video() -> None:
    assert_exact(Case("wan", (Node(*VSF, prompt("wan", 9, 3)),), *texts("wan", 20, 20), latent=small_latent("wan", 1, frames=1)))
