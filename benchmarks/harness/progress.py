"""Tell how far a long phase is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

Tell = Callable[[str], None]
EVERY_SECONDS = 5.0


class Progress:
    """Count what is done of a phase, and tell of it now and then."""

    def __init__(self, what: str, total: int, ready: int, tell: Tell) -> None:
        self._what, self._total, self._ready, self._tell = what, total, ready, tell
        self._done, self._began, self._told = 0, 0.0, 0.0
        tell(f"{what}: {total}" + (f", {ready} of them are there already" if ready else ""))

    def step(self, name: str) -> None:
        """Count one more."""
        self._done += 1
        now, left = time.monotonic(), self._total - self._ready - self._done
        # The first one takes longer: models are loaded.
        self._began = self._began or now
        if now - self._told >= EVERY_SECONDS or not left:
            self._told = now
            still = f", about {_length((now - self._began) / (self._done - 1) * left)} left" if left and self._done > 1 else ""
            self._tell(f"{self._what}: {self._ready + self._done} of {self._total} ({name}){still}")


def _length(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
