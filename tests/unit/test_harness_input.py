"""Check what the harness reads and sends: pairs of prompts and workflows, and what it says of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from avert.benchmarks.harness.pairs import COLUMNS, Pair, limited, read_pairs
from avert.benchmarks.harness.trouble import UserError
from avert.benchmarks.harness.workflow import read_workflow, read_workflows, safe_name
from avert.benchmarks.pack import ROOT

HEAD = ",".join(COLUMNS)
ROW = '{},vehicle,"a bicycle, leaning",wheels,Is there a bicycle?,Does it have wheels?'
PAIR = Pair(7, "vehicle", "a bicycle", "wheels", "Is there a bicycle?", "Does it have wheels?")
NODES: dict[str, Any] = {
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "%positive%, photograph"}, "_meta": {"title": "Prompt"}},
    "3": {"class_type": "AvertNegativePrompt", "inputs": {"clip": ["1", 1], "text": "%negative%"}},
    "8": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 8, "positive": ["2", 0], "flag": True}},
    "10": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}, "_meta": {"title": "Save"}},
}


def write_csv(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def write_workflow(folder: Path, nodes: Any = NODES, name: str = "mine.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(nodes), encoding="utf-8")
    return path


def changed(**inputs: dict[str, Any]) -> dict[str, Any]:
    """Give the nodes with other inputs, by node: n8={"seed": 3}."""
    nodes = json.loads(json.dumps(NODES))
    for node, values in inputs.items():
        nodes[node[1:]]["inputs"] |= values
    return nodes


# Pairs


def test_pairs_are_read_in_their_order(tmp_path: Path) -> None:
    pairs = read_pairs(write_csv(tmp_path, ROW.format(9), "", ROW.format(3)))
    assert [pair.number for pair in pairs] == [9, 3]
    assert pairs[0].positive == "a bicycle, leaning" and pairs[0].thing == "" and pairs[0].question_negative == "Does it have wheels?"


def test_other_columns_orders_and_marks_are_fine(tmp_path: Path) -> None:
    head = "\ufeff" + ",".join(["thing", *reversed(COLUMNS), "note"])
    pair = read_pairs(write_csv(tmp_path, 'house,n?,p?,"a chimney, smoke",a house,part,4,x', head=head))[0]
    assert (pair.number, pair.thing, pair.avoided, pair.question_positive) == (4, "house", ("a chimney", "smoke"), "p?")


@pytest.mark.parametrize(
    ("rows", "head", "told"),
    [
        ([ROW.format(1)], HEAD.replace("category,", ""), "lacks the column category"),
        ([ROW.format(1)], HEAD + ",number", "twice"),
        (["1,a,,c,d,e"], HEAD, "row 2: the column positive is empty"),
        ([ROW.format(1), ROW.format(2), ROW.format(1)], HEAD, "row 4: the number 1 is there twice"),
        (["1,a,b,c,d"], HEAD, "row 2: 5 cells for 6 columns"),
        (["one,a,b,c,d,e"], HEAD, "row 2: 'one' is no number"),
        (["-1,a,b,c,d,e"], HEAD, "is no number"),
        (["9999999,a,b,c,d,e"], HEAD, "is no number"),
        ([], HEAD, "no pairs"),
        (['1,"a,b,c,d,e'], HEAD, "cannot be read"),
    ],
)
def test_bad_pairs_are_refused_in_a_sentence(tmp_path: Path, rows: list[str], head: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_pairs(write_csv(tmp_path, *rows, head=head))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name, told in (("x.csv", "cannot be read"), ("empty.csv", "is empty"), ("none.csv", "cannot be read")):
        with pytest.raises(UserError, match=told):
            read_pairs(tmp_path / name)


def test_pairs_of_the_demo_world_can_be_asked_in_both_ways() -> None:
    pairs = read_pairs(ROOT / "benchmarks" / "pairs_demo.csv")
    assert len(pairs) >= 12 and all(pair.thing and pair.thing in pair.positive for pair in pairs)
    assert all(part in " ".join((pair.question_negative, pair.negative)) for pair in pairs for part in pair.avoided)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("pairs*.csv")), ids=lambda path: path.name)
def test_pairs_that_come_with_the_pack_can_be_read(path: Path) -> None:
    pairs = read_pairs(path)
    assert len({(pair.positive, pair.negative) for pair in pairs}) == len(pairs) and all(pair.avoided for pair in pairs)


def test_fewer_pairs_are_among_more() -> None:
    pairs = [Pair(number, "c", "p", "n", "?", "?") for number in range(50)]
    some, more = limited(pairs, 5), limited(pairs, 20)
    assert len(some) == 5 and set(some) < set(more) and more == sorted(more, key=lambda pair: pair.number)
    assert [pair.number for pair in limited(pairs, 4)] == [0, 12, 25, 37] and limited(pairs, None) == limited(pairs, 99) == pairs
    assert all(len(limited(pairs, most)) == most for most in range(1, 50)) and len(limited(pairs[:1], 1)) == 1


# Workflows


def test_words_and_seed_are_put_in(tmp_path: Path) -> None:
    workflow = read_workflow(write_workflow(tmp_path))
    placed = workflow.placed(PAIR, 2)
    assert placed["2"]["inputs"]["text"] == "a bicycle, photograph" and placed["3"]["inputs"]["text"] == "wheels"
    assert placed["8"]["inputs"] == {"seed": 7002, "steps": 8, "positive": ["2", 0], "flag": True}
    assert workflow.nodes == NODES and workflow.name == "mine"


def test_words_with_marks_in_them_stay(tmp_path: Path) -> None:
    pair = Pair(1, "c", "a %negative% \\1", "%positive%", "?", "?")
    placed = read_workflow(write_workflow(tmp_path)).placed(pair, 0)
    assert placed["2"]["inputs"]["text"] == "a %negative% \\1, photograph" and placed["3"]["inputs"]["text"] == "%positive%"


def test_all_seeds_are_found(tmp_path: Path) -> None:
    nodes = changed(n8={"seed": ["4", 0], "noise_seed": 5}) | {
        "4": {"class_type": "PrimitiveInt", "inputs": {"value": 11}},
        "5": {"class_type": "X", "inputs": {"seed": True}},
    }
    placed = read_workflow(write_workflow(tmp_path, nodes)).placed(PAIR, 0)
    assert placed["4"]["inputs"]["value"] == placed["8"]["inputs"]["noise_seed"] == 7000
    assert placed["8"]["inputs"]["seed"] == ["4", 0] and placed["5"]["inputs"]["seed"] is True


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ({"nodes": [], "links": []}, "Export \\(API\\)"),
        ({}, "no workflow in the API's form"),
        ([1], "no workflow in the API's form"),
        ({"1": {"class_type": "X"}}, "no workflow in the API's form"),
        (changed(n2={"text": "a tree"}), "%positive%"),
        (changed(n8={"seed": ["9", 0]}), "seed or noise_seed"),
    ],
)
def test_wrong_workflows_are_refused_in_a_sentence(tmp_path: Path, nodes: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_workflow(write_workflow(tmp_path, nodes))


def test_workflows_need_different_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="Two workflows are called"):
        read_workflows([write_workflow(tmp_path), write_workflow(tmp_path / "b", name="Mine.json")])


@pytest.mark.parametrize(
    ("text", "name"), [("a b/c", "a_b_c"), ("..", "workflow"), ("../../etc", "etc"), ("\u96ea", "workflow"), ("x.1-y", "x.1-y")]
)
def test_names_of_folders_are_safe(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_keys_change_with_what_a_picture_is_made_of(tmp_path: Path) -> None:
    def key(nodes: Any = NODES, pair: Pair = PAIR, turn: int = 0) -> str:
        return read_workflow(write_workflow(tmp_path, nodes)).key(pair, turn)

    titled = json.loads(json.dumps(NODES))
    titled["8"]["_meta"] = {"title": "anything"}
    asked_otherwise = Pair(7, "other", "a bicycle", "wheels", "Another?", "Question?", "bicycle")
    assert key() == key(titled) == key(changed(n8={"seed": 99})) == key(pair=asked_otherwise)
    titled["10"]["_meta"] = {"title": "%picture%"}
    others = [
        key(titled), key(changed(n8={"steps": 9})), key(turn=1), key(pair=Pair(7, "c", "a bike", "wheels", "?", "?")),
        key(pair=Pair(7, "c", "a bicycle", "spokes", "?", "?")), key(pair=Pair(8, "c", "a bicycle", "wheels", "?", "?")),
    ]  # fmt: skip
    assert len({key(), *others}) == 7
    without = {name: node for name, node in NODES.items() if name != "3"}
    assert key(without) == key(without, Pair(7, "c", "a bicycle", "spokes", "?", "?"))
