"""Say which things there are: a world is a choice of things and parts, and the second one has nothing of the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..model.words import OTHER_WORDS, WORDS
from .other_parts import OTHER_PARTS, OTHER_PLURAL
from .other_things import OTHER_THINGS
from .parts import PARTS, PLURAL, Draw
from .things import STYLES, THINGS, Attached, Thing


@dataclass(frozen=True, eq=False)
class Kinds:
    """Hold a world's things and parts, and the words that its models know. Styles, colours and grounds are the same in all."""

    name: str
    things: Mapping[str, Thing]
    parts: Mapping[str, Draw]
    words: tuple[str, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """List all that can be in a picture, in the order in which a judge says it."""
        return (*self.things, *self.parts, *STYLES)

    @cached_property
    def companions(self) -> tuple[str, ...]:
        return tuple(thing.companion for thing in self.things.values() if thing.companion)

    @cached_property
    def homes(self) -> dict[str, Attached]:
        """Say where every part sits on the first thing that has it."""
        return {attached.part: attached for thing in reversed(list(self.things.values())) for attached in thing.parts}


FIRST = Kinds("first", THINGS, PARTS, WORDS)
SECOND = Kinds("second", OTHER_THINGS, OTHER_PARTS, OTHER_WORDS)
WORLDS = {kinds.name: kinds for kinds in (FIRST, SECOND)}


def kinds_of(thing: str) -> Kinds:
    """Give the world that a thing is of."""
    return next(kinds for kinds in WORLDS.values() if thing in kinds.things)


# Names mean the same in every world, so that a scene can be drawn and told of without knowing which one it is from.
EVERY_THING: dict[str, Thing] = {**THINGS, **OTHER_THINGS}
EVERY_PART: dict[str, Draw] = {**PARTS, **OTHER_PARTS}
EVERY_PLURAL = PLURAL | OTHER_PLURAL
