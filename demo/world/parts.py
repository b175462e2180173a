"""Draw the parts and companions of things: each around a centre (x, y) within a half-size r, attached or on its own."""

from __future__ import annotations

from collections.abc import Callable

from .canvas import Canvas

Draw = Callable[[Canvas, float, float, float], None]

RED, BROWN, BLACK, GREY, WHITE = (200, 50, 45), (125, 80, 45), (35, 32, 38), (150, 150, 155), (246, 246, 246)
GREEN, ORANGE, YELLOW, BLUE, PINK = (60, 145, 60), (245, 140, 35), (250, 215, 60), (70, 120, 215), (240, 120, 170)


def roof(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - 1.25 * r, y + 0.55 * r), (x, y - 0.75 * r), (x + 1.25 * r, y + 0.55 * r)], (150, 60, 50))


def door(c: Canvas, x: float, y: float, r: float) -> None:
    c.rectangle(x - 0.6 * r, y - r, x + 0.6 * r, y + r, (95, 55, 30))
    c.circle(x + 0.3 * r, y + 0.1 * r, 0.17 * r, YELLOW)


def chimney(c: Canvas, x: float, y: float, r: float) -> None:
    c.rectangle(x - 0.5 * r, y - 0.8 * r, x + 0.5 * r, y + 1.1 * r, (175, 75, 60))
    c.rectangle(x - 0.7 * r, y - r, x + 0.7 * r, y - 0.6 * r, (95, 45, 40))


def smoke(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy, size in ((-0.4, 0.7, 0.35), (0.0, 0.1, 0.5), (0.45, -0.55, 0.6)):
        c.circle(x + dx * r, y + dy * r, size * r, (150, 150, 158))


def wheels(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.circle(x + side * 0.65 * r, y, 0.42 * r, BLACK)
        c.circle(x + side * 0.65 * r, y, 0.18 * r, GREY)


def suitcase(c: Canvas, x: float, y: float, r: float) -> None:
    c.ring(x, y - 0.55 * r, 0.35 * r, BLACK, 0.18 * r)
    c.rectangle(x - r, y - 0.5 * r, x + r, y + 0.65 * r, (150, 100, 55))
    for dx in (-0.5, 0.5):
        c.rectangle(x + (dx - 0.12) * r, y - 0.5 * r, x + (dx + 0.12) * r, y + 0.65 * r, (85, 50, 25))


def glasses(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.circle(x + side * 0.56 * r, y, 0.5 * r, BLACK)
        c.circle(x + side * 0.56 * r, y, 0.3 * r, (150, 205, 235))
    c.line([(x - 0.2 * r, y), (x + 0.2 * r, y)], BLACK, 0.2 * r)


def hat(c: Canvas, x: float, y: float, r: float) -> None:
    c.rectangle(x - 0.62 * r, y - 0.9 * r, x + 0.62 * r, y + 0.5 * r, BLACK)
    c.rectangle(x - 0.62 * r, y + 0.05 * r, x + 0.62 * r, y + 0.35 * r, RED)
    c.rectangle(x - 1.1 * r, y + 0.4 * r, x + 1.1 * r, y + 0.7 * r, BLACK)


def apples(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((-0.6, -0.35), (0.15, -0.6), (0.65, 0.15), (-0.1, 0.45)):
        c.circle(x + dx * r, y + dy * r, 0.34 * r, (220, 25, 30))


def sail(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x - 0.1 * r, y - r), (x - 0.1 * r, y + r)], BROWN, 0.14 * r)
    c.polygon([(x, y - 0.95 * r), (x + 0.8 * r, y + 0.6 * r), (x, y + 0.6 * r)], WHITE)
    c.polygon([(x - 0.2 * r, y - 0.6 * r), (x - 0.75 * r, y + 0.6 * r), (x - 0.2 * r, y + 0.6 * r)], (235, 225, 200))


def flag(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x - 0.5 * r, y - r), (x - 0.5 * r, y + r)], (80, 60, 50), 0.18 * r)
    c.polygon([(x - 0.45 * r, y - r), (x + 0.9 * r, y - 0.5 * r), (x - 0.45 * r, y)], (225, 45, 60))


def gate(c: Canvas, x: float, y: float, r: float) -> None:
    c.circle(x, y - 0.2 * r, 0.7 * r, (60, 40, 30))
    c.rectangle(x - 0.7 * r, y - 0.2 * r, x + 0.7 * r, y + r, (60, 40, 30))
    for dx in (-0.3, 0.3):
        c.line([(x + dx * r, y - 0.6 * r), (x + dx * r, y + r)], (170, 140, 90), 0.14 * r)


