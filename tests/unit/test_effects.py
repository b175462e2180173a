"""Pin what an attention layer tells of itself: the negatives' share and the size of the change."""

import pytest

from reference.branches import Vsf
from reference.dense import Layout, negative_share
from tensors import SINGLE, close, qkv
from test_streams import joint


@pytest.mark.parametrize("negatives", [(3,), (3, 2)])
def test_the_share_is_one_minus_w(negatives):
    layout = Layout(negatives, 4, 9, 2)
    nodes = [Vsf(i, 2.0, 0.2) for i in range(len(negatives))]
    q, k, v = qkv(layout.total, layout.total)
    _, effect = joint(layout, nodes, q, k, v, with_map=True)
    share = negative_share(q, k, layout, [0.2] * len(negatives))
    close(effect.share, share.mean((1, 2)), **SINGLE)
    close(effect.map, share.mean(1), **SINGLE)
    assert joint(layout, nodes, q, k, v)[1].map is None


def test_the_size_of_the_change_is_per_sample():
    layout = Layout((3,), 4, 9)
    q, k, v = qkv(layout.total, layout.total)
    for x in (k, v):
        x[1, :, 7:] = x[0, :, 7:]
    _, weak = joint(layout, [Vsf(0, 1.0)], q, k, v)
    _, strong = joint(layout, [Vsf(0, 6.0)], q, k, v)
    assert weak.change.shape == (2,) and (strong.change > weak.change).all() and weak.change[0] != weak.change[1]
