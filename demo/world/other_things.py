"""Say what the things of the second world look like and what comes with them: other things, to check on what was found in the first."""

from __future__ import annotations

from .canvas import Canvas, Colour
from .parts import BLACK, WHITE
from .things import Attached, Thing, dark


def lighthouse(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon(
        [(x - 0.14 * s, y - 0.25 * s), (x + 0.14 * s, y - 0.25 * s), (x + 0.24 * s, y + 0.5 * s), (x - 0.24 * s, y + 0.5 * s)], colour
    )
    c.rectangle(x - 0.34 * s, y + 0.42 * s, x + 0.34 * s, y + 0.5 * s, dark(colour, 0.6))


def bicycle(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    frame = [(-0.32, 0.22), (-0.12, -0.12), (0.22, -0.12), (0.0, 0.22), (-0.32, 0.22), (-0.12, -0.12), (0.0, 0.22)]
    c.line([(x + dx * s, y + dy * s) for dx, dy in frame], colour, 0.09 * s)
    c.line([(x + 0.32 * s, y + 0.22 * s), (x + 0.2 * s, y - 0.3 * s), (x + 0.34 * s, y - 0.34 * s)], dark(colour), 0.08 * s)
    c.rectangle(x - 0.24 * s, y - 0.22 * s, x - 0.02 * s, y - 0.14 * s, BLACK)


def dog(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y + 0.34 * s, 0.28 * s, 0.18 * s, dark(colour, 0.85))
    c.ellipse(x, y - 0.12 * s, 0.3 * s, 0.3 * s, colour)
    for side in (-1, 1):
        c.ellipse(x + side * 0.34 * s, y - 0.1 * s, 0.11 * s, 0.28 * s, dark(colour, 0.6))
        c.circle(x + side * 0.13 * s, y - 0.2 * s, 0.05 * s, BLACK)
    c.ellipse(x, y - 0.01 * s, 0.1 * s, 0.07 * s, BLACK)


def clock(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.22 * s, y, x + 0.22 * s, y + 0.5 * s, dark(colour))
    c.circle(x, y - 0.14 * s, 0.34 * s, colour)
    c.circle(x, y - 0.14 * s, 0.27 * s, WHITE)


def guitar(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.06 * s, y - 0.5 * s, x + 0.06 * s, y + 0.1 * s, (80, 50, 35))
    c.ellipse(x, y + 0.3 * s, 0.28 * s, 0.2 * s, colour)
    c.ellipse(x, y + 0.08 * s, 0.2 * s, 0.15 * s, colour)
    c.circle(x, y + 0.18 * s, 0.09 * s, BLACK)


def mushroom(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.13 * s, y, x + 0.13 * s, y + 0.5 * s, (240, 228, 205))
    dome = [(-0.5, 0.06), (-0.44, -0.16), (-0.25, -0.34), (0.0, -0.4), (0.25, -0.34), (0.44, -0.16), (0.5, 0.06)]
    c.polygon([(x + dx * s, y + dy * s) for dx, dy in dome], colour)


def train(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.rectangle(x - 0.5 * s, y - 0.25 * s, x - 0.12 * s, y + 0.26 * s, dark(colour))
    c.rectangle(x - 0.42 * s, y - 0.16 * s, x - 0.2 * s, y + 0.02 * s, (195, 228, 245))
    c.rectangle(x - 0.12 * s, y - 0.05 * s, x + 0.5 * s, y + 0.26 * s, colour)
    for dx in (-0.34, 0.05, 0.34):
        c.circle(x + dx * s, y + 0.32 * s, 0.12 * s, BLACK)


def penguin(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y + 0.1 * s, 0.3 * s, 0.38 * s, (45, 48, 62))
    c.ellipse(x, y + 0.16 * s, 0.2 * s, 0.28 * s, WHITE)
    c.circle(x, y - 0.27 * s, 0.2 * s, (45, 48, 62))
    for side in (-1, 1):
        c.circle(x + side * 0.08 * s, y - 0.32 * s, 0.045 * s, WHITE)


def windmill(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon([(x - 0.15 * s, y - 0.2 * s), (x + 0.15 * s, y - 0.2 * s), (x + 0.3 * s, y + 0.5 * s), (x - 0.3 * s, y + 0.5 * s)], colour)
    c.polygon([(x - 0.2 * s, y - 0.18 * s), (x, y - 0.42 * s), (x + 0.2 * s, y - 0.18 * s)], dark(colour, 0.55))
    c.rectangle(x - 0.08 * s, y + 0.28 * s, x + 0.08 * s, y + 0.5 * s, (70, 45, 30))


def turtle(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.circle(x + 0.45 * s, y + 0.02 * s, 0.14 * s, (120, 165, 90))
    c.circle(x + 0.5 * s, y - 0.03 * s, 0.04 * s, BLACK)
    for dx, dy in ((-0.3, 0.26), (0.24, 0.26)):
        c.ellipse(x + dx * s, y + dy * s, 0.14 * s, 0.1 * s, (120, 165, 90))
    c.ellipse(x, y, 0.4 * s, 0.27 * s, colour)
    c.ellipse(x, y - 0.02 * s, 0.22 * s, 0.14 * s, dark(colour))


def pineapple(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y + 0.17 * s, 0.27 * s, 0.33 * s, (235, 175, 60))
    for dx, dy in ((-0.1, 0.05), (0.1, 0.05), (0.0, 0.18), (-0.12, 0.3), (0.12, 0.3)):
        c.circle(x + dx * s, y + dy * s, 0.05 * s, (165, 100, 40))


def teapot(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ring(x - 0.36 * s, y + 0.2 * s, 0.16 * s, dark(colour), 0.07 * s)
    c.polygon(
        [(x + 0.2 * s, y + 0.3 * s), (x + 0.56 * s, y - 0.02 * s), (x + 0.46 * s, y - 0.06 * s), (x + 0.2 * s, y + 0.08 * s)], dark(colour)
    )
    c.ellipse(x, y + 0.22 * s, 0.34 * s, 0.27 * s, colour)


def ghost(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    shape = [
        (-0.3, 0.45),
        (-0.3, -0.15),
        (-0.2, -0.36),
        (0.0, -0.44),
        (0.2, -0.36),
        (0.3, -0.15),
        (0.3, 0.45),
        (0.15, 0.32),
        (0.0, 0.45),
        (-0.15, 0.32),
    ]
    c.polygon([(x + dx * s, y + dy * s) for dx, dy in shape], (238, 240, 248))
    for side in (-1, 1):
        c.ellipse(x + side * 0.11 * s, y - 0.17 * s, 0.06 * s, 0.1 * s, BLACK)


def crab(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    for side in (-1, 1):
        for dx in (0.24, 0.38):
            c.line([(x + side * 0.2 * s, y + 0.3 * s), (x + side * dx * s, y + 0.48 * s)], dark(colour), 0.06 * s)
        c.line([(x + side * 0.1 * s, y + 0.2 * s), (x + side * 0.1 * s, y + 0.02 * s)], dark(colour), 0.05 * s)
        c.circle(x + side * 0.1 * s, y + 0.0 * s, 0.06 * s, BLACK)
    c.ellipse(x, y + 0.28 * s, 0.36 * s, 0.17 * s, colour)


def king(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.polygon([(x - 0.42 * s, y + 0.5 * s), (x - 0.2 * s, y + 0.1 * s), (x + 0.2 * s, y + 0.1 * s), (x + 0.42 * s, y + 0.5 * s)], colour)
    c.ellipse(x, y - 0.06 * s, 0.24 * s, 0.27 * s, (240, 200, 165))
    for side in (-1, 1):
        c.circle(x + side * 0.09 * s, y - 0.1 * s, 0.04 * s, BLACK)


def plane(c: Canvas, x: float, y: float, s: float, colour: Colour) -> None:
    c.ellipse(x, y, 0.46 * s, 0.14 * s, colour)
    c.polygon([(x - 0.46 * s, y), (x - 0.56 * s, y - 0.26 * s), (x - 0.4 * s, y - 0.26 * s), (x - 0.25 * s, y)], dark(colour))
    c.polygon(
        [(x - 0.12 * s, y + 0.02 * s), (x + 0.18 * s, y + 0.02 * s), (x - 0.02 * s, y + 0.34 * s), (x - 0.2 * s, y + 0.34 * s)],
        dark(colour, 0.6),
    )
    c.circle(x + 0.24 * s, y - 0.05 * s, 0.06 * s, (195, 228, 245))


OTHER_THINGS: dict[str, Thing] = {
    "lighthouse": Thing(lighthouse, (Attached("lantern", 0.0, -0.38, 0.2, 0.97), Attached("stripes", 0.0, 0.08, 0.25))),
    "bicycle": Thing(bicycle, (Attached("tyres", 0.0, 0.27, 0.52, 0.97, behind=True), Attached("bell", 0.36, -0.48, 0.17))),
    "dog": Thing(dog, (Attached("collar", 0.0, 0.2, 0.25), Attached("bone", -0.42, 0.4, 0.22))),
    "clock": Thing(clock, (Attached("hands", 0.0, -0.14, 0.24, 0.97), Attached("pendulum", 0.0, 0.3, 0.2))),
    "guitar": Thing(guitar, (Attached("strings", 0.0, -0.06, 0.36, 0.97),), style="sepia"),
    "mushroom": Thing(mushroom, (Attached("dots", 0.0, -0.14, 0.34),), companion="snail"),
    "train": Thing(train, (Attached("funnel", 0.3, -0.2, 0.19, behind=True), Attached("rails", 0.0, 0.47, 0.6, 0.97, behind=True))),
    "penguin": Thing(penguin, (Attached("beak", 0.0, -0.2, 0.15, 0.97), Attached("skis", 0.0, 0.47, 0.36)), coloured=False),
    "windmill": Thing(windmill, (Attached("blades", 0.0, -0.18, 0.42, 0.97),), companion="pond", style="hatched"),
    "turtle": Thing(turtle, (Attached("weeds", -0.5, -0.3, 0.3),), place="deep"),
    "pineapple": Thing(pineapple, (Attached("tuft", 0.0, -0.3, 0.27, 0.97),), coloured=False, companion="bowl"),
    "teapot": Thing(teapot, (Attached("lid", 0.0, -0.1, 0.22),), companion="butterfly"),
    "ghost": Thing(ghost, (Attached("chain", 0.0, 0.17, 0.3),), place="air", companion="stars", style="night", coloured=False),
    "crab": Thing(crab, (Attached("claws", 0.0, -0.06, 0.48, 0.97, behind=True),), companion="palm"),
    "king": Thing(king, (Attached("crown", 0.0, -0.4, 0.24), Attached("beard", 0.0, 0.14, 0.2)), style="outline"),
    "plane": Thing(plane, (Attached("propeller", 0.5, 0.0, 0.24), Attached("banner", -0.1, -0.38, 0.26)), place="air", companion="rainbow"),
}  # fmt: skip
