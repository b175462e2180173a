"""Check what only Hunyuan's models have: a refiner that mixes the text, pictures beside it in the sequence, and masks of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from avert.guidance.attention.mechanism import Mechanism, NegativeAway, NormalizedGuidance, ValueSignFlip
from avert.host.families import find_family
from avert.host.guide import guide
from torch import Tensor

from family_reference import Reference
from family_spec import Conditioning, Spec, all_specs, model_of
from guided_runs import module_outline, with_override
from spec_hunyuan import GLYPHS, SPECS, WITH_PICTURE, image_prompt, order, video_prompt
from test_coexist_compile import CLOSE, compiled
from test_families import MECHANISMS, WINDOW, distance
from tiny import sample

VSF, UNSEEN = ValueSignFlip(1.0, 0.0), ValueSignFlip(1.0, 1e4)
VIDEO = all_specs()["hunyuan_video"]
# The text alone, without the quoted words and the picture that may stand beside it.
BARE = {
    name: replace(all_specs()[name], prompt=video_prompt, order=order, reference_tokens=lambda conditions: 0)
    for name in ("hunyuan_image", "hunyuan_video15")
}
ALONE = {**WITH_PICTURE, **BARE}


def run(spec: Spec, model: Any, positive: Conditioning | None = None, **options: Any) -> Tensor:
    """Sample one video or picture without a second conditioning."""
    positive = spec.prompt(9, 1) if positive is None else positive
    return sample(model, positive, positive, **{"steps": 2, "latent": spec.latent(1)} | options)


def model_for(spec: Spec) -> Any:
    return model_of(spec.name) if spec.name in all_specs() else model_of("hunyuan_video")


def guided(model: Any, negative: Conditioning, mechanism: Mechanism = VSF) -> Any:
    return guide(model, mechanism, negative, WINDOW, "")


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", ALONE)
def test_exact_with_and_without_pictures_and_quoted_words(name: str, mechanism: str) -> None:
    spec, (ours, dense) = ALONE[name], MECHANISMS[mechanism]
    model, negative = model_for(spec), spec.prompt(5, 3)
    plain, made = run(spec, model), run(spec, guided(model, negative, ours))
    with Reference(spec, dense, negative).on(model) as patched:
        expected = run(spec, patched)
    effect = distance(expected, plain)
    assert effect > 0.003 * plain.norm()
    assert distance(made, expected) <= 1e-3 * effect


@pytest.mark.parametrize("length", [1, 40])
@pytest.mark.parametrize("name", ALONE)
def test_unseen_with_and_without_pictures_and_quoted_words(name: str, length: int) -> None:
    """With a first frame given, its modulation must not move either, and 40 tokens are more than the frame has."""
    spec = ALONE[name]
    model = model_for(spec)
    plain, seen = run(spec, model), run(spec, guided(model, spec.prompt(5, 3)))
    unseen = run(spec, guided(model, spec.prompt(length, 3), UNSEEN))
    assert distance(unseen, plain) < 1e-4 * distance(seen, plain)


@contextmanager
def refined(model: Any) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect what the refiner attends over, and its condition, in every call."""
    calls: list[tuple[Tensor, Tensor]] = []
    inner = model.model.diffusion_model.txt_in.individual_token_refiner
    hook = inner.register_forward_hook(lambda module, args, out: calls.append((out.clone(), args[1].clone())))
    try:
        yield calls
    finally:
        hook.remove()


def test_each_prompt_is_refined_by_itself() -> None:
    """Also the unflipped copies of a layout that has them: they are what the negatives are, and the positive is the one that it was."""
    model = model_of("hunyuan_video")
    negatives = [*video_prompt(4, 3), *video_prompt(6, 4)]
    with refined(model) as plain:
        run(VIDEO, model, steps=1)
    with refined(model) as calls:
        run(VIDEO, guided(model, negatives, ValueSignFlip(1.0, 0.0, "released")), steps=1)
    assert [text.shape[1] for text, _ in calls] == [4, 6, 4, 6, 9]
    for mine, other in ((calls[0], calls[2]), (calls[1], calls[3]), (calls[4], plain[0])):
        assert torch.equal(mine[0], other[0]) and torch.equal(mine[1], other[1])


def masked(prompt: Conditioning, seen: int) -> Conditioning:
    """Hide the tokens of a prompt from `seen` on, as a text encoder does that padded them."""
    ((text, options),) = prompt
    return [[text, {**options, "attention_mask": (torch.arange(text.shape[1]) < seen).long()[None]}]]


