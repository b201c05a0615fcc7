"""The bare pen that every drawing is made with: shapes, lines, light and lettering, no scene.

Coordinates are units: the picture's middle square is (0, 0) to (100, 100), y downwards. Wide or tall pictures
have more room at both sides, from `left` to `right` and `top` to `bottom`. Angles are degrees, clockwise from
the right. Colours are `#rrggbb` or `#rrggbbaa`.
"""
# ruff: noqa: PLR0917  # a shape is its numbers, in one order: place, size, colour, the rest

import copy
import math
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from PIL import Image, ImageColor, ImageDraw, ImageFont

Point = tuple[float, float]
Drawing = Callable[["Pen"], None]

OVERSAMPLING = 2  # drawn twice as large, then halved: smooth edges
SIZES_PX = ((400, 400), (448, 336), (480, 360), (440, 360), (360, 440), (420, 420), (384, 460), (500, 340))


def mix(first: str, second: str, share: float) -> str:
    """The colour `share` of the way from `first` to `second`."""
    pairs = zip(ImageColor.getrgb(first)[:3], ImageColor.getrgb(second)[:3], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def fade(colour: str, opacity: float) -> str:
    """The colour, see-through: `opacity` 0 to 1."""
    return f"{colour[:7]}{round(255 * opacity):02x}"


def arc(x: float, y: float, across: float, down: float, start: float, end: float) -> list[Point]:
    """Points on an ellipse with radii `across` and `down`, from angle `start` to `end`."""
    steps = max(6, round(abs(end - start) / 8))
    angles = (math.radians(start + (end - start) * step / steps) for step in range(steps + 1))
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]


