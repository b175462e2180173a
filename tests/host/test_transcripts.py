"""Check that everything that was said on the way to a picture, and nothing else, is saved with it, and that each run finds its own words again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avert.host.install import last_report
from avert.host.running_prompt import Place
from avert.host.watch.said import KEPT, Said
from avert.vlm.transcript import Transcript
from torch import Tensor

from watched_runs import INSIDE, STATIC, VSF, Script, guided, noise, picture, watched
from workflow_runs import Workflow, known, words

# A source, two models that it guides, two samplers behind each other, and a report.
TWO = {"4": [], "5": ["4"], "6": ["4"], "7": ["5"], "8": ["6", "7"], "9": ["8", "6"]}
LOW_NOISE = {"start_step": 4, "disable_noise": True, "noise": torch.zeros(1, 16, 8, 8)}


@pytest.mark.parametrize("stacked", [False, True])
def test_two_models_watched_by_one_source(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any], stacked: bool) -> None:
    """A model for high noise and one for low noise, or one with one more node before the second sampler: a report behind the last has both."""
    world, workflow = demo_worlds["guided"], Workflow(monkeypatch, TWO)

    def both(source: Any) -> tuple[Any, Tensor]:
        high = guided(world, STATIC, source)
        low = guided(world, VSF, source, model=high) if stacked else guided(world, STATIC, source, model=world[0].clone())
        with workflow.node("7"):
            first = picture(high, world, 3.0, last_step=4, force_full_denoise=False)
        with workflow.node("8"):
            return low, picture(low, world, 3.0, latent=first, **LOW_NOISE)

    low, found = both(watched(world, Script(["hat"], ["smoke"], ["tree"], ["hat"]), "every 2"))
    report = workflow.report("9", low, found)
    assert len(report["saved"]) == len(report["watched"]) == 2
    workflow.queue()
    assert torch.equal(both(watched(world, None, replay=known(report)))[1], found)


TILES = (["hat"], ["smoke"], ["tree"])


def tiles(workflow: Workflow, world: Any, source: Any, node: str = "7") -> tuple[Any, list[Tensor]]:
    """Sample three pictures in one node, as tiled upscalers, detailers and lists of latents do, with the same noise."""
    model = guided(world, STATIC, source)
    with workflow.node(node):
        return model, [picture(model, world, 3.0, latent=noise(seed=10 + i), denoise=0.6) for i in range(3)]


def test_a_node_that_samples_several_times(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """All its runs are kept, of its last prompt, and each has its own words again, also in a workflow with other ids."""
    world, workflow = demo_worlds["guided"], Workflow(monkeypatch, {"4": [], "5": ["4"], "7": ["5"], "9": ["7"], "17": ["5"]})
    source = watched(world, Script(*TILES, *TILES), "6")
    model, made = tiles(workflow, world, source)
    # Tiles are put together, and the latent is another one.
    whole = torch.nn.functional.interpolate(made[0], scale_factor=2)
    assert words(workflow.report("9", model, whole)) == [["hat"], ["smoke"], ["tree"]]
    workflow.queue()
    with pytest.raises(RuntimeError, match="tile"), workflow.node("7"):
        picture(model, world, 3.0, latent=noise(seed=10), denoise=0.6, callback=lambda *args: (_ for _ in ()).throw(RuntimeError("tile")))
    # A run that failed is not counted.
    model, _ = tiles(workflow, world, source)
    report = workflow.report("9", model, whole)
    assert words(report) == [["hat"], ["smoke"], ["tree"]]
    for node in ("7", "17"):
        workflow.queue()
        again = tiles(workflow, world, watched(world, None, replay=known(report)), node)[1]
        assert [torch.equal(a, b) for a, b in zip(made, again, strict=True)] == [True] * 3


def test_runs_that_look_alike(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """Of three passes the last two begin at one noise level with one seed, and differ in cfg and in what was said."""
    world = demo_worlds["guided"]
    workflow = Workflow(monkeypatch, {"4": [], "5": ["4"], "10": ["5"], "11": ["5", "10"], "12": ["5", "11"], "13": ["12"]})

    def passes(source: Any) -> tuple[Any, Tensor]:
        model, made = guided(world, STATIC, source), torch.zeros(1, 16, 8, 8)
        for name, denoise, cfg in (("10", 1.0, 3.0), ("11", 0.6, 3.0), ("12", 0.6, 6.0)):
            with workflow.node(name):
                made = picture(model, world, cfg, latent=made, denoise=denoise)
        return model, made

    model, found = passes(watched(world, Script(*TILES), "5"))
    report = workflow.report("13", model, found)
    assert words(report) == [["hat"], ["smoke"], ["tree"]]
    workflow.queue()
    again, made = passes(watched(world, None, replay=known(report)))
    assert torch.equal(made, found) and not any("fit" in note for note in last_report(again).notes)


def test_two_sources_that_look_alike(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """With the same instruction, steps and mechanism, they are known by the ids of their nodes."""
    world, workflow = demo_worlds["few_step"], Workflow(monkeypatch, {"4": [], "5": [], "6": ["4", "5"], "7": ["6"], "9": ["7", "6"]})

    def both(**sources: Any) -> tuple[Any, Tensor]:
        first, second = (watched(world, **one, node=name[1:]) for name, one in sources.items())
        model = guided(world, VSF, second, model=guided(world, VSF, first))
        with workflow.node("7"):
            return model, picture(model, world, 1.0)

    model, found = both(_4={"backend": Script(["hat"])}, _5={"backend": Script(["smoke"])})
    replay = known(workflow.report("9", model, found))
    # Also when they come in another order.
    workflow.queue()
    _, again = both(_4={"backend": None, "replay": replay[::-1]}, _5={"backend": None, "replay": replay})
    assert torch.equal(again, found)


def test_words_that_may_be_of_another_run_are_told(demo_worlds: dict[str, Any]) -> None:
    """Where nothing tells two runs apart, the first is taken, and said so; not when they say the same."""
    world = demo_worlds["guided"]

    def transcripts(second: str) -> tuple[Any, ...]:
        told: list[Any] = []
        for cfg, word in ((3.0, "hat"), (6.0, second)):
            model = guided(world, STATIC, watched(world, Script([word])))
            picture(model, world, cfg)
            told += last_report(model).watched
        return known({"saved": told})

    for second, count in (("smoke", 1), ("hat", 0)):
        again = guided(world, STATIC, watched(world, None, replay=transcripts(second)))
        picture(again, world, 6.0)
        assert sum("fit this run" in note for note in last_report(again).notes) == count


def test_a_report_keeps_to_its_branch(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """Two samplers on one model, and the first one's latent is changed before its report: that is of the first, and has its words alone."""
    world = demo_worlds["guided"]
    workflow = Workflow(
        monkeypatch, {"4": [], "5": ["4"], "1": ["5"], "2": ["5"], "3": ["1"], "8": ["5"], "9": ["3", "5"], "10": ["8", "5"]}
    )
    model = guided(world, STATIC, watched(world, Script(["hat"], ["smoke"]), "5"))
    with workflow.node("1"):
        first = picture(model, world, 3.0, steps=7)
    with workflow.node("2"):
        picture(model, world, 3.0, noise=noise(1, 9))
    larger = torch.nn.functional.interpolate(first, scale_factor=2)
    report = workflow.report("9", model, larger)
    assert words(report) == [["hat"]] and report["total"] == 7
    assert any("changed it since" in note for note in report["notes"])
    # Of a video with sound it cannot be known whether it was changed.
    assert not any("changed it since" in note for note in workflow.report("9", model, [larger])["notes"])
    # What another model made carries no words at all, and the report says that it is of another run.
    report = workflow.report("10", model, larger)
    assert words(report) == [] == report["watched"] and any("another run's" in note for note in report["notes"])


