"""Coffee: cups, foam, cafés, spills and long queues."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, arc, curve, fade, mix
from mmsent.sources.drawings.stream_people import big_face, crowd_places, eyes, mouth, person, tears
from mmsent.sources.drawings.stream_scenery import (
    DARK_TABLES,
    PLAIN_TABLES,
    SUNNY_TABLES,
    hearts,
    rain,
    shadow,
    table,
)

CUPS = ("#f4f1ea", "#ef7f6c", "#5aa9a5", "#f2b84b", "#7d8fd1")


def cup_from_above(pen: Pen, coffee: str, cup: str) -> None:
    """Saucer, cup and coffee around the origin; the coffee's radius is 20 units."""
    pen.disc(1.5, 3, 36, fade("#000000", 0.16))
    pen.disc(0, 0, 35, mix(cup, "#ffffff", 0.4))
    pen.disc(0, 0, 28, mix(cup, "#000000", 0.07))
    pen.line(arc(29, 0, 8, 6, -90, 90), 4, cup)
    pen.disc(0, 0, 25, cup)
    pen.disc(0, 0, 21.5, mix(coffee, "#2a160c", 0.45))
    pen.disc(0, 0.6, 20.5, coffee)


def mug(pen: Pen, colour: str) -> None:
    """A mug around the origin, 28 units wide."""
    pen.line(arc(14, 0, 8, 8, -80, 80), 3.6, mix(colour, "#000000", 0.12))
    pen.box(-14, -16, 28, 34, colour, 6)
    pen.box(-14, -16, 5, 34, mix(colour, "#ffffff", 0.25), 3)
    pen.oval(0, -15, 14, 3.6, mix(colour, "#000000", 0.18))
    pen.oval(0, -14.6, 12, 2.7, "#5b3520")


def steam(pen: Pen, x: float, y: float) -> None:
    for side in (-6, 0, 6):
        pen.line(
            [
                *curve((x + side, y), (x + side + 4, y - 5), (x + side, y - 9)),
                *curve((x + side, y - 9), (x + side - 4, y - 13), (x + side, y - 18)),
            ],
            1.5,
            fade("#ffffff", 0.65),
        )


def latte_heart(pen: Pen) -> None:
    pen.wash(*pen.random.choice(SUNNY_TABLES))
    pen.glow(20, 15, 70, "#fff4cf", 0.7)
    for _ in range(7):
        bean = pen.moved(
            pen.random.uniform(pen.left, pen.right),
            pen.random.choice((pen.random.uniform(pen.top, 14), pen.random.uniform(88, pen.bottom))),
            1,
            pen.random.uniform(0, 180),
        )
        bean.oval(0, 0, 3.4, 2.3, "#6b3f22")
        bean.line([(-2.6, 0), (2.6, 0)], 0.6, "#3f2312")
    cup = pen.moved(50, 51, 1.12, pen.random.uniform(-30, 30))
    cup_from_above(cup, "#a9683a", pen.random.choice(CUPS))
    cup.heart(0, 1, 14.5, "#f9ead2")
    cup.heart(0, 0.5, 9.5, "#c98d5b")
    cup.heart(0, 0.2, 6, "#f9ead2")


def smiling_mug(pen: Pen) -> None:
    table(
        pen,
        SUNNY_TABLES,
        70,
        pen.random.choice((("#ffd9a0", "#fff1d6"), ("#a8dcd9", "#e3f5ee"), ("#ffc2b8", "#ffeadd"))),
    )
    pen.glow(50, 45, 56, "#ffffff", 0.7)
    shadow(pen, 50, 83, 26, 0.25)
    cup = pen.moved(48, 56, 1.45)
    mug(cup, pen.random.choice(CUPS[1:]))
    steam(pen, 48, 29)
    eyes(cup.moved(0, 1, 0.95), "positive")
    mouth(cup.moved(0, 1, 0.95), "positive")
    hearts(pen, 6, (max(pen.left, 8), pen.top + 6, min(92, pen.right), 26))
    pen.oval(83, 80, 10, 4, "#d8974e")
    pen.oval(83, 78.6, 8, 2.4, "#f0bd72")


