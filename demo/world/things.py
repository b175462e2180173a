"""Say what each thing looks like, what comes with it, how often, and where it sits: units of the thing's size s, from its middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .canvas import Canvas, Colour
from .parts import BLACK, WHITE

STYLES = ("outline", "sepia", "night", "hatched")

COLOURS: dict[str, Colour] = {
    "red": (215, 60, 55), "orange": (240, 150, 60), "yellow": (240, 210, 80), "green": (95, 170, 85), "blue": (75, 125, 215),
    "purple": (145, 90, 190), "pink": (240, 155, 190), "white": (238, 238, 238), "brown": (150, 105, 70), "grey": (140, 145, 152),
}  # fmt: skip

Body = Callable[[Canvas, float, float, float, Colour], None]


@dataclass(frozen=True)
class Attached:
    """A part at (dx, dy) * s from the thing's middle with half-size r * s, there with `probability` (given `needs`, if named)."""

    part: str
    dx: float
    dy: float
    r: float
    probability: float = 0.9
    behind: bool = False
    needs: str = ""


@dataclass(frozen=True)
class Thing:
    """A thing of size s (its height) that stands on the ground, floats in the air or swims ("water", "deep"); `style`, `companion`: how and with what it comes."""

    body: Body
    parts: tuple[Attached, ...]
    place: str = "ground"
    companion: str = ""
    style: str = ""
    coloured: bool = True


def dark(colour: Colour, by: float = 0.75) -> Colour:
    red, green, blue = (int(value * by) for value in colour)
    return red, green, blue


def house(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.4 * s, y - 0.1 * s, x + 0.4 * s, y + 0.5 * s, colour)
    c.rectangle(x - 0.3 * s, y + 0.02 * s, x - 0.08 * s, y + 0.24 * s, (190, 225, 245))


