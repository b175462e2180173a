"""Check the references against each other, before they judge anything: forms of the papers that must agree."""

import math

import pytest
import torch

from reference.branches import Nag, Nasa, Vsf, dense_cross, dense_joint, dense_nag_joint, nag_formula, text_rows
from reference.dense import (
    Layout,
    attention,
    dense_vsf_cross,
    dense_vsf_joint,
    negative_share,
    token_weighted_vsf_cross,
    vsf_joint_mask,
)
from reference.model_reference import ModelReference, Settings
from tensors import close, normal, qkv


def test_attention_is_pytorchs_in_float64():
    q, k, v = qkv(7, 5)
    mask = normal(7, 5, seed=9)
    close(attention(q, k, v, mask)[0], torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))


@pytest.mark.parametrize("weighted", [False, True])
def test_equation_9_is_equation_7(weighted):
    q, k_p, v_p = qkv(7, 5)
    _, k_1, v_1 = qkv(1, 4, seed=1)
    _, k_2, v_2 = qkv(1, 2, seed=2)
    weights = [torch.tensor([1.0, 1.4, 0.0, -0.5]), None] if weighted else None
    given = (q, k_p, v_p, [k_1, k_2], [v_1, v_2], [3.3, 0.7], [0.2, -0.6], weights)
    close(dense_vsf_cross(*given), token_weighted_vsf_cross(*given))


def test_mask_is_the_papers_table():
    """Figure 3 with one token of each kind: N0 and N1 change with the order of the sequence, the table does not."""
    mask = vsf_joint_mask(Layout((1,), 1, 1), [0.25])
    no = -math.inf
    #                      N0  P   I   N1
    expected = {"N": [0, no, 0, no], "P": [no, 0, 0, no], "I": [no, 0, 0, -0.25]}
    for kind, position in (("N", 0), ("P", 1), ("I", 2)):
        assert mask[position].tolist() == expected[kind], kind


def test_mask_of_the_released_layout():
    """The table of the released SD3.5 code: an unflipped copy Na is seen by I and P, and sees them."""
    mask = vsf_joint_mask(Layout((1,), 1, 1, copies=(1,)), [0.25])
    no = -math.inf
    #                      Nb  Na  P   I   N1
    expected = {"Nb": [0, no, no, 0, no], "Na": [no, 0, 0, 0, no], "P": [no, 0, 0, 0, no], "I": [no, 0, 0, 0, -0.25]}
    for position, kind in enumerate(("Nb", "Na", "P", "I")):
        assert mask[position].tolist() == expected[kind], kind


def joint(layout, **options):
    return qkv(layout.total, layout.total, heads=4, kv_heads=2, **options)


def test_masked_joint_attention_is_the_weighted_form():
    """Per query the joint form is the cross form with keys [P, I, R] against N (appendix B)."""
    layout = Layout((3, 2), 4, 9, 2)
    q, k, v = joint(layout)
    dense = dense_vsf_joint(q, k, v, layout, [2.0, 1.0], [0.1, 0.3])
    image, stream = layout.positions("I"), layout.positions("P", "I", "R")
    k, v = (x.repeat_interleave(2, dim=1) for x in (k, v))
    spans = [list(span) for span in layout.spans()["N"]]
    weighted = token_weighted_vsf_cross(
        q[:, :, image], k[:, :, stream], v[:, :, stream],
        [k[:, :, span] for span in spans], [v[:, :, span] for span in spans], [2.0, 1.0], [0.1, 0.3],
    )  # fmt: skip
    close(dense[:, :, image], weighted)
    others = layout.positions("N", "P", "R")
    close(dense[:, :, others], text_rows(q, k, v, layout)[:, :, others])


def test_released_layout_is_the_papers_with_other_numbers():
    """alpha' = (alpha e^-beta - 1) / (1 + e^-beta), beta' = -ln(1 + e^-beta) while Na and Nb have the same K and V."""
    for alpha, expected in ((3.3, 0.936), (3.8, 1.161)):
        shrink = math.exp(-0.2)
        paper_alpha, paper_beta = (alpha * shrink - 1) / (1 + shrink), -math.log1p(shrink)
        assert paper_alpha == pytest.approx(expected, abs=5e-4)
        assert paper_beta == pytest.approx(-0.598, abs=5e-4)
        released, paper = Layout((3,), 4, 6, copies=(3,)), Layout((3,), 4, 6)
        q, k, v = joint(released)
        k[:, :, 3:6], v[:, :, 3:6] = k[:, :, :3], v[:, :, :3]
        kept = [i for i in range(released.total) if not 3 <= i < 6]
        short = dense_vsf_joint(q[:, :, kept], k[:, :, kept], v[:, :, kept], paper, [paper_alpha], [paper_beta])
        full = dense_vsf_joint(q, k, v, released, [alpha], [0.2])
        close(full[:, :, released.positions("I")], short[:, :, paper.positions("I")])


