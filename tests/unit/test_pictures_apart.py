"""Pin negatives that are for some pictures of a batch only: each picture is as if it were alone."""

from dataclasses import replace

import pytest
import torch
from avert.guidance.attention.kernels import attend_plain
from avert.guidance.attention.streams import cross_attention, joint_attention

from reference.dense import Layout
from tensors import close, qkv
from test_streams import CASES, lengths, segments, strands

ROWS = ["VSF", "two VSF", "NAG", "NASA", "two NAG", "NAG and NASA", "all, in another order"]


@pytest.mark.parametrize("case", ROWS)
@pytest.mark.parametrize("cross", [False, True])
def test_a_negative_for_some_pictures_only(case, cross):
    """Each picture is as if only its own negatives existed; the batch holds the two pictures twice."""
    negatives, nodes = CASES[case]
    layout = Layout(negatives, 4, 9)
    q, k, v = qkv(layout.total, layout.total, rows=4)
    wanted = [torch.tensor([i % 2 == 0, i % 3 == 1]) for i in range(len(negatives))]

    def attended(rows, keep):
        parts = [replace(part, rows=rows and rows[i]) for i, part in enumerate(segments(layout))]
        acts = [strand for node, strand in zip(nodes, strands(nodes, parts), strict=True) if keep(node.negative)]
        if cross:
            return cross_attention(q[:, :, -9:], k[:, :, :-9], v[:, :, :-9], lengths(layout), acts, attend_plain)[0]
        return joint_attention(q, k, v, lengths(layout), parts, acts, attend_plain)[0]

    together = attended(wanted, lambda _: True)
    for picture in (0, 1):
        alone = attended(None, lambda negative: bool(wanted[negative][picture]))  # noqa: B023
        close(together[picture::2], alone[picture::2])
