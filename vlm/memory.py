"""What is avoided at the moment, for each picture of a batch."""

from __future__ import annotations

from typing import Literal

from .answer import Reading

Mode = Literal["replace", "accumulate"]
MODES: tuple[Mode, ...] = ("replace", "accumulate")


class Avoided:
    """Hold the phrases in force, a tuple for each picture; born empty with a run.

    replace: the latest answer holds alone, and "nothing" ends it (VL-DNP). accumulate: answers add up, and at most `most` stay, the latest ones
    (arXiv 2510.10715). An answer that refused or cannot be read changes nothing: the last good one goes on.
    """

    def __init__(self, mode: Mode, pictures: int, most: int) -> None:
        if mode not in MODES:
            raise ValueError(f"There is no mode {mode!r}; there are {', '.join(MODES)}.")
        self._mode = mode
        self._most = most
        self.phrases: list[tuple[str, ...]] = [()] * pictures

    def hear(self, picture: int, reading: Reading) -> bool:
        """Take an answer in; tell whether the picture's negative changed."""
        if reading.kind in ("refused", "unreadable"):
            return False
        before = self.phrases[picture]
        now = reading.phrases[: self._most]
        if self._mode == "accumulate":
            known = {phrase.casefold() for phrase in now}
            # What was named again counts as new.
            now = (*(phrase for phrase in before if phrase.casefold() not in known), *now)[-self._most :]
        self.phrases[picture] = now
        return now != before
