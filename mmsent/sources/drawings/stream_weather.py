"""Weather: beaches, rainbows, forecasts, floods and broken umbrellas."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, arc, fade, mix
from mmsent.sources.drawings.stream_people import crowd_places, person
from mmsent.sources.drawings.stream_scenery import (
    DAYS,
    GREENS,
    OVERCAST,
    cloud,
    clouds,
    flower,
    lightning,
    rain,
    stormy,
    sun,
    sunny,
    tree,
)

RAINBOW = ("#f2545b", "#f79a4b", "#ffd84d", "#67c26a", "#4aa3e0", "#8d6bd0")


def houses(pen: Pen, foot: float, tones: tuple[str, ...], windows: str) -> None:
    """A row of house fronts that stand on `foot`."""
    x = pen.left - pen.random.uniform(0, 8)
    while x < pen.right:
        width, height = pen.random.uniform(16, 24), pen.random.uniform(26, 44)
        wall = pen.random.choice(tones)
        pen.box(x, foot - height, width, height, wall)
        pen.shape(
            [(x - 1, foot - height), (x + width / 2, foot - height - 8), (x + width + 1, foot - height)],
            mix(wall, "#2a2a30", 0.3),
        )
        for row in range(int(height // 12)):
            for column in (0.2, 0.6):
                pen.box(x + width * column, foot - height + 4 + row * 11, 4, 6, windows, 0.6)
        x += width


def sunny_beach(pen: Pen) -> None:
    pen.wash(*pen.random.choice(DAYS))
    sun(pen, 26, max(18, pen.top + 18), 10)
    clouds(pen, 2, "#f6fbff", 24, 58)
    pen.wash("#3fb6d8", "#8fe0e2", 52, 74)
    for _ in range(9):
        x, y = pen.random.uniform(pen.left, pen.right), pen.random.uniform(55, 71)
        pen.line([(x, y), (x + pen.random.uniform(4, 10), y)], 0.7, "#d9f6f4")
    pen.wash("#fbe3a7", "#f0c779", 74)
    pen.line([(72, 92), (66, 46)], 1.6, "#f7f4ea")
    shade = pen.random.choice(("#ef5f5f", "#3d8fd1", "#f29a38"))
    for part in range(6):
        pen.shape(
            [(66, 46), *arc(66, 50, 23, 15, 180 + part * 30, 210 + part * 30)],
            shade if part % 2 else "#fff6e8",
        )
    for x in crowd_places(pen.random, 2, 14, 58):
        person(pen, x, 80, 0.85, "positive", arms_up=pen.random.random() < 0.6)


def rainbow_hills(pen: Pen) -> None:
    sunny(pen, 62)
    for place, colour in enumerate(RAINBOW):
        pen.line(arc(58, 64, 44 - place * 3, 44 - place * 3, 180, 360), 3.2, fade(colour, 0.85))
    upper, lower = pen.random.choice(GREENS)
    pen.wash(upper, lower, 63)
    tree(pen, 14, 70, 1.2, "#57a559")
    for _ in range(20):
        petals = pen.random.choice(("#ffffff", "#ff8fa8", "#ffe066", "#b79be8"))
        flower(
            pen,
            pen.random.uniform(pen.left, pen.right),
            pen.random.uniform(76, pen.bottom),
            pen.random.uniform(0.6, 1),
            petals,
        )
    person(pen, 44, 82, 0.9, "positive", arms_up=True)


def overcast_street(pen: Pen) -> None:
    pen.wash(*pen.random.choice(OVERCAST))
    clouds(pen, 5, "#ccd3d9", 26)
    houses(pen, 76, ("#b9aea3", "#a7afb5", "#c3b9a6", "#9fa8a3"), "#dfe4e8")
    pen.wash("#9a9fa5", "#83888e", 76)
    pen.wash("#6f747a", "#5f646a", 84)
    x = pen.left + pen.random.uniform(0, 10)
    while x < pen.right:
        pen.box(x, 91, 9, 1.4, "#d8dadc")
        x += 19


def forecast_card(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#9db1c4", "#c3d0dc"), ("#b3b9a9", "#d3d7cb"), ("#b2abc0", "#d5d0dd"))))
    pen = pen.unmirrored()
    pen.box(7, 16, 86, 68, "#fbfcfd", 6)
    cloud(pen, 30, 36, 0.95, "#b9c4cf")
    pen.text(68, 35, f"{pen.random.randint(9, 17)}°", 20, "#56616d", 34)
    for place, day in enumerate(("MON", "TUE", "WED", "THU")):
        x = 19 + place * 20.6
        pen.text(x, 56, day, 5, "#8a949e", 14)
        cloud(pen, x, 66, 0.38, pen.random.choice(("#c3ccd5", "#aeb9c4")))
        pen.text(x, 76, f"{pen.random.randint(8, 18)}°", 6, "#5d6873", 14)


def flooded_street(pen: Pen) -> None:
    stormy(pen, 60)
    houses(pen, 70, ("#4d535b", "#5a5450", "#454d55"), "#2b3138")
    lightning(pen, pen.random.uniform(16, 34), max(pen.top, 0), 1.3)
    pen.wash("#56707f", "#2f434f", 66)
    for _ in range(14):
        x, y = pen.random.uniform(pen.left, pen.right), pen.random.uniform(70, pen.bottom)
        pen.line([(x, y), (x + pen.random.uniform(6, 14), y)], 0.8, "#8ba6b5")
    car = pen.moved(66, 80, 1, pen.random.uniform(4, 12))
    car.box(-18, -9, 38, 14, "#8c3b38", 4)
    car.shape([(-10, -9), (-5, -18), (9, -18), (14, -9)], "#6b2f2d")
    car.box(-6, -16, 14, 6, "#a9c0cc", 1)
    pen.box(44, 83, 46, 12, "#3d5563", 3)
    person(pen, 22, 78, 0.85, "negative", crying=True)
    pen.wash("#3b525f", "#2b3d48", 90)
    rain(pen, 120, opacity=0.6)


def broken_umbrella(pen: Pen) -> None:
    stormy(pen, 70)
    pen.line([(60, 74), (68, 24)], 1.6, "#1c2025")
    shade = pen.random.choice(("#7d2f3a", "#3a5170", "#6a5a2f"))
    for start, colour in ((0, shade), (60, mix(shade, "#000000", 0.25)), (120, shade)):
        pen.shape([(68, 24), *arc(70, 22, 24, 15, start, start + 60)], colour)
    for angle in (0, 60, 120, 180):
        pen.line([(68, 24), arc(70, 22, 27, 18, angle, angle + 1)[0]], 0.8, "#15181c")
    person(pen, 44, 72, 1.5, "negative", crying=True)
    rain(pen, 130, opacity=0.65)
    if pen.random.random() < 0.6:
        lightning(pen, 14, max(pen.top, 2), 1.1)


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (sunny_beach, rainbow_hills),
    "neutral": (overcast_street, forecast_card),
    "negative": (flooded_street, broken_umbrella),
}
