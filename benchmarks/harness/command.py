"""Run the whole of it: read what is asked for, make the pictures, have them judged, write what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .judge import Watcher, check_pairs
from .pairs import Pair, limited, read_pairs
from .pictures import all_jobs, make_all
from .progress import Tell
from .records import put, put_text
from .server import Server
from .table import About, Results, as_json, markdown
from .trouble import UserError
from .verdicts import Judged, judge_all
from .workflow import read_workflows

STOPPED = "Stopped. What is finished stays; the same command goes on where this one ended."
MOST_SEEDS = 1000


def run(options: argparse.Namespace, comfyui: Path, out: Path, tell: Tell) -> int:
    """Do it, and give the exit code; what a user can put right is said in one sentence."""
    try:
        _run(options, comfyui, out, tell)
    except UserError as trouble:
        print(trouble, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr, flush=True)
        return 130
    return 0


def _run(options: argparse.Namespace, comfyui: Path, out: Path, tell: Tell) -> None:
    seeds = 1 if options.seeds is None else options.seeds
    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(f"--seeds must be from 1 to {MOST_SEEDS}.")
    if options.limit is not None and options.limit < 1:
        raise UserError("--limit must be 1 or more.")
    workflows, pairs = read_workflows(options.workflow), limited(read_pairs(options.pairs), options.limit)
    judge = None
    if options.judge:
        check_pairs(pairs, options.ask)
        judge = Watcher(options.judge, options.ask, comfyui, options.judge_device)
        judge.check()
    try:
        out.mkdir(parents=True, exist_ok=True)
        shown = make_all(all_jobs(workflows, pairs, seeds), out, options.server, tell)
        if judge is None:
            tell(f"The pictures are in {out / 'pictures'}; run the same command with --judge to have them judged.")
            return
        judged = judge_all(shown, judge, out, Server(options.server).free, tell)
        names = [workflow.name for workflow in workflows]
        judged.sort(key=lambda one: names.index(one.shown.job.workflow.name))
        write(judged, pairs, About(judge.name, options.ask, seeds), out, options.contact, tell)
    except OSError as error:
        raise UserError(f"A file cannot be read or written: {error}.") from error


def write(judged: Sequence[Judged], pairs: Sequence[Pair], about: About, out: Path, contact: int, tell: Tell) -> None:
    """Write the table, all numbers, and the contact sheet."""
    # Not needed for making pictures, as numpy is not.
    from .contact import sheet

    results = Results(judged, pairs, about)
    table = markdown(results)
    put_text(out / "table.md", table)
    put_text(out / "results.json", as_json(results))
    drawn = sheet(judged, pairs, contact)
    put(out / "contact.jpg", lambda path: drawn.save(path, "JPEG", quality=90))
    tell(f"\n{table}\nWritten to {out}: table.md, results.json, contact.jpg, pictures, runs.jsonl and verdicts.jsonl.")