def car(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon([(x - 0.32 * s, y), (x - 0.2 * s, y - 0.22 * s), (x + 0.2 * s, y - 0.22 * s), (x + 0.34 * s, y)], dark(colour))
    c.rectangle(x - 0.15 * s, y - 0.16 * s, x + 0.17 * s, y, (195, 228, 245))
    c.rectangle(x - 0.55 * s, y, x + 0.55 * s, y + 0.3 * s, colour)


def face(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y, 0.38 * s, 0.45 * s, colour)
    for side in (-1, 1):
        c.circle(x + side * 0.15 * s, y - 0.1 * s, 0.05 * s, BLACK)
    c.polygon([(x - 0.16 * s, y + 0.18 * s), (x + 0.16 * s, y + 0.18 * s), (x, y + 0.3 * s)], (140, 30, 40))


def tree(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.07 * s, y + 0.1 * s, x + 0.07 * s, y + 0.5 * s, (115, 75, 45))
    for dx, dy, r in ((-0.18, -0.02, 0.24), (0.18, -0.02, 0.24), (0.0, -0.24, 0.26)):
        c.circle(x + dx * s, y + dy * s, r * s, colour)


def boat(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon([(x - 0.5 * s, y + 0.22 * s), (x + 0.5 * s, y + 0.22 * s), (x + 0.32 * s, y + 0.5 * s), (x - 0.32 * s, y + 0.5 * s)], colour)


def castle(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.3 * s, y, x + 0.3 * s, y + 0.5 * s, colour)
    for side in (-1, 1):
        c.rectangle(x + (side * 0.38 - 0.12) * s, y - 0.2 * s, x + (side * 0.38 + 0.12) * s, y + 0.5 * s, dark(colour, 0.85))
        c.polygon(
            [(x + (side * 0.38 - 0.16) * s, y - 0.2 * s), (x + side * 0.38 * s, y - 0.42 * s), (x + (side * 0.38 + 0.16) * s, y - 0.2 * s)],
            dark(colour, 0.6),
        )


def fish(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon([(x - 0.3 * s, y), (x - 0.58 * s, y - 0.24 * s), (x - 0.58 * s, y + 0.24 * s)], dark(colour))
    c.ellipse(x + 0.05 * s, y, 0.42 * s, 0.27 * s, colour)
    c.circle(x + 0.27 * s, y - 0.07 * s, 0.07 * s, WHITE)
    c.circle(x + 0.28 * s, y - 0.07 * s, 0.04 * s, BLACK)


def cat(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y + 0.32 * s, 0.3 * s, 0.2 * s, dark(colour, 0.85))
    for side in (-1, 1):
        c.polygon(
            [(x + side * 0.05 * s, y - 0.3 * s), (x + side * 0.36 * s, y - 0.5 * s), (x + side * 0.34 * s, y - 0.1 * s)], dark(colour)
        )
    c.ellipse(x, y - 0.12 * s, 0.36 * s, 0.28 * s, colour)
    for side in (-1, 1):
        c.ellipse(x + side * 0.15 * s, y - 0.17 * s, 0.06 * s, 0.09 * s, (60, 90, 40))
    c.polygon([(x - 0.05 * s, y - 0.04 * s), (x + 0.05 * s, y - 0.04 * s), (x, y + 0.03 * s)], (200, 90, 110))


def flower(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.line([(x, y - 0.1 * s), (x, y + 0.5 * s)], (50, 130, 55), 0.07 * s)
    for dx, dy in ((1, 0), (0.31, 0.95), (-0.81, 0.59), (-0.81, -0.59), (0.31, -0.95)):
        c.circle(x + 0.2 * dx * s, y + (0.2 * dy - 0.22) * s, 0.15 * s, colour)
    c.circle(x, y - 0.22 * s, 0.12 * s, (120, 75, 30))


def rocket(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    for side in (-1, 1):
        c.polygon(
            [(x + side * 0.14 * s, y + 0.05 * s), (x + side * 0.34 * s, y + 0.3 * s), (x + side * 0.14 * s, y + 0.25 * s)], dark(colour)
        )
    c.rectangle(x - 0.17 * s, y - 0.25 * s, x + 0.17 * s, y + 0.25 * s, colour)
    c.polygon([(x - 0.17 * s, y - 0.25 * s), (x, y - 0.52 * s), (x + 0.17 * s, y - 0.25 * s)], dark(colour, 0.6))
    c.circle(x, y - 0.08 * s, 0.09 * s, (190, 225, 245))


def snowman(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.circle(x, y + 0.25 * s, 0.27 * s, (246, 248, 252))
    c.circle(x, y - 0.14 * s, 0.2 * s, (246, 248, 252))
    for side in (-1, 1):
        c.circle(x + side * 0.08 * s, y - 0.2 * s, 0.035 * s, BLACK)


def cake(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y + 0.46 * s, 0.52 * s, 0.07 * s, (220, 220, 228))
    c.rectangle(x - 0.42 * s, y + 0.05 * s, x + 0.42 * s, y + 0.45 * s, colour)
    c.rectangle(x - 0.42 * s, y + 0.02 * s, x + 0.42 * s, y + 0.14 * s, WHITE)
    for dx in (-0.3, 0.0, 0.3):
        c.circle(x + dx * s, y + 0.15 * s, 0.075 * s, WHITE)


def robot(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.26 * s, y + 0.1 * s, x + 0.26 * s, y + 0.45 * s, colour)
    for side in (-1, 1):
        c.rectangle(x + (side * 0.36 - 0.07) * s, y + 0.12 * s, x + (side * 0.36 + 0.07) * s, y + 0.4 * s, dark(colour))
    c.rectangle(x - 0.3 * s, y - 0.3 * s, x + 0.3 * s, y + 0.06 * s, dark(colour, 0.85))
    for side in (-1, 1):
        c.circle(x + side * 0.14 * s, y - 0.17 * s, 0.08 * s, (250, 240, 130))
    c.rectangle(x - 0.14 * s, y - 0.05 * s, x + 0.14 * s, y + 0.0 * s, BLACK)


def balloon(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon([(x - 0.3 * s, y), (x + 0.3 * s, y), (x + 0.1 * s, y + 0.25 * s), (x - 0.1 * s, y + 0.25 * s)], dark(colour))
    c.circle(x, y - 0.15 * s, 0.35 * s, colour)
    c.ellipse(x, y - 0.15 * s, 0.13 * s, 0.35 * s, dark(colour, 0.82))


def cup(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ring(x + 0.32 * s, y + 0.25 * s, 0.16 * s, dark(colour), 0.07 * s)
    c.polygon(
        [(x - 0.34 * s, y + 0.02 * s), (x + 0.34 * s, y + 0.02 * s), (x + 0.24 * s, y + 0.48 * s), (x - 0.24 * s, y + 0.48 * s)], colour
    )
    c.ellipse(x, y + 0.03 * s, 0.34 * s, 0.07 * s, (85, 50, 30))


def umbrella(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.line([(x, y - 0.1 * s), (x, y + 0.42 * s), (x + 0.1 * s, y + 0.48 * s), (x + 0.17 * s, y + 0.4 * s)], (90, 60, 40), 0.06 * s)
    dome = [(-0.5, 0.02), (-0.42, -0.2), (-0.2, -0.38), (0.0, -0.42), (0.2, -0.38), (0.42, -0.2), (0.5, 0.02)]
    panel = [(-0.17, 0.02), (-0.1, -0.28), (0.0, -0.42), (0.1, -0.28), (0.17, 0.02)]
    for outline, shade in ((dome, colour), (panel, dark(colour))):
        c.polygon([(x + dx * s, y + dy * s) for dx, dy in outline], shade)


THINGS: dict[str, Thing] = {
    "house": Thing(house, (
        Attached("chimney", 0.24, -0.36, 0.19, behind=True), Attached("smoke", 0.32, -0.64, 0.18, needs="chimney"),
        Attached("roof", 0.0, -0.25, 0.37, 0.97), Attached("door", 0.18, 0.28, 0.22))),
    "car": Thing(car, (Attached("wheels", 0.0, 0.3, 0.45, 0.97), Attached("suitcase", 0.0, -0.36, 0.23))),
    "face": Thing(face, (Attached("glasses", 0.0, -0.1, 0.3), Attached("hat", 0.0, -0.45, 0.3))),
    "tree": Thing(tree, (Attached("apples", 0.0, -0.1, 0.34),), companion="sun"),
    "boat": Thing(boat, (Attached("sail", 0.0, -0.2, 0.42, 0.97, behind=True),), place="water", companion="birds"),
    "castle": Thing(castle, (Attached("flag", 0.06, -0.24, 0.28, behind=True), Attached("gate", 0.0, 0.26, 0.24)), style="hatched"),
    "fish": Thing(fish, (Attached("bubbles", 0.5, -0.36, 0.28),), place="deep"),
    "cat": Thing(cat, (Attached("bow", 0.0, 0.22, 0.28),)),
    "flower": Thing(flower, (Attached("leaves", 0.0, 0.28, 0.34),), companion="bee"),
    "rocket": Thing(rocket, (Attached("flame", 0.0, 0.45, 0.25, behind=True),), place="air", companion="moon", style="night"),
    "snowman": Thing(snowman, (
        Attached("hat", 0.0, -0.38, 0.26), Attached("carrot", 0.07, -0.12, 0.2, 0.97), Attached("scarf", 0.0, 0.06, 0.28)), coloured=False),
    "cake": Thing(cake, (Attached("candles", 0.0, -0.22, 0.3),)),
    "robot": Thing(robot, (Attached("antenna", 0.0, -0.45, 0.22), Attached("buttons", 0.0, 0.28, 0.26)), style="outline"),
    "balloon": Thing(balloon, (Attached("basket", 0.0, 0.4, 0.23, 0.97),), place="air", companion="clouds"),
    "cup": Thing(cup, (Attached("steam", 0.0, -0.28, 0.28),), style="sepia"),
    "umbrella": Thing(umbrella, (), companion="rain"),
}  # fmt: skip
