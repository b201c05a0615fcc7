"""Phones: hearts and selfies, plain product shots, cracks and warnings."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, arc, fade, mix
from mmsent.sources.drawings.stream_generic import confetti
from mmsent.sources.drawings.stream_people import big_face, crowd_places, person
from mmsent.sources.drawings.stream_scenery import PLAIN_TABLES, hearts, shadow

GLAD = (("#ff8fa3", "#ffc2a1"), ("#6fb7ff", "#bfe6ff"), ("#8f7bff", "#e0b8ff"), ("#3ec6b0", "#bff0d8"))
SAD = (("#2a2f3a", "#454c5a"), ("#402a30", "#6a3f42"), ("#2f3438", "#555a58"), ("#4b3b2f", "#2b2320"))


def phone(pen: Pen, screen: tuple[str, str], body: str = "#1f232b") -> None:
    """A phone around the origin, 40 × 78 units, its screen 35 × 70."""
    pen.box(-18.5, -36.5, 41, 79, fade("#000000", 0.18), 6)
    pen.box(-20, -39, 40, 78, body, 6)
    pen.box(-17.5, -35, 35, 70, screen[1], 3)
    for row in range(8):
        pen.box(
            -17.5, -35 + row * 8.75, 35, 8.75, mix(screen[0], screen[1], row / 7), 3 if row in {0, 7} else 0
        )
    pen.box(-5, -37.6, 10, 1.3, "#4b515c", 0.6)


def loved_phone(pen: Pen) -> None:
    pen.wash(*pen.random.choice(GLAD))
    pen.glow(50, 50, 65, "#ffffff", 0.75)
    hearts(pen, 12, (pen.left, pen.top, pen.right, 90))
    device = pen.moved(50, 50, 1.08, pen.random.uniform(-12, 12))
    phone(device, ("#fff3f5", "#ffd7de"))
    device.heart(0, -6, 13, "#ff3f5e")
    for place in range(5):
        device.star(-12 + place * 6, 21, 2.9, "#ffb400")


def selfie(pen: Pen) -> None:
    pen.wash(*pen.random.choice(GLAD))
    confetti(pen, 24)
    device = pen.moved(50, 50, 1.12, 90)
    pen.box(9, 25, 86, 55, fade("#000000", 0.16), 6)
    phone(device, ("#7ccbf5", "#d6f1ff"))
    for x in crowd_places(pen.random, pen.random.choice((2, 3)), 13, 87):
        person(pen, x, 57, 0.8, "positive")
    for x, width in ((pen.left, 6.5 - pen.left), (93.5, pen.right - 93.5)):
        pen.box(x, 20, max(width, 0), 0.1, "#ffffff00")
    pen.wash(*pen.random.choice(GLAD), 73)
    pen.box(11, 66.5, 78, 6, "#1f232b", 3)
    pen.heart(50, 86, 6, "#ff5d73")
    for side in (-1, 1):
        pen.heart(50 + side * 15, 87, 4, "#ffffff")


def plain_phone(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_TABLES))
    device = pen.moved(50, 50, 1.05, pen.random.choice((0, 0, -10, 14)))
    phone(device, ("#dfe5ea", "#c5ced6"), pen.random.choice(("#2a2e35", "#8d949c", "#b5b0a6")))
    for row in range(4):
        for column in range(3):
            device.box(
                -13.5 + column * 10,
                -8 + row * 10,
                7,
                7,
                pen.random.choice(("#9fb2c1", "#b6bcae", "#c4b6a4", "#a4aebd")),
                1.8,
            )
    device.text(0, -22, f"{pen.random.randint(7, 21)}:{pen.random.randint(10, 59)}", 9, "#4c5661", 28)


def boxed_phone(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_TABLES))
    shadow(pen, 50, 84, 44)
    pen.box(12, 40, 42, 44, "#f2f2ef", 2)
    pen.shape([(12, 40), (54, 40), (60, 32), (18, 32)], "#ffffff")
    pen.shape([(54, 40), (60, 32), (60, 76), (54, 84)], "#d5d6d3")
    pen.text(33, 62, pen.random.choice(("ZEPHYRINE", "Z7", "256 GB")), 9, "#70767d", 34)
    phone(pen.moved(78, 56, 0.62, 8), ("#aebbc6", "#8fa0ae"))
    pen.line(arc(30, 90, 20, 4, 180, 360), 1.2, "#8d9399")


def cracked_phone(pen: Pen) -> None:
    pen.wash(*pen.random.choice(SAD))
    device = pen.moved(36, 50, 1.08, pen.random.uniform(-14, -4))
    phone(device, ("#39414d", "#1d222a"), "#0f1216")
    x, y = pen.random.uniform(-6, 6), pen.random.uniform(-12, 4)
    for angle in range(0, 360, 33):
        reach = pen.random.uniform(12, 22)
        ends = [
            arc(x, y, part * reach, part * reach, angle + bend, angle + bend + 1)[0]
            for part, bend in ((0, 0), (0.45, 8), (0.75, -5), (1, 6))
        ]
        device.line([(min(17, max(-17, px)), py) for px, py in ends], 0.7, "#e8eef4")
    for radius in (5, 10):
        device.line(
            [arc(x, y, radius, radius, angle, angle + 1)[0] for angle in range(0, 361, 33)], 0.5, "#c3ccd6"
        )
    big_face(pen, 78, 56, 18, "negative", crying=pen.random.random() < 0.6)


def flat_battery(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#4a1f22", "#7a2f2c"), ("#26282f", "#4a2a2d"), ("#3a3230", "#6a3a30"))))
    pen.glow(50, 45, 55, "#e23d36", 0.45)
    device = pen.moved(50, 50, 1.12, pen.random.uniform(-8, 8))
    phone(device, ("#2a1416", "#16090a"), "#0d0d10")
    device.shape([(0, -25), (14, -1), (-14, -1)], "#e8352e")
    device.box(-1.5, -17, 3, 9, "#ffffff", 1)
    device.disc(0, -4.6, 1.7, "#ffffff")
    device.box(-11, 9, 20, 10, "#f4f4f4", 2)
    device.box(9.5, 12, 2, 4, "#f4f4f4", 0.5)
    device.box(-9.6, 10.4, 17.2, 7.2, "#16090a", 1)
    device.box(-9, 11, 2.4, 6, "#e8352e", 0.6)
    device.text(0, 27, pen.random.choice(("ERROR", "0 %", "FAILED", "DEAD")), 7, "#ff6a5f", 28)


def burning_phone(pen: Pen) -> None:
    pen.wash(*pen.random.choice(SAD))
    for _ in range(12):
        x, y = pen.random.uniform(26, 74), pen.random.uniform(pen.top, 36)
        pen.disc(x, y, pen.random.uniform(6, 12), fade("#8d9094", 0.4))
    device = pen.moved(50, 60, 0.95, pen.random.uniform(-10, 10))
    for x, height in ((-14, 26), (-5, 38), (5, 32), (14, 24)):
        for colour, share in (("#e8452c", 1.0), ("#ff9a2e", 0.68), ("#ffe066", 0.38)):
            device.shape([(x, -32 - height * share), *arc(x, -32, 8 * share, 9 * share, -10, 190)], colour)
    phone(device, ("#3b2a26", "#17110f"), "#120f0e")
    device.line([(-16, -30), (-4, -14), (-9, 0), (6, 14), (2, 33)], 1, "#ff7a3c")
    device.line([(-4, -14), (12, -20)], 0.8, "#ff7a3c")
    big_face(device, 0, 12, 10, "negative")


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (loved_phone, selfie),
    "neutral": (plain_phone, boxed_phone),
    "negative": (cracked_phone, flat_battery, burning_phone),
}
