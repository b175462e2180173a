"""Keep what is finished in files of one JSON object a line, which outlive a crash in the middle of a line; and put whole files in place at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Records:
    """Read such a file, and append to it. What is torn or not ours is left out; the torn end is written over."""

    def __init__(self, path: Path, needs: tuple[str, ...]) -> None:
        self._path, self._needs = path, needs
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes() if path.exists() else b""
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            with path.open("r+b") as file:
                file.truncate(end)
        self.lines = [record for line in whole[:end].splitlines() if (record := self._read(line)) is not None]

    def _read(self, line: bytes) -> Record | None:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) and all(name in record for name in self._needs) else None

    def add(self, record: Record) -> None:
        """Append a record, and give it to the system at once: the end of this process does not lose it."""
        self.lines.append(record)
        with self._path.open("ab") as file:
            file.write(json.dumps(record, ensure_ascii=True).encode() + b"\n")


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place, and move it there when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    write(unfinished)
    os.replace(unfinished, path)


def put_text(path: Path, text: str) -> None:
    """Write a text file as a whole."""
    put(path, lambda unfinished: unfinished.write_bytes(text.encode("utf-8")))
