"""Check what only Chroma has: masks of its text, and Radiance's positions, which a node may switch on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
from avert.host.encode import encode_negative
from avert.host.families import find_family
from avert.host.guide import guide

from family_spec import all_specs, model_of
from spec_chroma import radiance
from tiny import sample
from tiny_clip import tiny_clip

WINDOW = (0.0, 1.0)
VSF = ValueSignFlip(1.2, 0.2)


@pytest.mark.parametrize("mechanism", [VSF, NormalizedGuidance(5.0, 2.5, 0.25)])
def test_mask_of_the_host_is_kept(mechanism: Any) -> None:
    """A mask that hides a part of the text hides it with and without us, and one of zeros changes nothing."""
    spec, model = all_specs()["chroma"], model_of("chroma")
    tokens, image = 12, 4 * 6

    def positive(hide: float) -> list[list]:
        mask = torch.zeros(1, tokens + image, tokens + image)
        mask[..., 7:tokens] = hide
        (entry,) = spec.prompt(tokens, 1)
        return [[entry[0], {**entry[1], "attention_mask": mask, "attention_mask_img_shape": (4, 6)}]]

    def run(given: Any, prompt: list[list]) -> torch.Tensor:
        return sample(given, prompt, spec.prompt(tokens, 3), steps=2, latent=spec.latent(1))

    patched, bare = guide(model, mechanism, spec.prompt(5, 2), WINDOW, ""), spec.prompt(tokens, 1)
    # Hidden from everybody, the last five tokens are as if they had not been written.
    shorter = [[bare[0][0][:, :7], bare[0][1]]]
    effect = (run(patched, bare) - run(model, bare)).norm()
    assert (run(patched, bare) - run(patched, positive(0.0))).norm() < 1e-3 * effect
    assert (run(patched, shorter) - run(patched, positive(-1e9))).norm() < 1e-3 * effect
    assert (run(patched, shorter) - run(patched, bare)).norm() > 0.1 * effect


def test_radiances_positions_may_be_switched_on() -> None:
    """A node may do so for a run, whatever the model was made with; the negatives must not shift those of the text either."""
    spec, model = all_specs()["chroma_radiance"], radiance(use_sequential_txt_ids=False)
    if not hasattr(model.model.diffusion_model.params, "use_sequential_txt_ids"):
        pytest.skip("this host's Radiance has no text with positions")
    counted = model.clone()
    options = {**counted.model_options["transformer_options"], "chroma_radiance_options": {"use_sequential_txt_ids": True}}
    counted.model_options["transformer_options"] = options
    positive, negative = spec.prompt(9, 1), spec.prompt(40, 3)
    settings: dict[str, Any] = {"steps": 2, "latent": spec.latent(1)}
    plain = sample(counted, positive, positive, **settings)
    assert not torch.equal(plain, sample(model, positive, positive, **settings))
    seen, unseen = (
        sample(guide(counted, ValueSignFlip(1.0, offset), negative, WINDOW, ""), positive, positive, **settings) for offset in (0.0, 1e4)
    )
    assert (unseen - plain).norm() < 1e-4 * (seen - plain).norm()


def test_its_text_is_t5s() -> None:
    family = find_family(model_of("chroma").model)
    assert family.encoders == {"t5xxl"} and family.text_width() == 48
    with pytest.raises(ValueError, match="text is 4096 wide, this model takes 48"):
        guide(model_of("chroma"), VSF, encode_negative(tiny_clip("wan"), "glasses"), WINDOW, "")
