"""Gardens: blooms and harvests, tools and plans, wilting and slugs."""
# ruff: noqa: PLR0917  # a leaf is its numbers: place, length, turn, colour

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, arc, curve, fade, mix
from mmsent.sources.drawings.stream_people import person
from mmsent.sources.drawings.stream_scenery import (
    DARK_TABLES,
    PLAIN_TABLES,
    flower,
    rain,
    shadow,
    stormy,
    sunny,
    table,
)

PETALS = ("#ff6f91", "#ff9671", "#c78bf0", "#ffffff", "#f25f5c", "#ffb3c6")


def leaf(pen: Pen, x: float, y: float, length: float, turn: float, colour: str) -> None:
    blade = pen.moved(x, y, length / 10, turn)
    blade.shape([*curve((0, 0), (5, -5), (10, 0)), *curve((10, 0), (5, 5), (0, 0))], colour)


def butterfly(pen: Pen, x: float, y: float, colour: str) -> None:
    for side in (-1, 1):
        pen.oval(x + side * 2.6, y - 1.4, 2.6, 2.9, colour)
        pen.oval(x + side * 2.1, y + 2, 1.8, 1.9, mix(colour, "#ffffff", 0.35))
    pen.line([(x, y - 2.6), (x, y + 3)], 0.8, "#3b2c2a")


def pot(pen: Pen, x: float, y: float, scale: float, colour: str) -> None:
    """A flower pot whose foot stands at (x, y)."""
    clay = pen.moved(x, y, scale)
    clay.shape([(-11, -18), (11, -18), (8, 0), (-8, 0)], colour)
    clay.box(-13, -22, 26, 6, mix(colour, "#ffffff", 0.14), 1.5)
    clay.shape([(-11, -16), (-7, -16), (-5.4, 0), (-8, 0)], mix(colour, "#ffffff", 0.16))


def blooming_bed(pen: Pen) -> None:
    sunny(pen, 56)
    for _ in range(5):
        butterfly(
            pen,
            pen.random.uniform(10, 90),
            pen.random.uniform(18, 48),
            pen.random.choice(("#ff9f43", "#7ec4ff", "#f78fb3")),
        )
    for row, scale in ((66, 1.1), (80, 1.6), (96, 2.1)):
        for _ in range(6):
            x, y = pen.random.uniform(pen.left, pen.right), row + pen.random.uniform(-4, 4)
            pen.line([(x, y), (x, y + 12 * scale)], 0.9 * scale, "#3f8f4a")
            leaf(pen, x, y + 8 * scale, 6 * scale, pen.random.choice((-35, 215)), "#57ad57")
            flower(pen, x, y, scale * 1.15, pen.random.choice(PETALS))


def harvest(pen: Pen) -> None:
    sunny(pen, 60)
    person(pen, 50, 56, 1.5, "positive")
    pen.shape([(16, 70), (84, 70), (76, 130), (24, 130)], "#b97a42")
    for row in range(4):
        pen.box(18 + row, 76 + row * 7, 64 - row * 2, 2.4, "#8f5a2d", 1)
    for place in range(7):
        x, y = 21 + place * 9.7, 68 - place % 2 * 5
        colour = pen.random.choice(("#e8402f", "#f2a43a", "#e8402f", "#8cc63e", "#7a4a9e"))
        pen.disc(x, y, 6, colour)
        pen.disc(x - 2, y - 2, 1.6, mix(colour, "#ffffff", 0.5))
        leaf(pen, x, y - 5, 5, -60, "#4f9e4f")
        leaf(pen, x, y - 5, 5, -120, "#63b45c")
    pen.box(14, 69, 72, 5, "#d39657", 2)


def pots_on_shelf(pen: Pen) -> None:
    table(pen, PLAIN_TABLES, 74, pen.random.choice((("#dfe3e0", "#cfd5d0"), ("#e5e0d6", "#d5cfc2"))))
    for x in (20, 50, 80):
        shadow(pen, x, 84, 14)
        pot(pen, x, 84, 1, pen.random.choice(("#a98f7d", "#9aa3a0", "#b7a58c")))
        if pen.random.random() < 0.5:
            pen.line([(x, 63), (x, 48)], 1.2, "#7f9678")
            for turn in (-40, -140, -70, -110):
                leaf(pen, x, 56, 12, turn, pen.random.choice(("#8ba583", "#7a9676")))


