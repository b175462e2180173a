"""Draw the parts and companions of the second world's things: each around a centre (x, y) within a half-size r, attached or on its own."""

from __future__ import annotations

from .canvas import Canvas
from .parts import BLACK, BLUE, BROWN, GREY, ORANGE, PINK, RED, WHITE, YELLOW, Draw


def lantern(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - 0.7 * r, y - 0.3 * r), (x, y - r), (x + 0.7 * r, y - 0.3 * r)], RED)
    c.rectangle(x - 0.5 * r, y - 0.3 * r, x + 0.5 * r, y + 0.7 * r, (255, 240, 120))
    c.rectangle(x - 0.75 * r, y + 0.65 * r, x + 0.75 * r, y + 0.95 * r, BLACK)


def stripes(c: Canvas, x: float, y: float, r: float) -> None:
    for dy in (-0.75, -0.05, 0.65):
        c.rectangle(x - 0.75 * r, y + (dy - 0.2) * r, x + 0.75 * r, y + (dy + 0.2) * r, (205, 45, 60))


def tyres(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.ring(x + side * 0.6 * r, y, 0.42 * r, BLACK, 0.14 * r)


def bell(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon(
        [(x - 0.35 * r, y - 0.7 * r), (x + 0.35 * r, y - 0.7 * r), (x + 0.85 * r, y + 0.55 * r), (x - 0.85 * r, y + 0.55 * r)], YELLOW
    )
    c.circle(x, y + 0.7 * r, 0.27 * r, BROWN)


def collar(c: Canvas, x: float, y: float, r: float) -> None:
    c.rectangle(x - r, y - 0.35 * r, x + r, y + 0.2 * r, (40, 70, 190))
    c.circle(x, y + 0.4 * r, 0.36 * r, YELLOW)


def bone(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x - 0.6 * r, y), (x + 0.6 * r, y)], (245, 240, 222), 0.4 * r)
    for side in (-1, 1):
        for end in (-1, 1):
            c.circle(x + side * 0.7 * r, y + end * 0.25 * r, 0.3 * r, (245, 240, 222))


def hands(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x, y), (x, y - 0.9 * r)], BLACK, 0.22 * r)
    c.line([(x, y), (x + 0.65 * r, y + 0.3 * r)], BLACK, 0.22 * r)
    c.circle(x, y, 0.2 * r, RED)


def pendulum(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x, y - r), (x + 0.25 * r, y + 0.4 * r)], (60, 55, 60), 0.2 * r)
    c.circle(x + 0.3 * r, y + 0.55 * r, 0.45 * r, (230, 180, 50))


def strings(c: Canvas, x: float, y: float, r: float) -> None:
    for dx in (-0.22, 0.0, 0.22):
        c.line([(x + dx * r, y - r), (x + dx * r, y + r)], (250, 250, 235), 0.16 * r)


def dots(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy, size in ((-0.6, 0.1, 0.24), (0.0, -0.4, 0.28), (0.6, 0.05, 0.24), (0.05, 0.35, 0.2)):
        c.circle(x + dx * r, y + dy * r, size * r, WHITE)


def snail(c: Canvas, x: float, y: float, r: float) -> None:
    c.ellipse(x, y + 0.6 * r, 0.95 * r, 0.28 * r, (205, 180, 120))
    c.circle(x - 0.1 * r, y + 0.05 * r, 0.6 * r, (150, 85, 60))
    c.circle(x - 0.1 * r, y + 0.05 * r, 0.28 * r, (220, 170, 110))
    c.line([(x + 0.8 * r, y + 0.5 * r), (x + 0.95 * r, y - 0.2 * r)], (205, 180, 120), 0.16 * r)


def funnel(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - 0.65 * r, y - r), (x + 0.65 * r, y - r), (x + 0.35 * r, y + r), (x - 0.35 * r, y + r)], (60, 62, 75))
    c.rectangle(x - 0.75 * r, y - r, x + 0.75 * r, y - 0.65 * r, RED)


def rails(c: Canvas, x: float, y: float, r: float) -> None:
    for dx in (-0.8, -0.4, 0.0, 0.4, 0.8):
        c.rectangle(x + (dx - 0.1) * r, y - 0.16 * r, x + (dx + 0.1) * r, y + 0.22 * r, BROWN)
    c.rectangle(x - r, y - 0.14 * r, x + r, y - 0.02 * r, (70, 72, 80))


def beak(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - 0.75 * r, y - 0.4 * r), (x + 0.75 * r, y - 0.4 * r), (x, y + 0.7 * r)], ORANGE)
    c.line([(x - 0.5 * r, y - 0.05 * r), (x + 0.5 * r, y - 0.05 * r)], (150, 70, 20), 0.14 * r)


def skis(c: Canvas, x: float, y: float, r: float) -> None:
    for dy in (-0.15, 0.3):
        c.line([(x - r, y + dy * r), (x + 0.75 * r, y + dy * r), (x + r, y + (dy - 0.35) * r)], (225, 60, 150), 0.24 * r)


