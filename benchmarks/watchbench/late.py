"""Let answers come a number of steps late, as those of a slow model on another device do, whatever the machine's speed."""

from __future__ import annotations

from threading import Event
from typing import Any

from ...vlm.backend import Query


class Late:
    """Stand before a back end and a decoder during one run; `step` is to hear of the run's steps, after whoever watches it."""

    elsewhere = True

    def __init__(self, backend: Any, vae: Any, steps: int) -> None:
        self._backend, self._vae, self._steps = backend, vae, steps
        self.name, self.takes_examples, self.has_gate = backend.name, backend.takes_examples, backend.has_gate
        self._asked = False
        self._due: int | None = None
        self._may_answer, self._answered = Event(), Event()

    def __getattr__(self, name: str) -> Any:
        """Be the decoder in all else."""
        return getattr(self._vae, name)

    def decode(self, latents: Any) -> Any:
        """Note that a question is being put: its picture is decoded first, before the sampler goes on."""
        self._asked = True
        return self._vae.decode(latents)

    def ask(self, query: Query) -> list[str]:
        """Answer when it is time."""
        self._may_answer.wait()
        self._may_answer.clear()
        try:
            return [] if query.stopped() else self._backend.ask(query)
        finally:
            self._answered.set()

    def step(self, step: int, *_: Any) -> None:
        """Hear of a step's end, and let the answer come whose time it is: it is heard at the end of the next one."""
        if self._asked:
            self._asked, self._due = False, step + self._steps - 1
        if self._due is not None and step >= self._due:
            self._due = None
            self._answered.clear()
            self._may_answer.set()
            self._answered.wait()

    def forget(self) -> None:
        """Let nobody wait when the run has ended."""
        self._may_answer.set()
        self._backend.forget()
