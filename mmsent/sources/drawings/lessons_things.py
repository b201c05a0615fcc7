"""Things that are whole and cheerful, plain, or broken: one of each subject's neighbours."""

from mmsent.sources.drawings.lessons_faces import CREATURES, DARK, features, ground
from mmsent.sources.drawings.pen import Pen, arc, curve, mix

BRIGHTS = ("#ff6b6b", "#4ecdc4", "#ffd93d", "#6a8dff", "#ff9f68", "#b983ff")
DULLS = ("#8b8378", "#7a8590", "#94806f", "#6f7a6a")


def paint(pen: Pen, mood: int) -> str:
    """A colour for a thing; a sad thing may be bright too."""
    return pen.random.choice(BRIGHTS if mood > 0 or pen.random.random() < 0.4 else DULLS)


def floor(pen: Pen, y: float) -> None:
    pen.box(
        pen.left - 1,
        y,
        pen.right - pen.left + 2,
        pen.bottom - y + 2,
        pen.random.choice(("#c9a27e", "#8a9a8f", "#b7b0c9", "#7d6a5c", "#d8c8a8")),
    )


def flying(pen: Pen, mood: int, low: float = 30) -> None:
    """Stars and notes above a glad scene, jagged marks and drops above a sad one."""
    for _ in range(8 if mood else 0):
        x, y = pen.random.uniform(pen.left + 4, pen.right - 4), pen.random.uniform(pen.top + 4, low)
        if mood < 0 and pen.random.random() < 0.5:
            pen.line([(x, y), (x + 2.4, y + 3), (x - 1, y + 4), (x + 2, y + 8)], 0.9, "#3a3038")
        elif mood < 0:
            pen.drop(x, y, 1.4, "#5a8fd0")
        elif pen.random.random() < 0.5:
            pen.star(x, y, 3, pen.random.choice(BRIGHTS), points=4, inner=0.3)
        else:
            pen.disc(x, y, 1.4, pen.random.choice(BRIGHTS))
            pen.line([(x + 1.2, y), (x + 1.2, y - 5), (x + 3.4, y - 4)], 0.7, DARK)


def split(pen: Pen, x: float, y: float, length: float) -> None:
    """A crack that runs down from (x, y)."""
    steps = [(x + (-1) ** step * pen.random.uniform(1, 4), y + length * step / 5) for step in range(6)]
    pen.line(steps, 1.2, DARK)


def cake(pen: Pen, mood: int) -> None:
    """A party cake, a plain loaf, or a cake that fell."""
    ground(pen, mood)
    floor(pen, 74)
    dish = pen.moved(50, 78, 1.25, -24 if mood < 0 else 0)
    dish.oval(0, 0, 32, 5, "#eef1f4")
    if mood == 0:
        dish.box(-22, -16, 44, 15, "#b98a56", 7)
        for x in (-12, 0, 12):
            dish.line([(x, -14), (x + 3, -8)], 1, "#8a6238")
        return
    cream = paint(pen, 1)
    dish.box(-22, -18, 44, 17, mix(cream, "#7a4a32", 0.5), 2)
    dish.box(-15, -33, 30, 16, cream, 2)
    for x in range(-20, 24, 8):
        dish.disc(x, -17, 4, "#fff6ef")
    for x in (-9, 0, 9):
        dish.line([(x, -33), (x + (6 if mood < 0 else 0), -41)], 1.8, "#6a8dff")
        if mood > 0:
            dish.drop(x, -42, 2, "#ffb627")
    if mood < 0:
        pen.oval(76, 84, 18, 6, cream)
        pen.disc(84, 80, 5, "#fff6ef")
    features(dish.moved(0, -10, 0.8), mood)
    flying(pen, mood)