def blades(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((0.7, 0.7), (-0.7, 0.7), (-0.7, -0.7), (0.7, -0.7)):
        c.line([(x, y), (x + dx * r, y + dy * r)], (240, 235, 220), 0.3 * r)
    c.circle(x, y, 0.2 * r, BLACK)


def pond(c: Canvas, x: float, y: float, r: float) -> None:
    c.ellipse(x, y, r, 0.4 * r, (75, 150, 215))
    c.ellipse(x - 0.2 * r, y - 0.08 * r, 0.4 * r, 0.1 * r, (190, 225, 245))


def weeds(c: Canvas, x: float, y: float, r: float) -> None:
    for dx in (-0.65, 0.0, 0.65):
        c.line([(x + dx * r, y + r), (x + (dx + 0.2) * r, y + 0.2 * r), (x + (dx - 0.15) * r, y - 0.9 * r)], (30, 120, 70), 0.28 * r)


def crown(c: Canvas, x: float, y: float, r: float) -> None:
    points = [(-0.9, 0.6), (-0.9, -0.6), (-0.45, 0.0), (0.0, -0.8), (0.45, 0.0), (0.9, -0.6), (0.9, 0.6)]
    c.polygon([(x + dx * r, y + dy * r) for dx, dy in points], (250, 205, 40))
    for dx in (-0.5, 0.0, 0.5):
        c.circle(x + dx * r, y + 0.3 * r, 0.17 * r, RED)


def beard(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon(
        [(x - 0.9 * r, y - 0.5 * r), (x + 0.9 * r, y - 0.5 * r), (x + 0.45 * r, y + 0.6 * r), (x, y + r), (x - 0.45 * r, y + 0.6 * r)],
        (120, 85, 60),
    )
    c.ellipse(x, y - 0.2 * r, 0.3 * r, 0.13 * r, (200, 70, 80))


def lid(c: Canvas, x: float, y: float, r: float) -> None:
    c.ellipse(x, y + 0.35 * r, 0.95 * r, 0.4 * r, (95, 60, 125))
    c.circle(x, y - 0.3 * r, 0.35 * r, YELLOW)


def chain(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((-0.7, -0.25), (-0.23, 0.0), (0.23, 0.0), (0.7, -0.25)):
        c.ring(x + dx * r, y + dy * r, 0.32 * r, (70, 75, 88), 0.15 * r)


def claws(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.line([(x + side * 0.45 * r, y + 0.6 * r), (x + side * 0.75 * r, y)], (190, 60, 40), 0.2 * r)
        c.circle(x + side * 0.75 * r, y - 0.25 * r, 0.36 * r, (225, 80, 50))
        c.polygon(
            [
                (x + (side * 0.75 - 0.14) * r, y - 0.65 * r),
                (x + (side * 0.75 + 0.14) * r, y - 0.65 * r),
                (x + side * 0.75 * r, y - 0.15 * r),
            ],
            BLACK,
        )


def tuft(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((-0.9, -0.2), (-0.5, -0.8), (0.0, -1.0), (0.5, -0.8), (0.9, -0.2)):
        c.polygon([(x - 0.2 * r, y + 0.7 * r), (x + dx * r, y + dy * r), (x + 0.2 * r, y + 0.7 * r)], (45, 140, 70))


def propeller(c: Canvas, x: float, y: float, r: float) -> None:
    c.ellipse(x, y - 0.5 * r, 0.2 * r, 0.5 * r, (85, 88, 98))
    c.ellipse(x, y + 0.5 * r, 0.2 * r, 0.5 * r, (85, 88, 98))
    c.circle(x, y, 0.24 * r, RED)


def banner(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - r, y - 0.4 * r), (x + 0.8 * r, y - 0.4 * r), (x + 0.8 * r, y + 0.4 * r), (x - r, y + 0.4 * r), (x - 0.7 * r, y)], PINK)
    for dx in (-0.3, 0.1, 0.5):
        c.rectangle(x + (dx - 0.1) * r, y - 0.2 * r, x + (dx + 0.1) * r, y + 0.2 * r, BLUE)


def butterfly(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.ellipse(x + side * 0.5 * r, y - 0.35 * r, 0.45 * r, 0.5 * r, (235, 110, 40))
        c.ellipse(x + side * 0.4 * r, y + 0.45 * r, 0.35 * r, 0.4 * r, (90, 60, 190))
    c.ellipse(x, y, 0.14 * r, 0.7 * r, BLACK)


def rainbow(c: Canvas, x: float, y: float, r: float) -> None:
    for radius, colour in ((1.0, RED), (0.78, YELLOW), (0.56, (70, 170, 90)), (0.34, BLUE)):
        c.ring(x, y + 0.4 * r, radius * r, colour, 0.22 * r)


def stars(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy, size in ((-0.6, 0.3, 0.4), (0.1, -0.5, 0.45), (0.65, 0.35, 0.36)):
        for a, b in ((1.0, 0.28), (0.28, 1.0)):
            c.ellipse(x + dx * r, y + dy * r, a * size * r, b * size * r, (255, 235, 90))


def palm(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x, y + r), (x + 0.15 * r, y - 0.3 * r)], (135, 95, 55), 0.25 * r)
    for dx, dy in ((-0.85, 0.0), (-0.6, -0.7), (0.2, -0.95), (0.9, -0.55), (0.95, 0.05)):
        c.line([(x + 0.15 * r, y - 0.35 * r), (x + dx * r, y + dy * r)], (40, 150, 70), 0.24 * r)


def bowl(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - r, y - 0.35 * r), (x + r, y - 0.35 * r), (x + 0.6 * r, y + 0.6 * r), (x - 0.6 * r, y + 0.6 * r)], (60, 130, 190))
    c.ellipse(x, y - 0.35 * r, 0.95 * r, 0.2 * r, GREY)


OTHER_PARTS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        lantern, stripes, tyres, bell, collar, bone, hands, pendulum, strings, dots, snail, funnel, rails, beak, skis, blades, pond, weeds,
        crown, beard, lid, chain, claws, tuft, propeller, banner, butterfly, rainbow, stars, palm, bowl,
    )
}  # fmt: skip
OTHER_PLURAL = frozenset({"stripes", "tyres", "hands", "strings", "dots", "rails", "skis", "blades", "weeds", "claws", "stars"})
