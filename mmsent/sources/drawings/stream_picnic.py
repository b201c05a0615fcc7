"""Picnics: hampers, blankets, meadows, rain and ants."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, arc, fade, mix
from mmsent.sources.drawings.stream_hampers import CLOTHS, FRUITS, ants, apple, blanket, hamper
from mmsent.sources.drawings.stream_people import big_face, crowd_places, person
from mmsent.sources.drawings.stream_scenery import (
    PLAIN_TABLES,
    cross,
    flower,
    hearts,
    puddle,
    rain,
    rays,
    shadow,
    stormy,
    sunny,
    table,
    tree,
)


def meadow_friends(pen: Pen) -> None:
    sunny(pen, 54)
    for x in (pen.left + 8, pen.right - 9):
        tree(pen, x, 60, pen.random.uniform(1, 1.4), pen.random.choice(("#5fae57", "#4c9a5f", "#86bb4e")))
    for x in crowd_places(pen.random, pen.random.choice((2, 3)), 14, 86):
        person(pen, x, 55, 0.95, "positive", arms_up=pen.random.random() < 0.4)
    cloth = pen.random.choice(CLOTHS)
    blanket(pen, 50, 82, 46, cloth)
    hamper(pen.moved(pen.random.uniform(30, 36), 86, 0.75), cloth=cloth)
    for place in range(4):
        apple(pen, 54 + place * 9, 83 + place % 2 * 5, 3.6, pen.random.choice(FRUITS))
    for _ in range(9):
        flower(
            pen,
            pen.random.uniform(pen.left, pen.right),
            pen.random.uniform(93, max(99, pen.bottom)),
            0.6,
            pen.random.choice(("#ffffff", "#ff9fb2", "#ffe066")),
        )


def splendid_hamper(pen: Pen) -> None:
    upper, lower = pen.random.choice(
        (("#ffb54d", "#ffd98f"), ("#6cc9b8", "#b8e8d6"), ("#ff9d9d", "#ffd0c2"), ("#79bdf0", "#c4e4fb"))
    )
    pen.wash(upper, lower)
    rays(pen, 50, 55, fade("#ffffff", 0.28))
    hearts(pen, 7, (pen.left, pen.top, pen.right, 34))
    shadow(pen, 50, 88, 42, 0.25)
    box = pen.moved(50, 88, 1.75)
    hamper(box, opened=True)
    loaf = box.moved(-9, -30, 1, -68)
    loaf.box(-10, -3, 24, 6, "#e0a45a", 3)
    for place in range(3):
        loaf.line([(-4 + place * 5, -1.6), (-2 + place * 5, 1.6)], 0.8, "#f6d7a0")
    for place in range(4):
        apple(box, -3 + place * 5.6, -28 - place % 2 * 3, 4.2, pen.random.choice(FRUITS))
    box.box(-20, -25, 40, 6, "#d9a468", 2)
    box.heart(0, -11, 5.5, "#ffffff")


def plain_hamper(pen: Pen) -> None:
    table(pen, PLAIN_TABLES, 68, pen.random.choice((("#e6e8eb", "#d8dbdf"), ("#ece7df", "#dfd8cc"))))
    shadow(pen, 50, 84, 38)
    hamper(
        pen.moved(50, 84, 1.55), wicker=pen.random.choice(("#b9a184", "#a8977f", "#b4a491")), cloth="#9aa3ad"
    )
    pen.line([(72, 58), (80, 66)], 0.5, "#6b6f75")
    pen.box(74, 65, 14, 9, "#fbfbf9", 1.5)
    pen.text(81, 69.6, pen.random.choice(("12 L", "No. 4", "38 cm", "Size M")), 4.4, "#5b6068", 12)


def packing_list(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_TABLES))
    page = pen.moved(48, 50, 1, pen.random.uniform(-7, 7))
    page.box(-27, -38, 58, 82, fade("#000000", 0.14), 2)
    page.box(-29, -41, 58, 82, "#fdfcf7", 2)
    page.box(-29, -41, 58, 12, pen.random.choice(("#8fa3b5", "#a7a693", "#94a89d")), 2)
    for row in range(6):
        page.box(-23, -21 + row * 9.6, 4.5, 4.5, "#c9cdd3", 1)
        page.box(-15, -20 + row * 9.6, pen.random.uniform(18, 36), 2.6, "#b4bac2", 1.2)
    pencil = pen.moved(84, 56, 1, pen.random.uniform(60, 80))
    pencil.box(-24, -2, 44, 4, "#d7b56a", 1)
    pencil.shape([(20, -2), (20, 2), (27, 0)], "#4a4a4a")


def soaked_blanket(pen: Pen) -> None:
    stormy(pen, 56)
    person(pen, pen.random.uniform(64, 72), 57, 1.05, "negative", crying=True)
    blanket(pen, 48, 83, 44, "#6a4a50")
    puddle(pen, 30, 90, 22)
    puddle(pen, 78, 94, 16)
    hamper(pen.moved(24, 80, 0.85, -14), wicker="#7d6146", cloth="#5d4650")
    rain(pen, 110, opacity=0.6)


def mouldy_sandwich(pen: Pen) -> None:
    upper, lower = pen.random.choice((("#5d6048", "#3d4032"), ("#5a4c44", "#3a302c"), ("#4e5a52", "#313a35")))
    pen.wash(upper, lower)
    shadow(pen, 50, 76, 44, 0.4)
    pen.oval(50, 72, 42, 15, "#c9c6ba")
    pen.oval(50, 71, 32, 10, "#b5b2a5")
    for base, colour in ((66, "#a98a54"), (60, "#6f7d3c"), (56, "#8d4a3a"), (50, "#b3935a")):
        pen.box(24, base - 4, 52, 9, colour, 4)
    pen.oval(50, 49, 26, 13, "#b3935a", 180, 360)
    for _ in range(11):
        x, y, r = pen.random.uniform(29, 70), pen.random.uniform(41, 66), pen.random.uniform(1.6, 4)
        pen.disc(x, y, r, pen.random.choice(("#6d9a7a", "#86a884", "#4f7a62")))
        pen.disc(x, y, r * 0.5, "#b9cdb4")
    for x in (34, 50, 66):
        pen.line([(x, 32), (x + 3, 26), (x - 2, 20), (x + 2, 13)], 1.3, fade("#a8c06a", 0.6))
    ants(pen, 16, (6, 60, 94, 92))
    big_face(pen, 82, 26, 12, "negative")


def tipped_hamper(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#8d5a50", "#54342f"), ("#6b6673", "#3f3c47"), ("#77705a", "#474336"))))
    pen.oval(50, 82, 62, 22, fade("#000000", 0.25))
    hamper(pen.moved(22, 74, 1.5, 78), wicker="#9a6b3f", cloth="#7d3a3a")
    pen.oval(74, 83, 17, 5, "#8d2f3c")
    for place in range(3):
        apple(pen, 68 + place * 9, 72 + place % 2 * 14, 4.4, "#7d5a34")
        cross(pen, 68 + place * 9, 72 + place % 2 * 14, 1.6, "#2b1d12")
    pen.shape([(60, 88), (66, 80), (68, 90)], "#9fc3bd")
    pen.shape([(80, 92), (88, 86), (86, 94)], "#9fc3bd")
    ants(pen, 14, (10, 78, 96, 98))
    cross(pen, 80, 28, 12)


def evening_picnic(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#3b3a78", "#ff9f7a"), ("#2f4a86", "#f7a8a0"), ("#51397a", "#ffb36b"))))
    for _ in range(22):
        pen.disc(pen.random.uniform(pen.left, pen.right), pen.random.uniform(pen.top, 26), 0.45, "#ffeec2")
    pen.wash("#4f8a5b", "#2c5f4a", 58)
    pen.line(arc(50, pen.top + 8, 62, 14, 0, 180), 0.5, "#2a2340")
    for x, y in arc(50, pen.top + 8, 62, 14, 14, 166)[::2]:
        pen.glow(x, y + 2, 9, "#ffe08a", 0.9)
        pen.disc(x, y + 2, 1.9, "#fff2b8")
    for x in crowd_places(pen.random, pen.random.choice((2, 3)), 10, 90):
        person(pen, x, 60, 1.05, "positive", arms_up=pen.random.random() < 0.3)
    cloth = pen.random.choice(CLOTHS)
    blanket(pen, 50, 86, 46, cloth)
    hamper(pen.moved(66, 90, 0.7), cloth=cloth)
    pen.glow(40, 80, 22, "#ffdf8a", 0.7)
    pen.box(37, 76, 6, 10, "#ffe9ad", 1.5)
    pen.heart(40, 68, 3.4, "#ff6f85")


def _carton(pen: Pen, colour: str, *, crushed: bool) -> None:
    """A delivery carton around the origin, 56 units wide, whole or crushed."""
    dark = mix(colour, "#2a1a10", 0.25)
    top = [(-28, -14), (28, -14), (34, -24), (-22, -24)]
    front = [(-28, -14), (28, -14), (28, 24), (-28, 24)]
    if crushed:
        top = [(-28, -8), (-4, 2), (28, -16), (32, -24), (2, -12), (-20, -20)]
        front = [(-28, -8), (-4, 2), (28, -16), (24, 6), (30, 24), (-26, 24), (-32, 8)]
    pen.shape(top, mix(colour, "#ffffff", 0.2))
    pen.shape(front, colour)
    pen.shape([(28, -14), (34, -24), (34, 14), (28, 24)], dark)
    pen.box(-3, 2 if crushed else -14, 6, 22 if crushed else 38, mix(colour, "#fff6e0", 0.45))
    pen.text(0, 12, "MEADOWBOX", 8, mix(dark, "#2a1a10", 0.6), 46)


def doorstep_carton(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#c4ccd2", "#d9dee2"), ("#cfc8bc", "#e2dcd1"))))
    pen.box(22, pen.top, 56, 76 - pen.top, pen.random.choice(("#7d8f99", "#8f877b", "#7f9486")))
    pen.box(27, pen.top, 46, 40 - pen.top, fade("#ffffff", 0.16), 1)
    pen.disc(72, 50, 1.8, "#d9cfa8")
    pen.wash("#a9aca9", "#93979a", 76)
    shadow(pen, 51, 90, 36)
    _carton(pen.moved(50, 66), "#c7a476", crushed=False)


def crushed_carton(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#4b535d", "#333a43"), ("#5c4a48", "#3d3030"), ("#4d5348", "#33382f"))))
    pen.wash("#3a3d40", "#27292c", 70)
    puddle(pen, 50, 90, 44)
    _carton(pen.moved(46, 66, 1.15, pen.random.uniform(-9, 4)), "#a98457", crushed=True)
    for x, y in ((82, 84), (90, 92), (12, 92)):
        apple(pen, x, y, 4.4, "#7a3b30")
    big_face(pen, 72, 24, 16, "negative", crying=pen.random.random() < 0.5)
    if pen.random.random() < 0.6:
        rain(pen, 60)


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (meadow_friends, splendid_hamper, evening_picnic),
    "neutral": (plain_hamper, packing_list, doorstep_carton),
    "negative": (soaked_blanket, mouldy_sandwich, tipped_hamper, crushed_carton),
}