def test_a_run_whose_node_is_not_known_is_not_left_out(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """A node may sample in a thread of its own, where the host does not tell what is executed."""
    world, workflow = demo_worlds["guided"], Workflow(monkeypatch, {"4": [], "5": ["4"], "7": ["5"], "9": ["7", "5"]})
    model = guided(world, STATIC, watched(world, Script(["hat"]), "5"))
    made = picture(model, world, 3.0)
    assert words(workflow.report("9", model, made)) == words(workflow.report("9", model, made * 2)) == [["hat"]]


def test_a_first_pass_out_of_the_cache(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """The host keeps outputs of earlier prompts: its words are those of the prompt that made it, not of the newest."""
    world, workflow = demo_worlds["guided"], Workflow(monkeypatch, TWO)
    source = watched(world, Script(["hat"], ["smoke"], ["tree"], ["moon"]), "5")
    model = guided(world, STATIC, source)

    def passes(seed: int, cached: bool) -> dict[str, Any]:
        with workflow.node("7"):
            first = noise() if cached else picture(model, world, 3.0, noise=noise(1, seed))
        with workflow.node("8"):
            return workflow.report("9", model, picture(model, world, 3.0, latent=first, denoise=0.6))

    workflow.queue("7", seed=1)
    assert words(passes(1, False)) == [["hat"], ["smoke"]]
    workflow.queue("7", seed=2)
    with workflow.node("7"):
        picture(model, world, 3.0, noise=noise(1, 2))
    workflow.queue("7", seed=1)
    workflow.queue("8", seed=5)
    assert words(passes(1, True)) == [["hat"], ["moon"]]


def test_a_run_that_was_not_watched_carries_no_words(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """Also when nothing in the workflow tells it from the one before: a strength may come from a node that draws it."""
    world, workflow = demo_worlds["guided"], Workflow(monkeypatch, {"4": [], "5": ["4"], "7": ["5"], "9": ["7", "5"]})
    source = watched(world, Script(["hat"]), "5")
    with workflow.node("7"):
        picture(guided(world, STATIC, source), world, 3.0)
    workflow.queue()
    neutral = guided(world, type(STATIC)(0.0, "empty"), source)
    with workflow.node("7"):
        plain = picture(neutral, world, 3.0)
    assert words(workflow.report("9", neutral, plain)) == []


def test_loops_and_other_nodes_that_expand(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """Their inner nodes are in no workflow, but have its node's id before their own (comfy_execution/graph_utils.py, GraphBuilder)."""
    world, workflow = demo_worlds["guided"], Workflow(monkeypatch, {"4": [], "5": ["4"], "20": ["5"], "9": ["20", "5"]})
    model = guided(world, STATIC, watched(world, Script(["hat"], ["smoke"]), "5"))
    for name in ("20.0.0.7", "20.0.0.Recurse.0.0.7"):
        with workflow.node(name):
            made = picture(model, world, 3.0)
    for report in ("9", "20.0.0.9"):
        assert words(workflow.report(report, model, made * 2)) == [["hat"], ["smoke"]]


def test_answers_are_short_in_pictures_and_whole_in_reports(monkeypatch: pytest.MonkeyPatch, demo_worlds: dict[str, Any]) -> None:
    """Some packs save pictures as JPEG files, whose metadata ends at 64 KB."""
    world, workflow = demo_worlds["few_step"], Workflow(monkeypatch, {"4": [], "5": ["4"], "7": ["5"], "9": ["7", "5"]})
    long = "hat. " + "It is red. " * 100
    model = guided(world, INSIDE["nag"], watched(world, Script([long] * 8), "6"))
    with workflow.node("7"):
        made = picture(model, world, 1.0, 8)
    report = workflow.report("9", model, made)
    assert [entry["answer"] for entry in report["watched"][0]["entries"]] == [long] * 8
    assert len(str(report["saved"])) < 8 * 300
    assert [one.words for one in known(report)] == [one.words for one in known({"saved": report["watched"]})]


def test_what_was_said_is_kept_for_a_while() -> None:
    """For as many nodes as a host may keep outputs of; what is in use stays."""
    said, told = Said(), Transcript(8, 1, sampler="7")
    for i in range(2 * KEPT):
        place = Place(f"prompt {i}", "7", f"mark {i}")
        assert said.begin(place) == 0
        said.keep(place, told)
        assert said.begin(place) == 1 and said.begin(Place(place.prompt, "8", place.mark)) == 0
        assert said.before({"mark 0", f"mark {i}"}) == [told] * (1 if i == 0 else 2)
    assert len(said.before({f"mark {i}" for i in range(2 * KEPT)})) == KEPT
    said.keep(Place("prompt", "7"), told)
    assert said.before({""}) == []