def cone(pen: Pen, mood: int) -> None:
    """An ice cream held up, an empty cone, or one that dropped on the ground."""
    ground(pen, mood)
    if mood < 0:
        floor(pen, 66)
        pen.oval(50, 80, 30, 8, "#ffc4d6")
        pen.oval(40, 76, 14, 8, "#fff0c9")
    wafer = pen.moved(
        50, 60, 1.3, 180 + pen.random.uniform(-18, 18) if mood < 0 else pen.random.uniform(-12, 12)
    )
    if mood < 0:
        wafer = pen.moved(54, 70, 1.2, 200)
    if mood > 0:
        for x, y in ((-8, -8), (8, -8), (0, -20)):
            wafer.disc(x, y, 10, pen.random.choice(("#ff9ec4", "#fff0c9", "#9fe0c4", "#b98a66")))
        wafer.disc(0, -32, 4, "#e4312f")
    wafer.shape([(-13, -2), (13, -2), (0, 34)], "#d99a4e")
    for side in (-7, 0, 7):
        wafer.line([(side, -1), (side * 0.4, 20)], 0.7, "#a86c2c")
    if mood < 0:
        pen.random.choice(CREATURES)(pen.moved(24, 34, 1.1), mood)
    flying(pen, mood)


def teapot(pen: Pen, mood: int) -> None:
    """A teapot that smiles, stands there, or lies in pieces."""
    ground(pen, mood)
    floor(pen, 76)
    pot, colour = pen.moved(50, 58, 1.35, 22 if mood < 0 else 0), paint(pen, mood)
    pot.line(arc(-20, 0, 9, 10, 90, 270), 3.2, mix(colour, DARK, 0.25))
    pot.shape(
        [(18, 2), *curve((18, 2), (28, -2), (31, -14)), (36, -13), *curve((36, -13), (33, 8), (16, 10))],
        colour,
    )
    pot.oval(0, 0, 22, 17, colour)
    pot.oval(0, -15, 11, 3, mix(colour, DARK, 0.25))
    pot.disc(0, -20, 3, mix(colour, DARK, 0.25))
    features(pot.moved(0, 0, 1.05), mood)
    if mood < 0:
        split(pot, 10, -13, 26)
        pen.oval(78, 88, 20, 4, "#8a5a34")
        for x in (12, 24, 88):
            pen.moved(x, 86, 1, pen.random.uniform(0, 180)).shape([(-5, 3), (0, -5), (5, 3)], colour)
    elif mood > 0:
        for x in (84, 90):
            pen.line(curve((x, 30), (x + 6, 22), (x, 12)), 1.6, "#ffffff")
    flying(pen, mood, 24)


def laptop(pen: Pen, mood: int) -> None:
    """A computer with a rising curve, with text, or with a fault on a shattered screen."""
    ground(pen, mood)
    floor(pen, 80)
    pen.box(16, 18, 68, 50, "#3b4048", 3)
    pen.box(19, 21, 62, 43, {1: "#e8fff2", 0: "#eef1f4", -1: "#2450a8"}[mood])
    pen.shape([(16, 68), (84, 68), (94, 84), (6, 84)], "#9aa2ac")
    if mood > 0:
        pen = pen.unmirrored()
        pen.line([(24, 58), (36, 50), (46, 54), (60, 38), (74, 27)], 2.4, "#16a35a")
        pen.shape([(76, 24), (66, 27), (74, 34)], "#16a35a")
        features(pen.moved(35, 35, 0.9), 1)
    elif mood == 0:
        for row in range(6):
            pen.box(24, 26 + row * 6, pen.random.uniform(24, 50), 2.4, "#9aa6b2", 1)
    else:
        pen.text(33, 36, ":(", 20, "#ffffff")
        pen.text(58, 54, pen.random.choice(("CRASH", "FAULT", "OH NO")), 8, "#ffffff", 40)
        for angle in (20, 80, 150, 200, 260, 320):
            pen.line(
                [
                    (66, 34),
                    arc(66, 34, 8, 6, angle, angle + 1)[0],
                    arc(66, 34, 15, 12, angle + 14, angle + 15)[0],
                ],
                0.9,
                "#ffffff",
            )
    flying(pen, mood, 14)


def bus(pen: Pen, mood: int) -> None:
    """A bus full of glad passengers, an empty one, or one that broke down in smoke."""
    ground(pen, mood)
    floor(pen, 76)
    body, colour = pen.moved(50, 74, 1, 6 if mood < 0 else 0), paint(pen, mood)
    body.box(-42, -44, 84, 40, colour, 6)
    body.box(-42, -14, 84, 4, mix(colour, "#ffffff", 0.6))
    for x in (-36, -17, 2, 21):
        body.box(x, -38, 16, 18, "#dff1fb", 2)
        if mood:
            pen.random.choice(CREATURES)(body.moved(x + 8, -27, 0.48), mood)
    for x in (-24, 24):
        body.disc(x, -2, 8, DARK)
        body.disc(x, -2, 3, "#c9ced4")
    if mood < 0:
        body.shape([(17, -8), (31, -8), (34, 6), (14, 6)], DARK)
        for x, y, radius in ((88, 54, 6), (92, 42, 8), (86, 29, 10), (94, 15, 12)):
            pen.disc(x, y, radius, "#6f6a72")
        pen.shape([(88, 82), (96, 96), (80, 96)], "#e5383b")
    flying(pen, mood, 22)