def bubbles(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy, size in ((-0.3, 0.65, 0.3), (0.35, 0.05, 0.38), (-0.15, -0.6, 0.34)):
        c.circle(x + dx * r, y + dy * r, size * r, (225, 245, 255))
        c.circle(x + dx * r, y + dy * r, 0.6 * size * r, (150, 205, 240))


def bow(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.polygon([(x, y), (x + side * r, y - 0.6 * r), (x + side * r, y + 0.6 * r)], (215, 40, 120))
    c.circle(x, y, 0.28 * r, (150, 20, 80))


def leaves(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.polygon(
            [(x, y + 0.5 * r), (x + side * 0.35 * r, y - 0.25 * r), (x + side * r, y - 0.5 * r), (x + side * 0.75 * r, y + 0.3 * r)],
            (40, 150, 50),
        )


def bee(c: Canvas, x: float, y: float, r: float) -> None:
    for dx in (-0.25, 0.25):
        c.ellipse(x + dx * r, y - 0.55 * r, 0.28 * r, 0.42 * r, (225, 238, 250))
    c.ellipse(x, y + 0.1 * r, 0.85 * r, 0.52 * r, (250, 200, 30))
    for dx in (-0.35, 0.1):
        c.rectangle(x + dx * r, y - 0.36 * r, x + (dx + 0.24) * r, y + 0.56 * r, BLACK)


def flame(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - 0.65 * r, y - 0.8 * r), (x + 0.65 * r, y - 0.8 * r), (x + 0.45 * r, y), (x, y + r), (x - 0.45 * r, y)], (240, 90, 25))
    c.polygon([(x - 0.35 * r, y - 0.8 * r), (x + 0.35 * r, y - 0.8 * r), (x, y + 0.35 * r)], (255, 215, 70))


def moon(c: Canvas, x: float, y: float, r: float) -> None:
    c.circle(x, y, 0.9 * r, (250, 240, 190))
    for dx, dy, size in ((-0.3, -0.25, 0.22), (0.3, 0.2, 0.26), (-0.2, 0.45, 0.15)):
        c.circle(x + dx * r, y + dy * r, size * r, (205, 195, 150))


def scarf(c: Canvas, x: float, y: float, r: float) -> None:
    c.rectangle(x + 0.3 * r, y, x + 0.75 * r, y + 0.95 * r, (190, 30, 60))
    c.rectangle(x - r, y - 0.35 * r, x + r, y + 0.2 * r, (225, 50, 75))


def carrot(c: Canvas, x: float, y: float, r: float) -> None:
    c.polygon([(x - 0.5 * r, y - 0.42 * r), (x + 1.1 * r, y + 0.1 * r), (x - 0.5 * r, y + 0.45 * r)], (245, 130, 25))
    c.polygon([(x - 0.45 * r, y), (x - 0.9 * r, y - 0.3 * r), (x - 0.9 * r, y + 0.3 * r)], (70, 150, 50))


def candles(c: Canvas, x: float, y: float, r: float) -> None:
    for dx in (-0.65, 0.0, 0.65):
        c.rectangle(x + (dx - 0.13) * r, y - 0.3 * r, x + (dx + 0.13) * r, y + r, (90, 130, 225))
        c.ellipse(x + dx * r, y - 0.6 * r, 0.2 * r, 0.34 * r, (255, 190, 40))


def antenna(c: Canvas, x: float, y: float, r: float) -> None:
    c.line([(x, y + r), (x, y - 0.5 * r)], (70, 70, 80), 0.24 * r)
    c.circle(x, y - 0.6 * r, 0.4 * r, (230, 60, 50))


def buttons(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, colour in ((-0.68, RED), (0.0, YELLOW), (0.68, GREEN)):
        c.circle(x + dx * r, y, 0.36 * r, colour)


def basket(c: Canvas, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        c.line([(x + side * 0.7 * r, y - r), (x + side * 0.55 * r, y)], (70, 50, 35), 0.14 * r)
    c.polygon(
        [(x - 0.7 * r, y - 0.1 * r), (x + 0.7 * r, y - 0.1 * r), (x + 0.5 * r, y + 0.9 * r), (x - 0.5 * r, y + 0.9 * r)], (140, 90, 45)
    )


def clouds(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy, size in ((-0.65, 0.15, 0.38), (0.65, 0.15, 0.38), (-0.2, -0.15, 0.5), (0.3, -0.05, 0.45)):
        c.circle(x + dx * r, y + dy * r, size * r, WHITE)


def birds(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((-0.45, -0.35), (0.45, 0.35)):
        wing = [(x + (dx - 0.5) * r, y + (dy - 0.3) * r), (x + dx * r, y + (dy + 0.15) * r), (x + (dx + 0.5) * r, y + (dy - 0.3) * r)]
        c.line(wing, BLACK, 0.32 * r)


def steam(c: Canvas, x: float, y: float, r: float) -> None:
    for dx in (-0.55, 0.0, 0.55):
        wave = [(x + (dx + s) * r, y + dy * r) for dy, s in ((0.9, 0.0), (0.4, 0.18), (0.0, -0.05), (-0.45, -0.2), (-0.9, 0.05))]
        c.line(wave, (120, 125, 145), 0.28 * r)


def sun(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7)):
        c.line([(x, y), (x + dx * r, y + dy * r)], (250, 190, 40), 0.2 * r)
    c.circle(x, y, 0.6 * r, (255, 220, 50))


def rain(c: Canvas, x: float, y: float, r: float) -> None:
    for dx, dy in ((-0.7, -0.6), (0.0, -0.7), (0.7, -0.5), (-0.4, 0.2), (0.35, 0.15), (-0.75, 0.75), (0.0, 0.85), (0.7, 0.7)):
        c.line([(x + dx * r + 0.08 * r, y + (dy - 0.22) * r), (x + dx * r - 0.08 * r, y + (dy + 0.22) * r)], (40, 90, 210), 0.17 * r)


PARTS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        roof, door, chimney, smoke, wheels, suitcase, glasses, hat, apples, sail, flag, gate, bubbles, bow, leaves, bee, flame, moon,
        scarf, carrot, candles, antenna, buttons, basket, clouds, birds, steam, sun, rain,
    )
}  # fmt: skip

# Named without an article.
PLURAL = frozenset({"smoke", "wheels", "glasses", "apples", "bubbles", "leaves", "candles", "buttons", "clouds", "birds", "steam", "rain"})
