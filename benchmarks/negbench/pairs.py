"""The pairs of prompts: what is asked for, never naming the target, and what is to be avoided. Fixed: no randomness here.

Related pairs avoid something that nearly always comes with the thing; unrelated ones avoid something that is never there, so nothing should change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...demo.world.kinds import EVERY_PLURAL, EVERY_THING, FIRST, SECOND, Kinds, kinds_of
from ...demo.world.scene import GROUNDS, WATER, with_article
from ...demo.world.things import COLOURS, STYLES, Thing

EACH, UNRELATED_EACH = 3, 2
# Parts that come with their thing this often are hard to take away, and so are styles, which are everywhere in the picture.
ESSENTIAL = 0.95
Doubles = tuple[tuple[str, tuple[str, ...]], ...]
DOUBLES: Doubles = (
    ("house", ("chimney", "smoke")), ("house", ("roof", "door")), ("face", ("glasses", "hat")), ("snowman", ("hat", "carrot")),
    ("snowman", ("carrot", "scarf")), ("robot", ("antenna", "buttons")), ("castle", ("flag", "gate")), ("car", ("wheels", "suitcase")),
    ("flower", ("leaves", "bee")), ("tree", ("apples", "sun")), ("boat", ("sail", "birds")), ("rocket", ("flame", "moon")),
)  # fmt: skip
OTHER_DOUBLES: Doubles = (
    ("lighthouse", ("lantern", "stripes")), ("bicycle", ("tyres", "bell")), ("dog", ("collar", "bone")), ("clock", ("hands", "pendulum")),
    ("mushroom", ("dots", "snail")), ("train", ("funnel", "rails")), ("penguin", ("beak", "skis")), ("windmill", ("blades", "pond")),
    ("pineapple", ("tuft", "bowl")), ("crab", ("claws", "palm")), ("king", ("crown", "beard")), ("plane", ("propeller", "banner")),
)  # fmt: skip
STEPS_BETWEEN_UNRELATED = 7


@dataclass(frozen=True)
class Pair:
    """Hold a positive prompt (`thing` with what the words say of it; "" or None: not said) and a negative one.

    targets: labels of the judge that the negative names; kind: "part", "companion", "style", "double" or "unrelated"; number: what the noise is drawn from.
    """

    thing: str
    colour: str
    big: bool | None
    ground: str
    negative: str
    targets: tuple[str, ...]
    kind: str
    hard: bool
    number: int

    @property
    def positive(self) -> str:
        size = "" if self.big is None else "big" if self.big else "small"
        words = " ".join(word for word in (size, self.colour, self.thing) if word)
        return with_article(words) + (f" {GROUNDS[self.ground][0]}" if self.ground else "")


def targets_of(kind: Thing) -> list[tuple[str, str, bool]]:
    """List (label, kind, hard) of all that mostly comes with a thing."""
    found = [(part.part, "part", part.probability > ESSENTIAL) for part in kind.parts]
    found += [(kind.companion, "companion", False)] if kind.companion else []
    return found + ([(kind.style, "style", True)] if kind.style else [])


def related(kinds: Kinds = FIRST) -> tuple[Pair, ...]:
    """Pair every thing with each of its parts, its companion and its style, three times, and with some two at once."""
    pairs: list[Pair] = []
    for thing, description in kinds.things.items():
        for target, kind, hard in targets_of(description):
            for turn in range(EACH):
                pairs.append(_pair(thing, _words(target, turn), (target,), kind, hard, len(pairs)))
    for thing, targets in OTHER_DOUBLES if kinds is SECOND else DOUBLES:
        hard = any(label in targets and is_hard for label, _, is_hard in targets_of(kinds.things[thing]))
        pairs.append(_pair(thing, ", ".join(targets), targets, "double", hard, len(pairs)))
    return tuple(pairs)


def unrelated(kinds: Kinds = FIRST) -> tuple[Pair, ...]:
    """Take the first positives of every thing again, noise included, with negatives that only other things have."""
    known = related(kinds)
    strangers = [part.part for description in kinds.things.values() for part in description.parts]
    pairs = []
    for place, thing in enumerate(kinds.things):
        own = {label for label, _, _ in targets_of(kinds.things[thing])}
        others = [name for name in dict.fromkeys(strangers) if name not in own]
        for turn, first in enumerate([pair for pair in known if pair.thing == thing][:UNRELATED_EACH]):
            target = others[(place * UNRELATED_EACH + turn) * STEPS_BETWEEN_UNRELATED % len(others)]
            words = (first.thing, first.colour, first.big, first.ground, _words(target, turn), (target,))
            pairs.append(Pair(*words, "unrelated", False, first.number))
    return tuple(pairs)


def strangers(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Give every pair a negative that only other things of its world have."""
    found = []
    for place, pair in enumerate(pairs):
        kinds = kinds_of(pair.thing)
        own = {label for label, _, _ in targets_of(kinds.things[pair.thing])}
        others = [name for name in kinds.homes if name not in own]
        target = others[place * STEPS_BETWEEN_UNRELATED % len(others)]
        found.append(replace(pair, negative=_words(target, place), targets=(target,), kind="unrelated", hard=False))
    return tuple(found)


def _words(target: str, turn: int) -> str:
    """Name a target in turns as people do: "hat", "a hat"; "sepia style", "sepia"."""
    if target in STYLES:
        return f"{target} style" if turn % 2 == 0 else target
    return target if turn % 2 == 0 or target in EVERY_PLURAL else with_article(target)


def _pair(thing: str, negative: str, targets: tuple[str, ...], kind: str, hard: bool, number: int) -> Pair:
    """Vary what else the positive says: the size, the colour and the ground change at different paces, and each is left out at times."""
    description = EVERY_THING[thing]
    colours = ["", *COLOURS] if description.coloured else [""]
    grounds = ["", "sea"] if description.place in WATER else ["", *(name for name in GROUNDS if name != "sea")]
    size = (None, True, None, False)[number % 4]
    return Pair(thing, colours[number % len(colours)], size, grounds[number // 2 % len(grounds)], negative, targets, kind, hard, number)
