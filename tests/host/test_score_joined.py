"""Check which conditionings are carried side by side in a batch, and which are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.host.score.joined import sharing, side_by_side
from comfy.conds import CONDConstant, CONDCrossAttn, CONDList, CONDNoiseShape, CONDRegular


def condition(seed: int, **fields: Any) -> dict[str, Any]:
    """Make a conditioning of this run, with a text and a reference picture."""
    text = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(seed))
    made = {
        "text": CONDCrossAttn(text),
        "count": CONDConstant([4]),
        "picture": CONDList([torch.ones(1, 2)]),
        "size": CONDRegular(torch.ones(1)),
    }
    return {"uuid": seed, "model_conds": {**made, **fields.pop("made", {})}, **fields}


def test_what_differs_is_joined_and_what_all_have_is_kept() -> None:
    each = [
        [condition(1), condition(2, strength=0.5)],
        [condition(3), condition(4, strength=0.5)],
        [condition(1), condition(2, strength=0.5)],
    ]
    joined = side_by_side(each)
    assert joined is not None and len(joined) == 2
    for i, one in enumerate(joined):
        made, first = one["model_conds"], each[0][i]["model_conds"]
        assert type(made["text"]) is CONDCrossAttn
        assert torch.equal(made["text"].cond, torch.cat([entries[i]["model_conds"]["text"].cond for entries in each]))
        assert all(made[name] is first[name] for name in ("count", "picture", "size"))
    assert joined[1]["strength"] == 0.5
    # Whoever knows a text by its id is not to take this one for it.
    assert not {one["uuid"] for one in joined} & {1, 2, 3, 4}


def test_what_texts_have_in_common_is_held_once() -> None:
    known, made = [condition(1)], [condition(2), condition(3)]
    first, second = sharing(made, known)
    assert all(first["model_conds"][name] is known[0]["model_conds"][name] for name in ("count", "picture", "size"))
    assert first["model_conds"]["text"] is made[0]["model_conds"]["text"] and second["model_conds"] == made[1]["model_conds"]
    assert first["uuid"] == 2 and made[0]["model_conds"]["size"] is not known[0]["model_conds"]["size"]


OTHERS = {
    "length": {"made": {"text": CONDCrossAttn(torch.zeros(1, 5, 8))}},
    "rows": {"made": {"text": CONDCrossAttn(torch.zeros(2, 4, 8))}},
    "kind": {"made": {"text": CONDRegular(torch.zeros(1, 4, 8))}},
    "constant": {"made": {"count": CONDConstant([5])}},
    "constant tensor": {"made": {"count": CONDConstant(torch.ones(1))}},
    "list": {"made": {"picture": CONDList([torch.zeros(1, 2)])}},
    "more": {"made": {"mask": CONDNoiseShape(torch.ones(1, 1, 4, 4))}},
    "time": {"timestep_start": 0.5},
    "area": {"area": (8, 8, 0, 0)},
    "mask": {"mask": torch.ones(1, 4, 4)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_the_host_cannot_evaluate_at_once_stays_apart(what: str) -> None:
    assert side_by_side([[condition(1)], [condition(2, **OTHERS[what])]]) is None
    assert side_by_side([[condition(1)], [condition(2)], [condition(3), condition(4)]]) is None
