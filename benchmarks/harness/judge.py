"""Who looks at the pictures: a vision-language model in a local folder, asked in one of two ways."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ...vlm.answer import read_answer
from ...vlm.instructions import Instruction, instruction
from .answers import has_said, share, yes_or_no
from .pairs import Pair
from .trouble import UserError, short

DEMO = "Avert demo"
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "demo" / "weights" / "watcher"
# Enough to think aloud; most answers are one word.
MOST_TOKENS, LONGEST_SAID = 1024, 2000
ENDS_BYTES = 2**20
SYSTEM = (
    "You look at a picture that a computer has made, and answer one question about it. Say what is visible in this very picture, not what is usual for such a "
    "thing: parts that nearly always belong to it may be missing here."
)
YES_OR_NO = "{question} Answer with yes or no, and with nothing else."
QUALITY = (
    "How good is the quality of this picture, from 0 (ruined) to 1 (flawless)? Judge sharpness, noise, colours, distortions and doubled or broken shapes. The "
    "picture was asked for without the following, so that it is right if a thing lacks it, and no fault, however unusual: {negative}. Answer with one number "
    "between 0 and 1, and with nothing else."
)
QUESTIONS, NAMING = "questions", "naming"


@dataclass(frozen=True)
class Verdict:
    """Say whether the positive and the negative are there, and how good the picture is; None: no answer. said: the judge's own words."""

    positive: bool | None
    negative: bool | None
    quality: float | None
    said: tuple[str, ...]


class Judge(Protocol):
    """Look at pictures. `name` stands in the table; `identity` changes when its verdicts may."""

    name: str
    identity: str

    def asks(self, pair: Pair) -> str:
        """Give all that it is told and asked about a pair's pictures."""

    def look(self, picture: Image.Image, pair: Pair) -> Verdict:
        """Judge one picture of a pair."""


class Watcher:
    """A vision-language model; loaded when the first picture is shown."""

    def __init__(self, folder: str, way: str, comfyui: Path, device: str) -> None:
        self._folder = DEMO_FOLDER if folder == DEMO else Path(folder).expanduser()
        self._way, self._comfyui, self._device = way, comfyui.expanduser(), device
        self._backend: Any = None
        if not (self._folder / "config.json").is_file():
            raise UserError(
                f"The judge {short(folder, 200)} is no folder of a vision-language model (config.json, tokenizer and *.safetensors files, as it is published)."
            )
        self.name = folder if folder == DEMO else self._folder.resolve().name
        self.identity = f"{way} {fingerprint(self._folder)}"

    def check(self) -> None:
        """Find out early what would keep it from being loaded after all pictures are made. Raises UserError."""
        if not (self._comfyui / "comfy" / "model_management.py").is_file():
            raise UserError(
                f"The judge runs on ComfyUI's own modules, and there is no ComfyUI in {self._comfyui}; name its folder by --comfyui."
            )
        lacking = [name for name in ("torch", "numpy", "transformers") if importlib.util.find_spec(name) is None]
        if lacking:
            raise UserError(
                f"The judge needs {' and '.join(lacking)}, which this Python does not have; start this with the Python that runs ComfyUI."
            )

    def asks(self, pair: Pair) -> str:
        if self._way == NAMING:
            told = instruction("custom", ", ".join(self._asked(pair)), self._most(pair))
            return f"{told.system}\n{told.question}"
        return "\n".join([SYSTEM, *self._questions(pair)])

    def look(self, picture: Image.Image, pair: Pair) -> Verdict:
        return self._named(picture, pair) if self._way == NAMING else self._answered(picture, pair)

    def _questions(self, pair: Pair) -> tuple[str, ...]:
        asked = [YES_OR_NO.format(question=question) for question in (pair.question_positive, pair.question_negative)]
        return (*asked, QUALITY.format(negative=pair.negative))

    def _answered(self, picture: Image.Image, pair: Pair) -> Verdict:
        said = tuple(self._ask(picture, Instruction(SYSTEM, question)) for question in self._questions(pair))
        return Verdict(yes_or_no(said[0]), yes_or_no(said[1]), share(said[2]), tuple(map(kept, said)))

    def _asked(self, pair: Pair) -> tuple[str, ...]:
        return (pair.thing, *pair.avoided)

    def _most(self, pair: Pair) -> int:
        return max(8, len(self._asked(pair)))

    def _named(self, picture: Image.Image, pair: Pair) -> Verdict:
        most = self._most(pair)
        told = instruction("custom", ", ".join(self._asked(pair)), most)
        said = self._ask(picture, told)
        reading = read_answer(said, most, told)
        if reading.kind in ("refused", "unreadable") or not has_said(said):
            return Verdict(None, None, None, (kept(said),))
        return Verdict(names(pair.thing, reading.phrases), any(names(one, reading.phrases) for one in pair.avoided), None, (kept(said),))

    def _ask(self, picture: Image.Image, told: Any) -> str:
        """Ask one thing; no answer of one picture depends on another's."""
        import numpy
        import torch

        from ...vlm.backend import Query

        if self._backend is None:
            self._backend = self._loaded()
        pixels = torch.from_numpy(numpy.asarray(picture.convert("RGB"), dtype=numpy.float32) / 255)
        try:
            with torch.inference_mode():
                return str(self._backend.ask(Query(told, [pixels], (), MOST_TOKENS))[0])
        except Exception as error:
            raise UserError(f"The judge failed: {short(error)}; what is judged stays, and the same command goes on from there.") from error

    def _loaded(self) -> Any:
        from ..pack import open_host

        try:
            open_host(self._comfyui)
            from ...host.transformers_vlm import load_vlm
            from ...host.vlm_folder import safe_folder

            return load_vlm(safe_folder(self._folder, self.name), self._device)
        except (ValueError, ImportError) as error:
            raise UserError(f"The judge cannot be loaded: {short(error, 600)}") from error


def fingerprint(folder: Path) -> str:
    """Name what a model's folder holds: its files' names and sizes, and how each ends, which is enough to tell one set of weights from another."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(max(0, size - ENDS_BYTES))
                found.update(json.dumps([path.name, size, hashlib.sha256(file.read(ENDS_BYTES)).hexdigest()]).encode())
    return found.hexdigest()[:32]


def kept(said: str) -> str:
    """Keep the beginning and the end of a long answer."""
    return said if len(said) <= LONGEST_SAID else f"{said[: LONGEST_SAID // 2]} ... {said[-LONGEST_SAID // 2 :]}"


def names(thing: str, phrases: tuple[str, ...]) -> bool:
    """Tell whether one of the phrases names a thing, alone or with more words: "a hat", "red hats"."""
    wanted = _words(thing)
    for phrase in map(_words, phrases):
        if any(phrase[start : start + len(wanted)] == wanted for start in range(len(phrase) - len(wanted) + 1)):
            return bool(wanted)
    return False


def _words(text: str) -> tuple[str, ...]:
    """Split into words as they compare: no articles, no case, no plural; a style is named without the word as well."""
    words = [word.strip(".,;:!?'\"()").casefold() for word in text.split()]
    words = [word for word in words if word and word not in ("a", "an", "the", "any", "some")]
    words = [word for word in words if word != "style"] or words
    return tuple(word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words)


def check_pairs(pairs: list[Pair], way: str) -> None:
    """Refuse pairs that cannot be asked about in this way. Raises UserError."""
    lacking = [pair.number for pair in pairs if way == NAMING and not pair.thing]
    if lacking:
        raise UserError(
            f"Naming needs a column `thing` with the main thing of each positive prompt; pair {lacking[0]} has none. Fill it in, or use --ask questions."
        )