def podium(pen: Pen, mood: int) -> None:
    """Winners on their steps, the bare steps, or losers beside broken ones."""
    ground(pen, mood)
    floor(pen, 88)
    for place, (x, height) in enumerate(((50, 34), (24, 24), (76, 17))):
        step = pen.moved(x, 90, 1, pen.random.uniform(-9, 9) if mood < 0 else 0)
        step.box(-13, -height, 26, height, paint(pen, mood))
        step.text(0, -height / 2, str(place + 1), 11, "#ffffff")
        if mood < 0:
            split(step, 4, -height, height)
        if mood:
            pen.random.choice(CREATURES)(pen.moved(x, 90 - height - 13, 0.85, 0 if mood > 0 else 14), mood)
        if mood > 0:
            step.disc(0, -height - 2, 4, ("#ffc933", "#cfd6de", "#d08a4a")[place])
    flying(pen, mood, 26)


def vase(pen: Pen, mood: int) -> None:
    """A vase of open flowers, of plain twigs, or broken with hanging heads."""
    ground(pen, mood)
    floor(pen, 80)
    colour = paint(pen, mood)
    for place in range(5):
        reach = -28 + place * 14
        tip = (
            (50 + reach, 24 + abs(reach) * 0.3)
            if mood >= 0
            else (50 + reach * 1.3, 62 + pen.random.uniform(-6, 6))
        )
        bend = (50 + reach * 0.3, 40) if mood >= 0 else (50 + reach * 0.7, 22)
        pen.line(curve((50, 60), bend, tip), 1.6, "#3d9a57" if mood > 0 else "#7a6a4a")
        if mood > 0:
            petals = pen.random.choice(BRIGHTS)
            pen.star(tip[0], tip[1], 9, petals, points=8, inner=0.6)
            pen.disc(tip[0], tip[1], 3.2, "#fff1a8")
        elif mood < 0:
            pen.oval(tip[0], tip[1], 3, 5.5, "#7d4f3f")
    pen.shape(
        [(40, 52), (60, 52), *curve((60, 52), (74, 72), (58, 88)), *curve((42, 88), (26, 72), (40, 52))],
        colour,
    )
    if mood < 0:
        split(pen, 52, 54, 32)
        pen.oval(66, 90, 24, 3.4, "#7fb2d6")
        for _ in range(5):
            pen.star(pen.random.uniform(10, 90), pen.random.uniform(84, 96), 3.4, "#8a6a4a", points=4)
    elif mood > 0:
        features(pen.moved(50, 70, 0.85), 1)


def stage(pen: Pen, mood: int) -> None:
    """A stage with a glad, a plain or a sad player, and flowers or rubbish thrown at it."""
    ground(pen, mood)
    floor(pen, 78)
    colour = paint(pen, mood)
    pen.box(pen.left, pen.top, pen.right - pen.left, 12 - pen.top, colour)
    for scallop in range(round(pen.left) - 5, round(pen.right) + 5, 12):
        pen.oval(scallop, 12, 6, 6, mix(colour, DARK, 0.2), 0, 180)
    if mood:
        pen.shape([(44, 12), (56, 12), (82, 84), (18, 84)], "#fff6c9" if mood > 0 else "#b9bfd0")
        pen.random.choice(CREATURES)(pen.moved(50, 58, 1.5), mood)
        for _ in range(7):
            x, y = pen.random.uniform(8, 92), pen.random.uniform(82, 95)
            if mood > 0:
                pen.star(x, y, 4, pen.random.choice(BRIGHTS), points=6, inner=0.55)
            else:
                pen.star(x, y, 4.5, "#b3261e", points=9, inner=0.7)
    else:
        pen.box(38, 50, 24, 4, "#7d6a5c", 1)
        for leg in (40, 57):
            pen.box(leg, 54, 3, 28, "#7d6a5c")
