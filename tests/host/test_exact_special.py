"""Check setups in which calls look alike: exactness against the dense form on the layer, or against the same run made another way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
from avert.host.guide import guide
from avert.host.install import last_report

from tiny import FACTORIES, conditioning, sample

ALL = (0.0, 1.0)
VSF = ValueSignFlip(1.2, 0.2)


def without_vision(length: int, seed: int) -> list[list]:
    """Give an image-to-video prompt whose workflow has no CLIP vision, as most of them do."""
    (entry,) = conditioning("wan_i2v", length, seed)
    return [[entry[0], {key: value for key, value in entry[1].items() if key != "clip_vision_output"}]]


def test_image_to_video_without_clip_vision_leaves_its_image_branch_alone() -> None:
    """The image branch gets the whole text then: it must get the positive prompt alone, and only the text branch the negative too."""
    model, positive, negative = FACTORIES["wan_i2v"](), without_vision(9, 1), conditioning("wan", 5, 2)
    keys: list[int] = []

    def spy(func: Any, q: Any, k: Any, v: Any, heads: int, mask: Any = None, **kw: Any) -> Any:
        if k.shape[-2] != q.shape[-2]:
            keys.append(k.shape[-2])
        return func(q, k, v, heads, mask=mask, **kw)

    model.model_options["transformer_options"]["optimized_attention_override"] = spy
    plain = sample(model, positive, positive, steps=1)
    assert keys == [512] * 6
    keys.clear()
    patched = guide(model, VSF, negative, ALL, "")
    made = sample(patched, positive, positive, steps=1)
    # Per block: the image branch, then positive and negative of the text branch.
    assert keys == [512, 512, 5] * 3
    assert [step["layers"] for step in last_report(patched, made).steps] == [3]
    assert (made - plain).norm() > 1e-2 * plain.norm()


@pytest.mark.parametrize("mechanism", [VSF, ValueSignFlip(3.3, 0.2, "released"), NormalizedGuidance(5.0, 2.5, 0.25)])
def test_mask_of_the_host_is_kept(mechanism: Any) -> None:
    """Flux Redux at full strength passes a mask of zeros, which must change nothing; one that hides text acts with and without us."""
    model, negative = FACTORIES["flux"](), conditioning("flux", 5, 2)
    tokens, image = 20, 64

    def positive(hide: float) -> list[list]:
        mask = torch.zeros(1, tokens + image, tokens + image)
        mask[:, tokens:, 10:tokens] = hide
        return conditioning("flux", tokens, 1, attention_mask=mask, attention_mask_img_shape=(8, 8))

    patched = guide(model, mechanism, negative, ALL, "")
    bare = sample(patched, conditioning("flux", tokens, 1), conditioning("flux", tokens, 3))
    zero = sample(patched, positive(0.0), conditioning("flux", tokens, 3))
    hidden = sample(patched, positive(-9.0), conditioning("flux", tokens, 3))
    effect = (bare - sample(model, conditioning("flux", tokens, 1), conditioning("flux", tokens, 3))).norm()
    assert (bare - zero).norm() < 1e-3 * effect
    assert (bare - hidden).norm() > 0.1 * effect


def test_override_that_knows_no_output_shapes() -> None:
    """Overrides written for one model may return (B, L, H*D) whatever is asked of them."""
    model, negative, positive = FACTORIES["flux"](), conditioning("flux", 5, 2), conditioning("flux", 9, 1)
    expected = sample(guide(model, VSF, negative, ALL, ""), positive, positive)
    other = model.clone()
    other.model_options["transformer_options"]["optimized_attention_override"] = _flat_only
    patched = guide(other, VSF, negative, ALL, "")
    made = sample(patched, positive, positive)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
    assert last_report(patched, made).backends == ["another node's override, with PyTorch beside it"]


def _flat_only(func: Any, q: Any, k: Any, v: Any, heads: int, mask: Any = None, **kw: Any) -> Any:
    return func(q, k, v, heads, mask=mask, **{**kw, "skip_output_reshape": False})
