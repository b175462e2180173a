"""Read a user's workflow in the API's form, and put prompts and seeds into it."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .pairs import Pair
from .trouble import UserError, short

POSITIVE, NEGATIVE, PICTURE = "%positive%", "%negative%", "%picture%"
SEEDS = ("seed", "noise_seed")
# What nodes that hold one number call it; a seed may come from such a node.
HELD = ("value", "int", "number")
WORDS = re.compile(re.escape(POSITIVE) + "|" + re.escape(NEGATIVE))
EXPORT = 'open it in ComfyUI and use "Export (API)" of the Workflow menu'

Prompt = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Workflow:
    """Hold a workflow: its name in files and tables, its nodes, the places of its seeds (node, input), and the nodes whose title asks for their picture."""

    name: str
    nodes: Prompt
    seeds: tuple[tuple[str, str], ...]
    marked: frozenset[str]

    def placed(self, pair: Pair, turn: int) -> Prompt:
        """Give the nodes as they are sent for one picture, with the pair's words and seed."""
        words = {POSITIVE: pair.positive, NEGATIVE: pair.negative}
        prompt = {key: {**node, "inputs": _filled(node["inputs"], words)} for key, node in copy.deepcopy(self.nodes).items()}
        for node, name in self.seeds:
            prompt[node]["inputs"][name] = pair.seed(turn)
        return prompt

    def key(self, pair: Pair, turn: int) -> str:
        """Name a picture by all that it is made from; titles and the places of nodes are not of that."""
        made = {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in self.placed(pair, turn).items()}
        text = json.dumps([made, sorted(self.marked)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def title(self, node: str) -> str:
        """Name a node to the user: its number, kind and title."""
        body = self.nodes.get(node, {})
        kind, title = str(body.get("class_type", "")), title_of(body)
        return f"node {short(node, 40)}" + (
            f" ({short(kind, 60)}{f', {short(title, 60)!r}' if title and title != kind else ''})" if kind else ""
        )


def title_of(node: dict[str, Any]) -> str:
    """Give what a node is called in its workflow."""
    about = node.get("_meta")
    return str(about.get("title", "")) if isinstance(about, dict) else ""


def read_workflows(paths: Sequence[Path]) -> list[Workflow]:
    """Read all workflows. Raises UserError."""
    workflows = [read_workflow(path) for path in paths]
    names = [workflow.name.casefold() for workflow in workflows]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UserError(
                f"Two workflows are called {workflows[place].name}; give their files different names, which the table will show."
            )
    return workflows


def read_workflow(path: Path) -> Workflow:
    """Read one workflow. Raises UserError."""
    try:
        nodes = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"The workflow {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"The workflow {path} cannot be read: {short(error)}; {EXPORT}.") from error
    if isinstance(nodes, dict) and isinstance(nodes.get("nodes"), list):
        raise UserError(f"The workflow {path} is in the form that ComfyUI's editor saves; {EXPORT} instead.")
    if not (isinstance(nodes, dict) and nodes and all(map(_is_node, nodes.values()))):
        raise UserError(f"{path} is no workflow in the API's form; {EXPORT}.")
    if not any(POSITIVE in text for node in nodes.values() for text in _texts(node["inputs"])):
        raise UserError(
            f"The workflow {path} has no {POSITIVE} in any text; write {POSITIVE} where the prompt stands, and {NEGATIVE} where the negative prompt stands."
        )
    seeds = tuple(sorted(set(_seeds(nodes))))
    if not seeds:
        raise UserError(f"The workflow {path} has no input called seed or noise_seed with a number, so all its pictures would begin alike.")
    return Workflow(safe_name(path.stem), nodes, seeds, frozenset(key for key, node in nodes.items() if PICTURE in title_of(node)))


def safe_name(text: str) -> str:
    """Make a name for a folder out of any text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:80] or "workflow"


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _filled(value: Any, words: dict[str, str]) -> Any:
    """Put the words in, in one go: words that hold such a mark themselves stay as they are."""
    if isinstance(value, str):
        return WORDS.sub(lambda found: words[found.group()], value)
    if isinstance(value, dict):
        return {key: _filled(one, words) for key, one in value.items()}
    return [_filled(one, words) for one in value] if isinstance(value, list) else value


def _seeds(nodes: Prompt) -> Iterator[tuple[str, str]]:
    """Find the inputs that hold a seed: their own number, or the one of a node that they are connected with."""
    for key, node in nodes.items():
        for name in SEEDS:
            given = node["inputs"].get(name)
            if _is_number(given):
                yield key, name
            elif isinstance(given, list) and len(given) == 2 and (source := nodes.get(str(given[0]))):
                held = [one for one in HELD if _is_number(source["inputs"].get(one))]
                yield from ((str(given[0]), one) for one in held[:1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
