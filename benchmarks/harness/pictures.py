"""The first phase: have every picture made by the server, each once, also after an interruption.

What is asked of the server has an id that follows from the folder and from what the picture is made of, so that a picture that the server finished while
nobody listened is fetched and not made anew.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .pairs import Pair
from .progress import Progress, Tell
from .records import Record, Records, put, put_text
from .server import Entry, MissingError, RefusedError, Server
from .trouble import UserError, short
from .workflow import PICTURE, Workflow

NEEDS = ("key", "file", "digest")
AGAIN = "what is finished stays"


@dataclass(frozen=True)
class Job:
    """Ask for one picture."""

    workflow: Workflow
    pair: Pair
    turn: int

    @property
    def key(self) -> str:
        return self.workflow.key(self.pair, self.turn)

    @property
    def file(self) -> str:
        """Give the picture's place below the output folder, on every system."""
        return f"pictures/{self.workflow.name}/{self.pair.number}_{self.turn}.png"


@dataclass(frozen=True)
class Shown:
    """Hold a picture that is there."""

    job: Job
    path: Path
    digest: str


def all_jobs(workflows: Sequence[Workflow], pairs: Sequence[Pair], turns: int) -> list[Job]:
    """List the pictures: one of each workflow first, so that a mistake in the last one is found at once; then one workflow after the other, as loading
    a model takes long."""
    jobs = [Job(workflow, pair, turn) for workflow in workflows for turn in range(turns) for pair in pairs]
    each = len(jobs) // max(1, len(workflows))
    return jobs[::each] + [job for place, job in enumerate(jobs) if place % each]


class Pictures:
    """Know which pictures are there, in a folder."""

    def __init__(self, out: Path) -> None:
        self._out, self._records = out, Records(out / "runs.jsonl", NEEDS)
        self._last = {str(record["file"]): record for record in self._records.lines}

    def shown(self, job: Job) -> Shown | None:
        """Give a picture if it is there as it was made, and made of the same as now."""
        record, path = self._last.get(job.file), self._out / job.file
        if record is None or record["key"] != job.key or not path.is_file():
            return None
        return Shown(job, path, str(record["digest"])) if digest_of(path.read_bytes()) == record["digest"] else None

    def keep(self, job: Job, data: bytes, prompt_id: str) -> None:
        """Put a picture in its place, and then note it."""
        png = as_png(data, job)
        put(self._out / job.file, lambda path: path.write_bytes(png))
        record: Record = {
            "key": job.key, "file": job.file, "digest": digest_of(png), "workflow": job.workflow.name, "pair": job.pair.number, "turn": job.turn,
            "seed": job.pair.seed(job.turn), "prompt_id": prompt_id,
        }  # fmt: skip
        self._records.add(record)
        self._last[job.file] = record


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def as_png(data: bytes, job: Job) -> bytes:
    """Bring what the server sent to one form; what is written into its picture, such as the workflow, is left out."""
    made = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as picture:
            Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes()).save(made, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"What the workflow {job.workflow.name} made cannot be read as a picture: {short(error)}.") from error
    return made.getvalue()


def make_all(jobs: Sequence[Job], out: Path, address: str, tell: Tell) -> list[Shown]:
    """Have all pictures made that are not there yet. Raises UserError; what is finished stays."""
    pictures = Pictures(out)
    missing = [job for job in jobs if pictures.shown(job) is None]
    progress = Progress("pictures", len(jobs), len(jobs) - len(missing), tell)
    if missing:
        server, space = Server(address), _space(out)
        server.check()
        for job in missing:
            pictures.keep(job, *fetch(server, job, space))
            progress.step(f"{job.workflow.name}, pair {job.pair.number}")
    found = [pictures.shown(job) for job in jobs]
    if None in found:
        raise UserError(f"A picture in {out} was changed or taken away while it was needed; run the same command once more.")
    return [shown for shown in found if shown is not None]