def curve(start: Point, pull: Point, end: Point) -> list[Point]:
    """A quadratic Bézier curve."""
    parts = [step / 16 for step in range(17)]
    return [
        (
            (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * pull[0] + t * t * end[0],
            (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * pull[1] + t * t * end[1],
        )
        for t in parts
    ]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Pen:
    """Draws on one picture. `random` is the picture's own: the same seed draws the same picture."""

    def __init__(self, random: Random, detail: float = OVERSAMPLING) -> None:
        self.random = random
        self.size = random.choice(SIZES_PX)
        width, height = (round(side * detail) for side in self.size)
        self.image = Image.new("RGB", (width, height))
        self.ink = ImageDraw.Draw(self.image, "RGBA")
        self.unit = min(width, height) / 100
        self.left, self.top = 50 - width / self.unit / 2, 50 - height / self.unit / 2
        self.right, self.bottom = 100 - self.left, 100 - self.top
        mirror = random.choice((-1, 1))
        self.scale = self.unit
        self.matrix = (mirror * self.unit, 0.0, 0.0, self.unit, (width - mirror * 100 * self.unit) / 2, 0.0)
        self.matrix = (*self.matrix[:5], -self.top * self.unit)

    def moved(self, x: float, y: float, scale: float = 1, turn: float = 0, *, flip: bool = False) -> "Pen":
        """The same pen, its origin at (x, y), its units `scale` times as large, turned, perhaps flipped."""
        pen = copy.copy(self)
        a, b, c, d, e, f = self.matrix
        cosine, sine = math.cos(math.radians(turn)) * scale, math.sin(math.radians(turn)) * scale
        side = -1 if flip else 1
        pen.matrix = (
            (a * cosine + c * sine) * side,
            (b * cosine + d * sine) * side,
            c * cosine - a * sine,
            d * cosine - b * sine,
            a * x + c * y + e,
            b * x + d * y + f,
        )
        pen.scale = self.scale * scale
        return pen

    def unmirrored(self) -> "Pen":
        """The pen of a drawing that is read from left to right."""
        return self.moved(100, 0, flip=True) if self.matrix[0] < 0 else self

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Pixels of the points."""
        a, b, c, d, e, f = self.matrix
        return [(a * x + c * y + e, b * x + d * y + f) for x, y in points]

    def shape(self, points: Sequence[Point], colour: str) -> None:
        """A filled polygon."""
        self.ink.polygon(self.place(points), fill=colour)

    def line(self, points: Sequence[Point], width: float, colour: str) -> None:
        """A line of round ends and joints."""
        pixels, thick = self.place(points), max(1, round(width * self.scale))
        self.ink.line(pixels, fill=colour, width=thick, joint="curve")
        if thick > 3 and len(colour) == 7:
            for x, y in (pixels[0], pixels[-1]):
                self.ink.circle((x, y), thick / 2 - 0.5, fill=colour)

    def oval(
        self, x: float, y: float, across: float, down: float, colour: str, start: float = 0, end: float = 360
    ) -> None:
        """An ellipse, or the part of it that an arc and its chord enclose."""
        self.shape(arc(x, y, across, down, start, end), colour)

    def disc(self, x: float, y: float, radius: float, colour: str) -> None:
        self.oval(x, y, radius, radius, colour)

    def box(self, x: float, y: float, width: float, height: float, colour: str, corner: float = 0) -> None:
        """A rectangle from its upper left corner, with rounded corners."""
        right, low, r = x + width, y + height, min(corner, width / 2, height / 2)
        if not r:
            self.shape([(x, y), (right, y), (right, low), (x, low)], colour)
            return
        corners = (
            (right - r, y + r, -90),
            (right - r, low - r, 0),
            (x + r, low - r, 90),
            (x + r, y + r, 180),
        )
        self.shape([p for cx, cy, angle in corners for p in arc(cx, cy, r, r, angle, angle + 90)], colour)

    def star(
        self, x: float, y: float, radius: float, colour: str, points: int = 5, inner: float = 0.45
    ) -> None:
        self.shape(
            [
                arc(x, y, r, r, angle, angle + 1)[0]
                for step in range(2 * points)
                for r, angle in ((radius * (inner if step % 2 else 1), -90 + step * 180 / points),)
            ],
            colour,
        )

    def heart(self, x: float, y: float, radius: float, colour: str) -> None:
        """The curve x = 16 sin³t, y = 13 cos t − 5 cos 2t − 2 cos 3t − cos 4t (MathWorld, Heart Curve)."""
        turns = [2 * math.pi * step / 40 for step in range(40)]
        k = radius / 16
        self.shape(
            [
                (
                    x + 16 * k * math.sin(t) ** 3,
                    y - k * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
                )
                for t in turns
            ],
            colour,
        )

    def drop(self, x: float, y: float, radius: float, colour: str) -> None:
        """A tear: round below, pointed above."""
        self.shape([(x, y - 2.1 * radius), *arc(x, y, radius, radius, -25, 205)], colour)

    def wash(self, upper: str, lower: str, top: float | None = None, bottom: float | None = None) -> None:
        """A band as wide as the picture whose colour runs from `upper` to `lower`."""
        first = 0 if top is None else max(0, round((top - self.top) * self.unit))
        last = self.image.height if bottom is None else round((bottom - self.top) * self.unit)
        two = Image.new("RGB", (1, 2), upper[:7])
        two.putpixel((0, 1), ImageColor.getrgb(lower[:7]))
        band = two.resize((1, max(1, last - first)), Image.Resampling.BILINEAR, box=(0, 0.5, 1, 1.5))
        self.image.paste(band.resize((self.image.width, band.height)), (0, first))

    def glow(self, x: float, y: float, radius: float, colour: str, strength: float = 1) -> None:
        """Soft light (or shade) around a point."""
        ((across, down),) = self.place([(x, y)])
        side = max(2, round(2 * radius * self.scale))
        mask = Image.radial_gradient("L").point(lambda value: max(0, 255 - value * 1.42) * strength)
        self.image.paste(
            colour,
            (round(across - side / 2), round(down - side / 2)),
            mask.resize((side, side), Image.Resampling.BILINEAR),
        )

    def text(self, x: float, y: float, words: str, size: float, colour: str, room: float = 1000) -> None:
        """One line around (x, y), made smaller if it is wider than `room`. Never mirrored or turned."""
        wide = _font(100).getlength(words) / 100 * size
        pixels = max(6, round(size * min(1, room / wide) * self.scale))
        ((across, down),) = self.place([(x, y)])
        self.ink.text(
            (across, down), words, fill=colour, font=_font(pixels), anchor="mm", stroke_width=pixels / 28
        )

    def finish(self) -> Image.Image:
        """The picture as others see it."""
        return self.image.reduce(OVERSAMPLING)
