"""Check how nodes of the running workflow are known again: as the host knows cached outputs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from avert.host.running_prompt import Place, executing_place, marks_before

from workflow_runs import Workflow

LINKS = {"1": [], "2": ["1"], "3": ["1"], "4": ["2", "3"], "5": ["4", "1"]}


def mark(workflow: Workflow, name: str) -> str:
    with workflow.node(name):
        place = executing_place()
    assert (place.prompt, place.node) == (f"prompt {workflow.queued}", name)
    return place.mark


def before(workflow: Workflow, name: str) -> set[str]:
    with workflow.node(name):
        return marks_before()


def test_outside_of_a_server_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert executing_place() == Place() and marks_before() == set()
    workflow = Workflow(monkeypatch, LINKS)
    assert executing_place() == Place() and marks_before() == set()
    assert mark(workflow, "17") == "" and before(workflow, "17") == set()


def test_a_mark_tells_all_that_a_node_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow(monkeypatch, LINKS)
    marks = {name: mark(workflow, name) for name in LINKS}
    assert len(set(marks.values())) == len(LINKS)
    assert before(workflow, "5") == {marks[name] for name in "1234"} and before(workflow, "2") == {marks["1"]}

    def changed(node: str, **inputs: Any) -> set[str]:
        workflow.queue(node, **inputs)
        return {name for name, known in marks.items() if mark(workflow, name) != known}

    assert changed("3", seed=7) == {"3", "4", "5"}
    assert changed("3", seed=3) == set()
    # Another output of the same node, and numbers that are no link.
    assert changed("4", input_0=["2", 1]) == {"4", "5"}
    assert changed("4", input_0=["2", 0], size=[2, 3]) == {"4", "5"}


def test_ids_and_what_the_host_or_the_frontend_adds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow(monkeypatch, LINKS)
    known = mark(workflow, "5")
    bodies = copy.deepcopy(workflow.prompt)
    workflow.prompt.clear()
    for name, body in bodies.items():
        inputs = {key: [f"9:{value[0]}", value[1]] if isinstance(value, list) else value for key, value in body["inputs"].items()}
        workflow.prompt[f"9:{name}"] = {"inputs": inputs, "class_type": body["class_type"], "is_changed": [1], "_meta": {"title": "?"}}
    assert mark(workflow, "9:5") == known


def test_what_a_node_expands_to_counts_as_that_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """And stands behind all else that it expanded to."""
    workflow = Workflow(monkeypatch, LINKS)
    assert mark(workflow, "4.0.0.7") == mark(workflow, "4")
    assert before(workflow, "4.0.0.7") == before(workflow, "4") | {mark(workflow, "4")}


@pytest.mark.parametrize("body", [None, {}, {"inputs": {"a": ["5", 0], "b": ["6", 0], "c": object()}}])
def test_strange_workflows_are_survived(monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    """Among them one that goes in a circle, and one with a link to nothing."""
    workflow = Workflow(monkeypatch, LINKS)
    workflow.prompt["1"] = body
    assert mark(workflow, "5")


def test_long_workflows_are_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {"0": [], "1": ["0"], **{str(i): [str(i - 1), str(i - 2)] for i in range(2, 3000)}}
    workflow = Workflow(monkeypatch, links)
    assert len(before(workflow, "2999")) == 2999