def _space(out: Path) -> uuid.UUID:
    """Give what ids of this folder are made from: another folder asks for its own pictures."""
    file = out / "folder.id"
    try:
        return uuid.UUID(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        made = uuid.uuid4()
        put_text(file, f"{made}\n")
        return made


def fetch(server: Server, job: Job, space: uuid.UUID) -> tuple[bytes, str]:
    """Give a picture, and the id it was made under. What failed before an interruption is tried again under the next id."""
    for attempt in itertools.count():
        wanted = str(uuid.uuid5(space, f"{job.key}/{attempt}"))
        entry = server.find(wanted)
        ours, taken = entry is None, wanted
        if ours:
            taken = _submit(server, job, wanted)
        entry = entry or server.wait(taken)
        failure = failure_of(entry, job.workflow)
        if failure is None:
            try:
                return server.view(picture_of(entry, job.workflow)), taken
            except MissingError as error:
                failure = f"ComfyUI no longer has the picture that the workflow {job.workflow.name} made (error {error})."
        if ours:
            raise UserError(f"{failure} Put it right and run the same command once more; {AGAIN}.")
    raise AssertionError("counting does not end")


def _submit(server: Server, job: Job, wanted: str) -> str:
    try:
        return server.submit(job.workflow.placed(job.pair, job.turn), wanted)
    except RefusedError as refused:
        raise UserError(f"ComfyUI refuses the workflow {job.workflow.name}: {reason_of(refused.answer, job.workflow)}.") from refused


def reason_of(answer: Any, workflow: Workflow) -> str:
    """Say why the server refuses: the first node that it complains of, or the whole."""
    answer = answer if isinstance(answer, dict) else {}
    errors = answer.get("node_errors")
    for node, body in errors.items() if isinstance(errors, dict) else ():
        said = body.get("errors") if isinstance(body, dict) else None
        first = said[0] if isinstance(said, list) and said and isinstance(said[0], dict) else {}
        return f"{workflow.title(str(node))}: {_joined(first)}"
    return _joined(answer.get("error"))


def _joined(error: Any) -> str:
    """Write an error of the host in one line: its message and its details."""
    said = [error.get("message"), error.get("details")] if isinstance(error, dict) else [error]
    return short(": ".join(dict.fromkeys(str(one).strip(" .\n") for one in said if one))) or "it does not say why"


def failure_of(entry: Entry, workflow: Workflow) -> str | None:
    """Say what went wrong while a picture was made, or None."""
    status = entry.get("status")
    status = status if isinstance(status, dict) else {}
    messages = status.get("messages")
    told = [item for item in messages if isinstance(item, list) and len(item) == 2] if isinstance(messages, list) else []
    bodies = {str(kind): body for kind, body in told if isinstance(body, dict)}
    if "execution_error" in bodies:
        body = bodies["execution_error"]
        message = short(str(body.get("exception_message", "")).strip() or body.get("exception_type", "")).rstrip(".")
        return f"The workflow {workflow.name} failed in {workflow.title(str(body.get('node_id')))}: {message}."
    if "execution_interrupted" in bodies:
        return f"A picture of the workflow {workflow.name} was cancelled in ComfyUI."
    return f"The workflow {workflow.name} failed, and ComfyUI does not say why." if status.get("status_str") == "error" else None


def picture_of(entry: Entry, workflow: Workflow) -> dict[str, Any]:
    """Find the one picture that a run has shown. Raises UserError when it is not clear which."""
    outputs = entry.get("outputs")
    found: dict[str, list[dict[str, Any]]] = {}
    for node, body in outputs.items() if isinstance(outputs, dict) else ():
        images = body.get("images") if isinstance(body, dict) else None
        images = [image for image in images if isinstance(image, dict) and image.get("filename")] if isinstance(images, list) else []
        if images:
            found[str(node)] = images
    saved = {node: images for node, images in found.items() if any(image.get("type") == "output" for image in images)}
    chosen = {node: images for node, images in found.items() if node in workflow.marked} if workflow.marked else saved or found
    if len(chosen) == 1:
        return next(iter(chosen.values()))[0]
    if chosen:
        which = " and ".join(workflow.title(node) for node in chosen)
        raise UserError(
            f"The workflow {workflow.name} shows pictures in {which}; keep one of them, or put {PICTURE} into the title of the right one."
        )
    what = f"no picture in the node whose title has {PICTURE}" if workflow.marked else "no picture"
    raise UserError(f"The workflow {workflow.name} ran, but it shows {what}; end it with a node such as Save Image.")
