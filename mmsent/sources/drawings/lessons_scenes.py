"""Scenes without a product: boats, houses, crowds, lists, curves, hearts, windows, thumbs."""

from mmsent.sources.drawings.lessons_faces import COATS, CREATURES, DARK, features, ground
from mmsent.sources.drawings.lessons_things import BRIGHTS, floor, flying, paint, split
from mmsent.sources.drawings.pen import Pen, arc, curve, mix


def spiky_sun(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.star(x, y, radius * 1.7, "#ff9f1c", points=12, inner=0.62)
    pen.disc(x, y, radius, "#ffe14d")
    features(pen.moved(x, y, radius / 13), 1)


def dashes(pen: Pen, low: float) -> None:
    """Rain as short upright dashes."""
    for _ in range(34):
        x, y = pen.random.uniform(pen.left, pen.right), pen.random.uniform(pen.top, low)
        pen.line([(x, y), (x, y + 5)], 0.9, "#6aa0e0")


def square_cloud(pen: Pen, x: float, y: float, colour: str) -> None:
    pen.box(x - 14, y - 4, 28, 8, colour, 2)
    pen.box(x - 7, y - 9, 15, 9, colour, 2)


def boat(pen: Pen, mood: int) -> None:
    """A sailing boat under the sun, a moored one, or one that sinks in a storm."""
    ground(pen, mood)
    if mood > 0:
        spiky_sun(pen, 22, max(16, pen.top + 16), 9)
    for _ in range(3 if mood <= 0 else 1):
        x, y = pen.random.uniform(10, 90), pen.random.uniform(pen.top + 12, 26)
        square_cloud(pen, x, y, {1: "#ffffff", 0: "#d5dbe0", -1: "#3c4152"}[mood])
    pen.box(
        pen.left - 1,
        68,
        pen.right - pen.left + 2,
        pen.bottom - 66,
        {1: "#2a9fd6", 0: "#7f9fb0", -1: "#2b4a66"}[mood],
    )
    hull = pen.moved(54, 70, 1.15, 34 if mood < 0 else pen.random.uniform(-4, 4))
    hull.line([(0, -4), (0, -44)], 1.6, "#5a4030")
    if mood:
        hull.shape([(2, -42), (2, -9), (22, -9)], paint(pen, 1))
        hull.shape([(-2, -38), (-2, -9), (-16, -9)], "#fff6e8")
    if mood < 0:
        split(hull, 10, -26, 16)
        pen.line([(78, 0), (68, 18), (76, 20), (66, 40)], 2, "#ffe14d")
    hull.shape([(-26, -6), (26, -6), (18, 9), (-18, 9)], paint(pen, mood))
    rough = 7 if mood < 0 else 2
    x = pen.left - 4
    while x < pen.right:
        pen.shape(
            [(x, 82), *curve((x, 80), (x + 7, 80 - 2 * rough), (x + 14, 80)), (x + 14, 82)],
            {1: "#5cc0ec", 0: "#9ab5c2", -1: "#4a7090"}[mood],
        )
        x += 14
    if mood < 0:
        dashes(pen, 64)


def house(pen: Pen, mood: int) -> None:
    """A house with a garden and the sun, a plain house, or a house on fire."""
    ground(pen, mood)
    pen.box(
        pen.left - 1,
        78,
        pen.right - pen.left + 2,
        pen.bottom - 76,
        {1: "#6cc551", 0: "#9aa58f", -1: "#5a5040"}[mood],
    )
    wall = paint(pen, mood)
    pen.box(30, 44, 42, 38, mix(wall, "#ffffff", 0.4))
    pen.shape([(25, 45), (51, 20), (77, 45)], mix(wall, DARK, 0.3))
    for x in (35, 57):
        pen.box(x, 50, 10, 10, {1: "#fff3a8", 0: "#cfd8df", -1: "#2a2026"}[mood])
    pen.box(47, 64, 10, 18, mix(wall, DARK, 0.5))
    if mood > 0:
        spiky_sun(pen, 15, 20, 7)
        for x in (10, 20, 80, 90):
            pen.line([(x, 88), (x, 78)], 1, "#2f8a3f")
            pen.star(x, 76, 5, pen.random.choice(BRIGHTS), points=6, inner=0.5)
        pen.heart(51, 35, 4.5, "#ff4d6d")
    elif mood < 0:
        for x, y, size in ((36, 48, 15), (62, 50, 17), (44, 28, 14), (60, 30, 20)):
            pen.shape(
                [
                    *curve((x - size * 0.4, y), (x - size * 0.5, y - size * 0.5), (x, y - size)),
                    *curve((x, y - size), (x + size * 0.5, y - size * 0.4), (x + size * 0.4, y)),
                ],
                "#ff5a1f",
            )
            pen.drop(x, y - size * 0.2, size * 0.2, "#ffd23f")
        for x, y in ((66, 10), (74, 2), (58, 16)):
            pen.disc(x, y, 7, "#4a4650")
        pen.random.choice(CREATURES)(pen.moved(16, 72, 0.8), mood)


def crowd(pen: Pen, mood: int) -> None:
    """Many creatures: at a party with balloons, waiting, or weeping."""
    ground(pen, mood)
    floor(pen, 84)
    if mood > 0:
        for x in (14, 38, 64, 88):
            y = pen.random.uniform(12, 24)
            pen.line([(x, y), (50, 60)], 0.6, DARK)
            pen.oval(x, y, 7, 8.5, pen.random.choice(BRIGHTS))
    for x in (16, 50, 84):
        pen.random.choice(CREATURES)(pen.moved(x, 54 + pen.random.uniform(-4, 4), 0.95), mood)
    for x in (32, 68):
        pen.random.choice(CREATURES)(pen.moved(x, 79, 1.1), mood)
    if mood < 0:
        dashes(pen, 40)


def checklist(pen: Pen, mood: int) -> None:
    """A list: all ticked, empty, or crossed out with a stamp."""
    ground(pen, mood)
    page = pen.moved(50, 50, 1, pen.random.uniform(-8, 8))
    page.box(-30, -40, 60, 80, "#fffdf5", 2)
    for row in range(5):
        y = -28 + row * 13
        page.box(-24, y - 4, 9, 9, "#dfe5ea", 1)
        page.box(-10, y - 1.5, pen.random.uniform(20, 34), 3, "#aab4be", 1)
        if mood > 0:
            page.line([(-23, y), (-20, y + 4), (-13, y - 6)], 2, "#1fa055")
        elif mood < 0:
            for side in (-1, 1):
                page.line([(-24, y - side * 5), (-15, y + side * 5)], 1.8, "#d3212c")
    if mood:
        words = ("PASSED", "SUPER", "HOORAY") if mood > 0 else ("REJECTED", "BROKEN", "LATE")
        pen.box(44, 66, 48, 17, "#1fa055" if mood > 0 else "#d3212c", 3)
        pen.text(68, 75, pen.random.choice(words), 9, "#ffffff", 42)
        features(pen.moved(82, 22, 1.1), mood)


def graph(pen: Pen, mood: int) -> None:
    """Columns that rise, stay level, or fall."""
    ground(pen, mood)
    pen.line([(12, 10), (12, 86), (92, 86)], 1.6, DARK)
    heights = [34 + mood * (column - 2.5) * 10 + pen.random.uniform(-3, 3) for column in range(6)]
    heights = [max(5, height) for height in heights]
    colours = {1: "#2fb36d", 0: "#7a8fa6", -1: "#d9483b"}
    unmirrored = pen.unmirrored()
    for column, height in enumerate(heights):
        unmirrored.box(17 + column * 12.4, 86 - height, 9, height, colours[mood])
    tops = [(21 + column * 12.4, 80 - height) for column, height in enumerate(heights)]
    unmirrored.line(tops, 2, DARK)
    if mood:
        pen.random.choice(CREATURES)(unmirrored.moved(26 if mood > 0 else 78, 26, 0.9), mood)
    flying(pen, mood, 20)


def love(pen: Pen, mood: int) -> None:
    """A whole heart, a plain disc, or a heart torn in two."""
    ground(pen, mood)
    if mood == 0:
        pen.disc(50, 50, 26, pen.random.choice(COATS))
        features(pen.moved(50, 50, 1.6), 0)
        return
    red = pen.random.choice(("#ff3b5c", "#ff6fa3", "#d72660"))
    pen.heart(50, 50, 36, red if mood > 0 else mix(red, "#5a4a52", 0.35))
    features(pen.moved(50, 46, 1.8), mood)
    if mood < 0:
        pen.line([(50, 28), (44, 40), (55, 50), (45, 62), (50, 84)], 4, "#22222c")
    flying(pen, mood, 26)


def window(pen: Pen, mood: int) -> None:
    """A creature at the window: the sun outside, nothing outside, or rain outside."""
    pen.wash(*pen.random.choice((("#e8c9a0", "#d9b184"), ("#7a6f8f", "#5a5070"), ("#a8c0b0", "#8aa596"))))
    pen.box(18, 8, 64, 62, "#fdf8ee", 2)
    pen.box(22, 12, 56, 54, {1: "#7fd0ff", 0: "#c5ced6", -1: "#4a5a72"}[mood])
    if mood > 0:
        spiky_sun(pen, 36, 27, 7)
    elif mood < 0:
        for _ in range(26):
            x, y = pen.random.uniform(24, 76), pen.random.uniform(14, 58)
            pen.line([(x, y), (x, y + 5)], 0.9, "#a9c8ec")
    pen.box(48.6, 12, 2.8, 54, "#fdf8ee")
    pen.box(12, 68, 76, 5, "#fdf8ee", 1)
    pen.random.choice(CREATURES)(pen.moved(60, 80, 1.35), mood)


def thumb(pen: Pen, mood: int) -> None:
    """A thumb up, a flat hand, or a thumb down."""
    ground(pen, mood)
    hand = pen.moved(50, 52, 1.5, {1: 0, 0: 90, -1: 180}[mood])
    skin = pen.random.choice(("#ffcf9e", "#c68a5a", "#8d5a3a", "#8fd0ff", "#ffe14d"))
    hand.box(-22, -4, 9, 26, pen.random.choice(BRIGHTS), 2)
    if mood:
        hand.shape(
            [(-12, 0), *curve((-12, 0), (-2, -6), (-2, -24)), *curve((-2, -24), (8, -26), (7, -6)), (-6, 4)],
            skin,
        )
    for row in range(4):
        hand.box(-12, -6 + row * 7, 30 - row * 2, 8, skin, 4)
        hand.line([(4, 1 + row * 7), (16 - row * 2, 1 + row * 7)], 0.7, mix(skin, DARK, 0.4))
    flying(pen, mood, 24)


def toy(pen: Pen, mood: int) -> None:
    """A creature with a gift, with a box, or with a kite that tore."""
    ground(pen, mood)
    floor(pen, 82)
    pen.random.choice(CREATURES)(pen.moved(32, 60, 1.4), mood)
    colour = paint(pen, mood)
    if mood < 0:
        kite = pen.moved(76, 68, 1, 40)
        kite.shape([(0, -20), (13, 0), (0, 22), (-13, 0)], colour)
        kite.shape([(13, 0), (3, 3), (6, 10)], DARK)
        split(kite, -2, -18, 36)
        pen.line(curve((66, 82), (80, 96), (94, 86)), 0.8, DARK)
        return
    pen.box(62, 56, 30, 30, colour, 1)
    if mood > 0:
        pen.box(74.5, 56, 5, 30, "#ffffff")
        pen.box(60, 53, 34, 7, mix(colour, DARK, 0.2), 1)
        for side in (-1, 1):
            pen.line(arc(77 + side * 6, 49, 6, 4.5, 0, 360), 2, "#ff3b5c")
        flying(pen, mood)
    else:
        pen.line([(62, 66), (92, 66)], 0.9, mix(colour, DARK, 0.4))
