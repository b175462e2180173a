"""What was said in the runs of one source, for as long as a sampler's output that came of it may be used again."""

from __future__ import annotations

from ...vlm.transcript import Transcript
from ..running_prompt import Place

# A node counts once for every change of its inputs.
KEPT = 64


class Said:
    """Hold, of each node that sampled, the transcripts of its newest prompt.

    It belongs to a source and lives as long. Nodes are known by their marks, so that a sampler whose output comes out of the host's cache is found with what was
    said in the prompt that made it. Outside of a server nothing is kept: nobody could ask for it.
    """

    def __init__(self) -> None:
        self._runs: dict[str, tuple[str, list[Transcript]]] = {}

    def begin(self, place: Place) -> int:
        """Forget what was said there in earlier prompts, and count the runs of this prompt that this node has ended."""
        if self._runs.get(place.mark, ("", []))[0] != place.prompt:
            self._runs.pop(place.mark, None)
        return sum(one.sampler == place.node for one in self._runs.get(place.mark, ("", []))[1])

    def keep(self, place: Place, transcript: Transcript) -> None:
        """Keep what was said in a run that has ended."""
        if not place.mark:
            return
        self._runs.setdefault(place.mark, (place.prompt, []))[1].append(transcript)
        while len(self._runs) > KEPT:
            del self._runs[next(iter(self._runs))]

    def before(self, marks: set[str]) -> list[Transcript]:
        """List what was said in all of these nodes, in the order in which they ran."""
        used = [mark for mark in self._runs if mark in marks]
        for mark in used:
            # What is used is dropped last.
            self._runs[mark] = self._runs.pop(mark)
        return [transcript for mark in used for transcript in self._runs[mark][1]]