@pytest.mark.parametrize("mechanism", [UNSEEN, NormalizedGuidance(5.0, 2.5, 1e-7), NegativeAway(1e-7)])
def test_mask_of_the_positive_acts_as_before(mechanism: Mechanism) -> None:
    """The mechanisms do next to nothing here, each in its own way."""
    model, positive = model_of("hunyuan_video"), masked(video_prompt(12, 1), 7)
    plain, open_text = run(VIDEO, model, positive), run(VIDEO, model, video_prompt(12, 1))
    made = run(VIDEO, guided(model, video_prompt(5, 3), mechanism), positive)
    assert distance(plain, open_text) > 1e-2 * plain.norm()
    assert distance(made, plain) < 1e-4 * distance(plain, open_text)


def test_mask_of_the_positive_lets_the_negative_be_seen() -> None:
    model, positive = model_of("hunyuan_video"), masked(video_prompt(12, 1), 7)
    effect = distance(run(VIDEO, guided(model, video_prompt(5, 3)), positive), run(VIDEO, model, positive))
    bare = distance(run(VIDEO, guided(model, video_prompt(5, 3)), video_prompt(7, 1)), run(VIDEO, model, video_prompt(7, 1)))
    assert 0.3 < effect / bare < 3


def test_padding_of_the_negative_is_left_out() -> None:
    model, long = model_of("hunyuan_video"), video_prompt(8, 3)
    short = [[long[0][0][:, :5], long[0][1]]]
    made = run(VIDEO, guided(model, masked(long, 5)))
    assert torch.equal(made, run(VIDEO, guided(model, short)))
    assert distance(made, run(VIDEO, guided(model, long))) > 1e-2 * distance(made, run(VIDEO, model))


def test_quoted_words_of_the_negative_are_not_taken() -> None:
    spec, model = all_specs()["hunyuan_image"], model_of("hunyuan_image")
    ((text, options),) = image_prompt(5, 3)
    without = [[text, {key: value for key, value in options.items() if key != "conditioning_byt5small"}]]
    made = run(spec, guided(model, image_prompt(5, 3)))
    assert torch.equal(made, run(spec, guided(model, without)))
    assert image_prompt(5, 3)[0][1]["conditioning_byt5small"].shape[1] == GLYPHS


def test_the_refiner_is_given_back_after_an_error() -> None:
    model = model_of("hunyuan_video")
    before = module_outline(model)

    def broken(*args: Any, **kwargs: Any) -> Tensor:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        run(VIDEO, guided(with_override(model, broken), video_prompt(5, 3)))
    assert module_outline(model) == before


def test_another_node_may_have_changed_the_refiner() -> None:
    """A patch of the refiner goes on, and is the host's to undo."""
    model, lengths = model_of("hunyuan_video").clone(), []
    before = module_outline(model)
    forward = model.model.diffusion_model.txt_in.forward

    def counted(text: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        lengths.append(text.shape[1])
        return forward(text, *args, **kwargs)

    model.add_object_patch("diffusion_model.txt_in.forward", counted)
    made = run(VIDEO, guided(model, video_prompt(5, 3)))
    assert lengths == [5, 9] * 2
    model.unpatch_model()
    assert set(module_outline(model)) == set(before)
    assert torch.equal(made, run(VIDEO, guided(model_of("hunyuan_video"), video_prompt(5, 3))))


@pytest.mark.slow
def test_compiled() -> None:
    """In whatever order runs with and without guidance come; the second text is as long as the first is with its negative."""
    torch._dynamo.reset()
    model = model_of("hunyuan_video")
    quick = compiled(model, "eager")
    for length, avoided in ((9, 0), (9, 5), (14, 0), (9, 3)):
        plain, fast = (
            run(VIDEO, guided(one, video_prompt(avoided, 3)) if avoided else one, video_prompt(length, 1)) for one in (model, quick)
        )
        assert distance(plain, fast) < CLOSE * plain.norm()
    torch._dynamo.reset()


def test_relatives_that_put_vision_elsewhere_are_refused() -> None:
    """Vision tokens without embeddings of what they are would stand in front of the text together with nothing else."""
    model = SPECS[-1].build()
    assert find_family(model.model).name == "HunyuanVideo/Image"
    model.model.diffusion_model.cond_type_embedding = None
    with pytest.raises(ValueError, match="does not support this model"):
        find_family(model.model)