def test_folded_offset_is_exact_after_division():
    """Z = Z_fold / (1 - m (1 - e^-beta)), with V_N <- -alpha e^-beta V_N and m the unbiased share of N."""
    layout, beta = Layout((3,), 4, 6), 0.7
    q, k, v = joint(layout)
    image = layout.positions("I")
    folded = dense_vsf_joint(q, k, v, layout, [2.0 * math.exp(-beta)], [0.0])[:, :, image]
    share = negative_share(q, k, layout, [0.0])[..., None]
    close(folded / (1 - share * (1 - math.exp(-beta))), dense_vsf_joint(q, k, v, layout, [2.0], [beta])[:, :, image])


def test_tiled_positive_needs_its_logarithm():
    """n copies of P are P with L + ln n: the same as N at beta + ln n."""
    q, k_p, v_p = qkv(5, 4)
    _, k_n, v_n = qkv(1, 3, seed=1)
    tiled = dense_vsf_cross(q, k_p.repeat(1, 1, 2, 1), v_p.repeat(1, 1, 2, 1), [k_n], [v_n], [2.0], [0.2 - math.log(2)])
    close(tiled, dense_vsf_cross(q, k_p, v_p, [k_n], [v_n], [2.0], [0.2]))


def test_a_resting_negative_changes_nothing_but_its_own_rows():
    layout = Layout((3, 2), 4, 6)
    q, k, v = joint(layout)
    both = dense_joint(q, k, v, layout, [Vsf(0, 2.0, 0.1)])
    one, keep = Layout((3,), 4, 6), [i for i in range(layout.total) if not 3 <= i < 5]
    close(both[:, :, keep], dense_joint(q[:, :, keep], k[:, :, keep], v[:, :, keep], one, [Vsf(0, 2.0, 0.1)]))


def test_mechanisms_add_up():
    layout = Layout((3, 2, 4), 4, 6, 2)
    q, k, v = joint(layout)
    plain = text_rows(q, k, v, layout)
    nodes = [Vsf(0, 2.0, 0.1), Nag(1, 4.0, 2.5, 0.5), Nasa(2, 0.2)]
    changes = [dense_joint(q, k, v, layout, [node]) - plain for node in nodes]
    close(dense_joint(q, k, v, layout, nodes), plain + sum(changes))


def test_nag_formula_by_hand():
    """Z+ = (1, 1), Z- = (-1, 3), s = 3: Zg = 3 Z+ - 2 Z- = (5, -3), r = 4; tau = 2: Zh = (2.5, -1.5); a = .5: (1.75, -.25)."""
    plus, minus = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1), torch.tensor([-1.0, 3.0]).reshape(1, 2, 1, 1)
    assert nag_formula(plus, minus, 3.0, 2.0, 0.5).flatten().tolist() == [1.75, -0.25]


def plain_function(q, k, v, heads, mask=None, **_):
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return attention(q, k, v, mask)[0].transpose(1, 2).flatten(2).float()


@pytest.mark.parametrize("form", ["flat", "split", "sd3"])
def test_model_reference_reads_every_form(form):
    layout = Layout((3,), 4, 6, 2)
    q, k, v = (x.float() for x in qkv(layout.total, layout.total, heads=4))
    nodes = (Nag(0, 4.0),)
    override = ModelReference(Settings(layout, nodes, (False, True)))
    flat = [x.transpose(1, 2).flatten(2) for x in (q, k, v)]
    if form == "split":
        out = override(plain_function, q, k, v, 4, skip_reshape=True, skip_output_reshape=True).transpose(1, 2).flatten(2)
    else:
        out = override(plain_function, *flat[:2], v.transpose(1, 2) if form == "sd3" else flat[2], 4)
    assert out.dtype == torch.float32 and out.shape == flat[0].shape
    guided = dense_nag_joint(q, k, v, layout, nodes[0])[1].transpose(0, 1).flatten(1)
    own = layout.positions("P", "I", "R")
    unguided = attention(q[:, :, own], k[:, :, own], v[:, :, own])[0][0].transpose(0, 1).flatten(1)
    close(out[1], guided, atol=1e-6, rtol=1e-6)
    close(out[0, own], unguided, atol=1e-6, rtol=1e-6)
    assert (override.guided_calls, override.other_calls) == (1, 0)


def test_model_reference_leaves_other_calls_to_the_host():
    override = ModelReference(Settings(Layout((3,), 4), (Vsf(0, 2.0),), (True, True), kind="cross"))
    q, k, v = (x.float().transpose(1, 2).flatten(2) for x in qkv(9, 9))
    assert torch.equal(override(plain_function, q, k, v, 3), plain_function(q, k, v, 3))
    assert (override.guided_calls, override.other_calls) == (0, 1)
    k, v = k[:, :7], v[:, :7]
    out = override(plain_function, q, k, v, 3)
    parts = [x.double().unflatten(2, (3, -1)).transpose(1, 2) for x in (q, k, v)]
    close(out, dense_cross(*parts, Layout((3,), 4), [Vsf(0, 2.0)]).transpose(1, 2).flatten(2), atol=1e-6, rtol=1e-6)
    assert override.guided_calls == 1