def garden_plan(pen: Pen) -> None:
    pen.wash("#f4f2ea", pen.random.choice(("#e6e6e0", "#e9e2d2", "#e2e8e4")))
    for row in range(3):
        for column in range(3):
            x, y = 8 + column * 29, 12 + row * 27
            pen.box(x, y, 26, 22, pen.random.choice(("#c9d3bd", "#d8cfb8", "#c5cfd0")), 1.5)
            for dot in range(6):
                pen.disc(x + 5 + dot % 3 * 8, y + 7 + dot // 3 * 8, 1.8, "#8f9d84")
    pen.line([(8, 94), (92, 94)], 0.6, "#8d9299")
    pen.text(50, 97, f"{pen.random.randint(3, 9)} m", 4, "#7c8188", 30)


def wilted_pot(pen: Pen) -> None:
    table(
        pen,
        DARK_TABLES,
        72,
        pen.random.choice((("#6a6458", "#4c473f"), ("#5b6068", "#41454c"), ("#6b5a50", "#493d37"))),
    )
    shadow(pen, 50, 88, 26, 0.4)
    pot(pen, 50, 88, 1.5, "#8a5a44")
    pen.line([(44, 84), (48, 74), (45, 66), (50, 60)], 1, "#3c241a")
    for side, reach in ((-1, 26), (1, 22), (-1, 13)):
        tip = (50 + side * reach, 50 + reach * 0.6)
        pen.line([(50, 55), *curve((50, 55), (50 + side * reach * 0.6, 18), tip)], 1.8, "#7a6f3a")
        for angle in (50, 90, 130):
            leaf(pen, tip[0], tip[1], 9, angle, pen.random.choice(("#7d5a3a", "#96734a", "#6b4a38")))
        pen.disc(tip[0], tip[1], 2.2, "#4f3a26")
    for _ in range(7):
        leaf(
            pen,
            pen.random.uniform(12, 88),
            pen.random.uniform(82, 97),
            7,
            pen.random.uniform(0, 360),
            "#8a6538",
        )


def eaten_cabbage(pen: Pen) -> None:
    stormy(pen, 48)
    person(pen, 72, 52, 1.15, "negative", crying=pen.random.random() < 0.5)
    pen.wash("#4a3a2c", "#2f241b", 66)
    for x, y, radius in ((24, 72, 16), (58, 82, 15)):
        for angle in range(0, 360, 60):
            px, py = arc(x, y, radius * 0.5, radius * 0.4, angle, angle + 1)[0]
            pen.disc(px, py, radius * 0.62, mix("#8a9a4a", "#5d6a34", pen.random.random()))
        for _ in range(7):
            pen.disc(
                x + pen.random.uniform(-0.8, 0.8) * radius,
                y + pen.random.uniform(-0.7, 0.7) * radius,
                pen.random.uniform(1.4, 3),
                "#3a2c20",
            )
    for x, y in ((36, 62), (14, 88), (78, 90)):
        pen.oval(x, y, 7.5, 2.6, "#c97f3a")
        for side in (4, 6):
            pen.line([(x + side, y - 1), (x + side + 1.5, y - 5)], 0.7, "#c97f3a")
        pen.line([(x - 8, y + 1.6), (x - 20, y + 2.4)], 1.2, fade("#dfe6c9", 0.4))
    rain(pen, 50)


def dead_bed(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#a9886a", "#cbb08a"), ("#8a8378", "#aea597"), ("#6e6a72", "#96909a"))))
    pen.wash("#8a6a48", "#5d442c", 60)
    for _ in range(9):
        x, y = pen.random.uniform(pen.left, pen.right), pen.random.uniform(64, 98)
        crack = [(x, y), (x + 6, y + 2), (x + 9, y - 2), (x + 16, y + 1)]
        pen.line(crack, 0.8, "#35241a")
    for place in range(5):
        x, y = 12 + place * 19, 72 + place % 2 * 12
        side = pen.random.choice((-1, 1))
        pen.line([(x, y), *curve((x, y - 8), (x, y - 34), (x + side * 12, y - 20))], 1.4, "#5d4a2a")
        for angle in (60, 95, 130):
            leaf(pen, x + side * 12, y - 20, 8, angle, "#6b4a30")
        leaf(pen, x, y - 10, 7, 90 - side * 60, "#7a6238")


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (blooming_bed, harvest),
    "neutral": (pots_on_shelf, garden_plan),
    "negative": (wilted_pot, eaten_cabbage, dead_bed),
}
