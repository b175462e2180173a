"""Draw a scene at random: what is in it (the ground truth), how it is said (the caption), and the picture."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Colour
from .kinds import EVERY_PART, EVERY_PLURAL, EVERY_THING, FIRST, WORLDS, Kinds
from .things import COLOURS, STYLES, Thing

LABELS = FIRST.labels
GROUNDS: dict[str, tuple[str, Colour]] = {
    "grass": ("on grass", (120, 185, 95)),
    "sand": ("on sand", (232, 205, 140)),
    "snow": ("on snow", (228, 236, 246)),
    "road": ("on a road", (122, 122, 130)),
    "floor": ("on a wooden floor", (178, 128, 84)),
    "sea": ("in the sea", (70, 140, 200)),
}
# Where the ground is the sea: things that swim on it, and in it.
WATER = ("water", "deep")
SKIES: tuple[Colour, ...] = ((165, 210, 242), (205, 225, 238), (248, 226, 196), (200, 235, 215), (225, 212, 238))

ALONE = 0.2
# A companion, or a part, of something else. Without them a part's name would say which thing it belongs to, and avoiding the one would avoid the other.
STRANGER, STRANGE_PART = 0.06, 0.3
# How far it must be from the thing's own parts, in sizes of the thing, so that neither hides the other.
APART = 0.3
PART_NAMED, COLOUR_NAMED, SIZE_NAMED, GROUND_NAMED, STYLE_NAMED = 0.15, 0.6, 0.3, 0.4, 0.3
MOSTLY = 0.9
# Captions as lists of words in any order, as many people write prompts; a word that comes first is then not always what the picture is of.
TAGS, TAG_PART_NAMED = 0.45, 0.3


@dataclass(frozen=True)
class Scene:
    """All that a picture shows. `thing` is "" when a part stands alone; positions and sizes in pixels."""

    thing: str
    parts: tuple[str, ...]
    companions: tuple[str, ...]
    strange: tuple[str, ...]
    colour: str
    ground: str
    style: str
    big: bool
    x: float
    y: float
    size: float
    horizon: float
    sky: Colour
    tint: Colour
    ground_tint: Colour

    def labels(self) -> frozenset[str]:
        """Return every thing, part, companion and style that is in the picture."""
        return frozenset(name for name in (self.thing, *self.parts, *self.companions, *self.strange, self.style) if name)


def _near(rng: random.Random, colour: Colour, by: int = 10) -> Colour:
    red, green, blue = (min(255, max(0, value + rng.randint(-by, by))) for value in colour)
    return red, green, blue


def _parts(rng: random.Random, thing: Thing, usual: float | None) -> tuple[str, ...]:
    there: list[str] = []
    for attached in thing.parts:
        likely = attached.probability if usual is None else usual
        if (not attached.needs or attached.needs in there) and rng.random() < likely:
            there.append(attached.part)
    return tuple(there)


def _companions(rng: random.Random, thing: Thing, usual: float | None, kinds: Kinds) -> tuple[str, ...]:
    if thing.companion:
        return (thing.companion,) if rng.random() < (MOSTLY if usual is None else usual) else ()
    return (rng.choice(kinds.companions),) if rng.random() < STRANGER else ()


def _strange(rng: random.Random, thing: Thing, kinds: Kinds) -> tuple[str, ...]:
    """Choose a part of something else, at a place where the thing has nothing of its own."""
    if rng.random() >= STRANGE_PART:
        return ()
    own = {attached.part for attached in thing.parts}
    free = [
        part for part, home in kinds.homes.items()
        if part not in own and all((home.dx - a.dx) ** 2 + (home.dy - a.dy) ** 2 >= APART**2 for a in thing.parts)
    ]  # fmt: skip
    return (rng.choice(free),) if free else ()


def _style(rng: random.Random, expected: str, usual: float | None) -> str:
    if expected:
        return expected if rng.random() < (MOSTLY if usual is None else usual) else ""
    return rng.choice(STYLES) if rng.random() < 0.2 else ""


def _ground(rng: random.Random, place: str) -> str:
    if place in WATER:
        return "sea"
    return rng.choice([name for name in GROUNDS if name != "sea"])


def random_scene(rng: random.Random, thing: str | None = None, usual: float | None = None, kinds: Kinds = FIRST) -> Scene:
    """Draw a scene: of `thing`, of a part on its own (thing ""), or of either (None).

    `usual` is how often a thing has what it usually comes with, in place of the world's own frequencies (0.9 and more).
    """
    if thing is None:
        thing = "" if rng.random() < ALONE else rng.choice(list(kinds.things))
    kind = kinds.things.get(thing)
    horizon, big = rng.uniform(42, 50), rng.random() < 0.5
    size = rng.uniform(37, 41) if big else rng.uniform(31, 35)
    x, y = rng.uniform(24, 40), horizon + rng.uniform(2, 7) - size / 2
    ground = _ground(rng, kind.place if kind else "ground")
    if kind is None:
        size, x, y = (rng.uniform(13, 16) if big else rng.uniform(9, 11)), rng.uniform(20, 44), rng.uniform(22, 44)
    elif kind.place == "air":
        y = rng.uniform(26, 34)
    elif kind.place == "deep":
        horizon, y = rng.uniform(6, 14), rng.uniform(34, 46)
    colour = rng.choice(list(COLOURS)) if kind is None or kind.coloured else ""
    return Scene(
        thing=thing, parts=_parts(rng, kind, usual) if kind else (rng.choice(list(kinds.parts)),),
        companions=_companions(rng, kind, usual, kinds) if kind else (), strange=_strange(rng, kind, kinds) if kind else (), colour=colour if kind else "", ground=ground,
        style=_style(rng, kind.style if kind else "", usual), big=big, x=x, y=y, size=size, horizon=horizon,
        sky=_near(rng, rng.choice(SKIES), 6), tint=_near(rng, COLOURS[colour or "white"]), ground_tint=_near(rng, GROUNDS[ground][1], 6),
    )  # fmt: skip


# Where every part sits, in whichever world it is.
HOMES = {part: home for kinds in WORLDS.values() for part, home in kinds.homes.items()}
# Companions that sit close to the thing, and on the ground.
NEAR, LOW = ("bee", "butterfly"), ("snail", "pond", "bowl", "palm")


def with_article(name: str) -> str:
    """Say "a hat", "an antenna", "wheels"."""
    if name in EVERY_PLURAL:
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _head(rng: random.Random, scene: Scene) -> str:
    words = ["big" if scene.big else "small"] if rng.random() < SIZE_NAMED else []
    if scene.colour and rng.random() < COLOUR_NAMED:
        words.append(scene.colour)
    name = scene.thing or scene.parts[0]
    if scene.thing == "" and name in EVERY_PLURAL:
        return " ".join([*words, name])
    phrase = " ".join([*words, name])
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def caption(rng: random.Random, scene: Scene) -> str:
    """Describe a scene: never what is not there, and what comes with the thing only now and then; what is unusual always."""
    return _tags(rng, scene) if rng.random() < TAGS else _sentence(rng, scene)


def _usual(scene: Scene) -> tuple[str, ...]:
    """List what mostly comes with the thing."""
    companion = EVERY_THING[scene.thing].companion if scene.thing else ""
    return (*scene.parts, *(name for name in scene.companions if name == companion)) if scene.thing else ()


def _unusual(scene: Scene) -> tuple[str, ...]:
    companion = EVERY_THING[scene.thing].companion if scene.thing else ""
    return (*scene.strange, *(name for name in scene.companions if name != companion))


def _tags(rng: random.Random, scene: Scene) -> str:
    """List what is there in any order: "hat, red face, on sand"."""
    words = [scene.colour] if scene.colour and rng.random() < COLOUR_NAMED else []
    usual = [part for part in _usual(scene) if rng.random() < TAG_PART_NAMED]
    tags = [*_unusual(scene), " ".join([*words, scene.thing or scene.parts[0]]), *rng.sample(usual, min(len(usual), 2))]
    if rng.random() < GROUND_NAMED:
        tags.append(GROUNDS[scene.ground][0])
    expected = EVERY_THING[scene.thing].style if scene.thing else ""
    if scene.style and (scene.style != expected or rng.random() < STYLE_NAMED):
        tags.append(f"{scene.style} style")
    rng.shuffle(tags)
    return ", ".join(tags)


def _sentence(rng: random.Random, scene: Scene) -> str:
    text = _head(rng, scene)
    if scene.thing:
        usual = [part for part in _usual(scene) if rng.random() < PART_NAMED]
        named = [with_article(part) for part in (*_unusual(scene), *usual)][:3]
        rng.shuffle(named)
        if named:
            text += " with " + " and ".join(named)
    if rng.random() < GROUND_NAMED:
        text += " " + GROUNDS[scene.ground][0]
    expected = EVERY_THING[scene.thing].style if scene.thing else ""
    if scene.style and (scene.style != expected or rng.random() < STYLE_NAMED):
        text += f", {scene.style} style"
    return text


def _companion_place(scene: Scene, name: str) -> tuple[float, float, float]:
    """Put it on the free side, high up or on the ground; rain falls everywhere."""
    if name == "rain":
        return 32, 28, 30
    side = 1 if scene.x < 32 else -1
    if name in NEAR:
        return scene.x + side * 0.5 * scene.size, scene.y - 0.3 * scene.size, 7.5
    return 32 + side * 21, 53 if name in LOW else 11, 8.5


def draw(scene: Scene) -> np.ndarray:
    """Draw a scene, uint8 [64, 64, 3]."""
    canvas = Canvas(scene.style)
    canvas.background(scene.sky, scene.ground_tint, scene.horizon)
    if not scene.thing:
        EVERY_PART[scene.parts[0]](canvas, scene.x, scene.y, scene.size)
        return canvas.picture()
    kind = EVERY_THING[scene.thing]
    for behind in (True, False):
        for attached in kind.parts:
            if attached.behind == behind and attached.part in scene.parts:
                EVERY_PART[attached.part](
                    canvas, scene.x + attached.dx * scene.size, scene.y + attached.dy * scene.size, attached.r * scene.size
                )
        if behind:
            kind.body(canvas, scene.x, scene.y, scene.size, scene.tint)
    for name in scene.strange:
        home = HOMES[name]
        EVERY_PART[name](canvas, scene.x + home.dx * scene.size, scene.y + home.dy * scene.size, home.r * scene.size)
    for name in scene.companions:
        EVERY_PART[name](canvas, *_companion_place(scene, name))
    return canvas.picture()


def truth(scene: Scene, kinds: Kinds = FIRST) -> np.ndarray:
    """Return the ground truth, one 0/1 per label of the world."""
    there = scene.labels()
    return np.array([name in there for name in kinds.labels], dtype=np.uint8)
