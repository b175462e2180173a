"""Check what stands in a strip of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from avert.host.compare import GAP, compare
from avert.host.drawing import COLOURS, heat, plain
from torch import Tensor


def picture(value: float, count: int = 1, height: int = 300, width: int = 280) -> Tensor:
    return torch.full((count, height, width, 3), value)


def parts(strip: object, columns: int, height: int = 300) -> list[np.ndarray]:
    """Cut a strip into its columns, without captions."""
    pixels = np.asarray(strip)[-height:]
    width = (pixels.shape[1] + GAP) // columns - GAP
    return [pixels[:, place * (width + GAP) : place * (width + GAP) + width] for place in range(columns)]


def test_pictures_stand_in_their_order_unchanged() -> None:
    (strip,) = compare([picture(0.2), picture(0.6), picture(1.0)], ["a", "b", "c"], False)
    assert [set(np.unique(part)) for part in parts(strip, 3)] == [{51}, {153}, {255}]


def test_the_difference_is_where_it_is() -> None:
    changed = picture(0.2)
    changed[:, 100:110, 50:60, 0] = 0.8
    (strip,) = compare([picture(0.2), changed], [], True)
    shown = parts(strip, 3)[2]
    low, high = heat(np.array([[0.0, 1.0]])).getdata()
    assert tuple(shown[105, 55]) == tuple(high) == tuple(COLOURS[-1].astype(int))
    assert tuple(shown[10, 10]) == tuple(low) and tuple(shown[112, 55]) == tuple(low)


def test_the_caption_says_how_large_the_difference_is(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    from avert.host import compare as module

    monkeypatch.setattr(module, "_caption", lambda draw, text, *rest: written.append(text))
    changed = picture(0.2)
    changed[..., 0] = 0.5
    compare([picture(0.2), changed], ["first"], True)
    assert written == ["first", "2", "difference 10.0%, yellow = 10%"]


def test_a_batch_gives_a_strip_for_each_and_one_picture_stands_beside_all() -> None:
    batch = torch.cat([picture(0.0), picture(1.0)])
    strips = compare([picture(0.6), batch], [], False)
    assert [[int(part[0, 0, 0]) for part in parts(strip, 2)] for strip in strips] == [[153, 0], [153, 255]]


def test_other_sizes_and_grey_and_transparent_pictures_are_shown_as_the_first() -> None:
    grey, clear = torch.full((1, 64, 600, 1), 1.0), torch.full((1, 600, 64, 4), 0.6)
    (strip,) = compare([picture(0.2), grey, clear], [], True)
    assert [int(part[150, 100, 0]) for part in (parts(strip, 5)[i] for i in (0, 1, 3))] == [51, 255, 153]


def test_small_pictures_are_enlarged_and_large_ones_shrunk() -> None:
    small, large = (compare([picture(0.5, 1, side, side)] * 2, [], False)[0] for side in (64, 4096))
    assert small.height > 256 and large.height < 1200 and large.width < 2100


def test_batches_that_do_not_pair_are_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"batches of 2, 3; give each as many"):
        compare([picture(0, 2), picture(0, 3)], [], False)


@pytest.mark.parametrize(
    "caption", ["", "x" * 5000, "\u202e<b>\x00\x1b", "\u8d1f\u9762 \U0001f600"], ids=["empty", "long", "hostile", "wide"]
)
def test_any_caption_can_be_drawn(caption: str) -> None:
    (strip,) = compare([picture(0.5)] * 2, [caption, caption], False)
    assert [int(part[0, 0, 0]) for part in parts(strip, 2)] == [128, 128]


def test_texts_become_one_plain_line() -> None:
    assert plain("a\n\tb\u202e\x1b[31m\u200bc", 40) == "a b [31m c"
    assert plain("word " * 100, 20) == "word word word wo..."