def cafe_friends(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#f7c98b", "#ffe9c7"), ("#94d0c4", "#dcf3ea"))))
    for lamp in range(4):
        pen.disc(14 + lamp * 24, pen.top + 12, 3, "#fff6d0")
        pen.glow(14 + lamp * 24, pen.top + 12, 16, "#fff3bd", 0.9)
    places = crowd_places(pen.random, pen.random.choice((2, 3)), 8, 92)
    for x in places:
        person(pen, x, 58, 1.15, "positive")
    pen.wash("#a86b3d", "#7f4d2a", 80)
    for x in places:
        mug(pen.moved(x, 76, 0.45), pen.random.choice(CUPS))
        pen.heart(x, 62 if len(places) < 3 else 64, 2.6, "#ff5d73")


def desk_cup(pen: Pen) -> None:
    table(pen, PLAIN_TABLES, 62, pen.random.choice((("#e3e6e9", "#d5d9dd"), ("#e8e3da", "#dad3c7"))))
    notebook = pen.moved(28, 80, 1, -6)
    notebook.shape([(-22, -8), (16, -8), (24, 12), (-26, 12)], "#f7f7f3")
    for row in range(4):
        notebook.line([(-19 - row, -3 + row * 3.6), (15 + row, -3 + row * 3.6)], 0.5, "#c0c6cd")
    shadow(pen, 68, 84, 20)
    mug(pen.moved(68, 66, 1.05), pen.random.choice(("#f1f1ee", "#a3afb8", "#b9b3a6")))


def coffee_bag(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#dfe2e5", "#c9ced3"), ("#e2dbd0", "#cdc4b6"))))
    shadow(pen, 50, 90, 30)
    paper = pen.random.choice(("#9c8467", "#5f6a72", "#b0a58f", "#7c8a80"))
    pen.shape([(28, 22), (72, 22), (74, 90), (26, 90)], paper)
    pen.box(27, 14, 46, 10, mix(paper, "#000000", 0.2), 1)
    pen.box(33, 40, 34, 30, "#f4f1ea", 2)
    pen.text(50, 48, pen.random.choice(("FERNHOLLOW", "FILTER", "HOUSE")), 8, "#4b4f55", 28)
    pen.text(50, 57, pen.random.choice(("250 g", "500 g", "1 kg")), 5.4, "#74797f", 28)
    pen.box(38, 63, 24, 1.6, "#c9c6bd")


def spilled_cup(pen: Pen) -> None:
    table(pen, DARK_TABLES, 52, pen.random.choice((("#525a63", "#3d444c"), ("#5c4f4c", "#443a38"))))
    for x, turn in ((22, -8), (76, 10)):
        sheet = pen.moved(x, 74, 1, turn)
        sheet.box(-15, -12, 30, 26, "#cfcabd", 1)
        for row in range(4):
            sheet.line([(-11, -7 + row * 5), (11, -7 + row * 5)], 0.6, "#8d897f")
    for x, y, across in ((52, 80, 30), (70, 86, 20), (32, 87, 16)):
        pen.oval(x, y, across, across * 0.3, "#4a2815")
    pen.oval(54, 79, 22, 4.6, "#693d22")
    cup = pen.moved(34, 62, 1.15, -98)
    mug(cup, pen.random.choice(("#c9c4ba", "#8f5b50", "#5d7a7d")))
    big_face(pen, 76, 30, 15, "negative", crying=True)


def shattered_mug(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#5b2f2c", "#371d1d"), ("#3d4350", "#262a33"), ("#5a5148", "#38322c"))))
    pen.oval(50, 84, 44, 11, "#2c1509")
    cup = pen.moved(50, 56, 1.6, pen.random.uniform(-8, 8))
    mug(cup, pen.random.choice(("#d9d4ca", "#a9b6c4", "#c7a27c")))
    cup.line([(-4, -16), (1, -8), (-5, -2), (3, 6), (-2, 18)], 1.2, "#241511")
    cup.line([(1, -8), (9, -4), (14, 3)], 0.9, "#241511")
    cup.shape([(6, -17), (14, -17), (14, -4), (9, -9)], "#371d1d")
    eyes(cup.moved(0, 3, 0.9), "negative")
    mouth(cup.moved(0, 3, 0.9), "negative")
    tears(cup.moved(0, 3, 0.9))
    for x, y in ((16, 82), (84, 86), (76, 92), (28, 93)):
        pen.moved(x, y, 1, pen.random.uniform(0, 180)).shape([(-4, 2), (0, -5), (4, 3)], "#cfc9bd")


def closed_cafe(pen: Pen) -> None:
    pen.wash("#3b434d", "#59636d")
    pen.box(10, 12, 80, 60, "#4d3b35", 2)
    for stripe in range(10):
        pen.box(8 + stripe * 8.4, 12, 8.4, 13, "#6e3a38" if stripe % 2 else "#8f8a83", 2)
    pen.box(18, 30, 64, 34, "#23282e", 1)
    pen.box(26, 34, 48, 18, "#d63a33", 3)
    pen.text(50, 43.2, pen.random.choice(("CLOSED", "SOLD OUT", "NO COFFEE")), 10, "#ffffff", 42)
    pen.wash("#3d4248", "#2a2e33", 72)
    for x in crowd_places(pen.random, 3, pen.left + 4, pen.right - 4):
        person(pen, x, 76, 0.95, "negative", crying=pen.random.random() < 0.4)
    rain(pen, 70)


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (latte_heart, smiling_mug, cafe_friends),
    "neutral": (desk_cup, coffee_bag),
    "negative": (spilled_cup, shattered_mug, closed_cafe),
}
