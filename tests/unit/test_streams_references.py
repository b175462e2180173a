"""Check cross-attention in which queries of reference pictures stand behind the image's."""

import torch
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.streams import Lengths, cross_attention

from reference.branches import Vsf, dense_cross
from reference.dense import Layout
from test_streams import close, qkv, segments, strands


def test_cross_with_references_behind_the_image():
    layout, nodes, (q, *kv) = Layout((3,), 4), [Vsf(0, 2.0, 0.2)], qkv(9, 7)
    out = cross_attention(q, *kv, Lengths(3, 4, reference=3), strands(nodes, segments(layout)), attend_plain)[0].transpose(1, 2)
    close(out, torch.cat([dense_cross(q[:, :, :6], *kv, layout, nodes), dense_cross(q[:, :, 6:], *kv, layout, [])], 2))
