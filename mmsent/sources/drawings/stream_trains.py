"""Trains: sunny rides, timetables, cancelled boards, wet platforms."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, mix
from mmsent.sources.drawings.stream_people import crowd_places, head, person
from mmsent.sources.drawings.stream_scenery import OVERCAST, clouds, flower, puddle, rain, stormy, sunny

BODIES = ("#e5484d", "#2f7fd1", "#2f9e75", "#f2a33a", "#7b61c4")
TOWNS = ("OAKLEY", "NORTH BAY", "ELM PARK", "RIVERTON", "HIGHFIELD", "ASHBY")


def train(pen: Pen, y: float, colour: str, glass: str) -> None:
    """A train whose wheels stand on `y`, with its nose at the right, longer than the picture is wide."""
    long = pen.right - 8 - pen.left + 30
    left = pen.left - 30
    pen.box(left, y - 35, long - 6, 30, colour)
    pen.shape(
        [
            (left + long - 8, y - 35),
            (left + long + 2, y - 26),
            (left + long + 6, y - 10),
            (left + long + 4, y - 5),
            (left + long - 8, y - 5),
        ],
        colour,
    )
    pen.box(left, y - 13, long + 8, 3, mix(colour, "#ffffff", 0.75))
    pen.shape(
        [
            (left + long - 6, y - 31),
            (left + long + 0.5, y - 24),
            (left + long + 1.5, y - 19),
            (left + long - 6, y - 19),
        ],
        glass,
    )
    x = left + long - 26
    while x > left:
        pen.box(x, y - 31, 13, 12, glass, 2)
        x -= 17
    x = left + 8
    while x < left + long:
        pen.disc(x, y - 3.5, 3.6, "#2c3036")
        pen.disc(x, y - 3.5, 1.5, "#8b9198")
        x += 11
    pen.disc(left + long + 3, y - 9, 1.8, "#fff3b8")


def rails(pen: Pen, y: float, ballast: str) -> None:
    pen.box(pen.left, y, pen.right - pen.left, 7, ballast)
    x = pen.left
    while x < pen.right:
        pen.box(x, y + 1.5, 4, 3, "#6b5646")
        x += 8
    pen.box(pen.left, y, pen.right - pen.left, 1.3, "#767c84")


def sunny_ride(pen: Pen) -> None:
    sunny(pen, 58)
    rails(pen, 80, "#b9a88f")
    train(pen, 80, pen.random.choice(BODIES), "#d8f1ff")
    for place in range(4):
        head(pen.moved(pen.right - 27.5 - place * 17, 55.4, 0.5), "positive")
    for _ in range(14):
        flower(
            pen,
            pen.random.uniform(pen.left, pen.right),
            pen.random.uniform(90, pen.bottom + 2),
            0.7,
            pen.random.choice(("#ffffff", "#ff8fa8", "#ffe066")),
        )


def _board(pen: Pen, ink: str, status: tuple[str, str], *, tick: bool) -> None:
    """A departure board with four rows; `status` is its words and colour."""
    pen.line([(30, pen.top), (30, 12)], 1.4, "#5b636d")
    pen.line([(70, pen.top), (70, 12)], 1.4, "#5b636d")
    pen.box(3, 7, 94, 47, "#15191f", 3)
    for row in range(4):
        y = 14.5 + row * 10.6
        pen.box(6, y - 4.4, 88, 9, "#1f252d", 1)
        pen.text(15, y, f"{pen.random.randint(6, 22)}:{pen.random.randint(10, 59)}", 6, ink, 14)
        pen.text(40, y, pen.random.choice(TOWNS), 6, ink, 30)
        pen.text(76, y, status[0], 6.4, status[1], 24 if tick else 32)
        if tick:
            pen.line([(89.4, y), (91, y + 1.8), (93.4, y - 2.2)], 1.1, status[1])


def on_time_board(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#ffd79a", "#fff0d3"), ("#a9dcf2", "#e9f8fd"), ("#b8e6c9", "#effaee"))))
    pen = pen.unmirrored()
    _board(pen, "#f5f7fa", (pen.random.choice(("ON TIME", "EARLY")), "#5fe08a"), tick=True)
    for x in crowd_places(pen.random, 3, pen.left + 4, pen.right - 4):
        person(pen, x, 82, 1.0, "positive", arms_up=pen.random.random() < 0.35)


def line_map(pen: Pen) -> None:
    pen.wash("#f3f3ef", pen.random.choice(("#e3e5e6", "#e9e4da", "#e0e6e2")))
    colours = pen.random.sample(("#5d87a8", "#a8835d", "#7f9a6a", "#8c7aa6"), 3)
    towns = iter(pen.random.sample(TOWNS * 2, 12))
    bend = pen.random.choice((-12, 12))
    for colour, middle in zip(colours, (20, 47, 74), strict=True):
        y = middle + pen.random.uniform(-2, 2)
        path = [(pen.left + 13, y - bend), (36, y - bend), (64, y), (pen.right - 13, y)]
        pen.line(path, 2.4, colour)
        for x, stop in path:
            pen.disc(x, stop, 3, colour)
            pen.disc(x, stop, 1.7, "#ffffff")
            pen.text(x, stop + 7, next(towns), 4.4, "#6a7077", 20)


def timetable(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#cfd5da", "#b9c1c8"), ("#d6d0c4", "#c2baac"))))
    pen = pen.unmirrored()
    pen.box(12, 6, 76, 88, "#fcfcfa", 2)
    pen.box(12, 6, 76, 12, pen.random.choice(("#4f6f8f", "#6b6f76", "#5f7a6c")), 2)
    pen.text(50, 12.4, pen.random.choice(("TIMETABLE", "DEPARTURES", "PLATFORM 2")), 7, "#ffffff", 66)
    for row in range(9):
        y = 24 + row * 7.4
        if row % 2:
            pen.box(14, y - 3.4, 72, 6.8, "#eef0f2")
        pen.text(24, y, f"{6 + row}:{pen.random.randint(10, 59)}", 4.6, "#4b5259", 18)
        pen.text(54, y, pen.random.choice(TOWNS), 4.6, "#737a82", 30)
        pen.text(80, y, str(pen.random.randint(1, 9)), 4.6, "#4b5259", 8)


def standing_train(pen: Pen) -> None:
    pen.wash(*pen.random.choice(OVERCAST))
    clouds(pen, 4, "#d3d9de", 28)
    pen.box(pen.left, 46, pen.right - pen.left, 14, "#9ba39f")
    train(pen, 76, pen.random.choice(("#7d8a96", "#8f8d80", "#6f8791")), "#cfd8de")
    rails(pen, 76, "#a5a29b")
    pen.wash("#c6c8ca", "#aeb1b4", 83)
    pen.box(pen.left, 85, pen.right - pen.left, 1.6, "#e9d98a")


def cancelled_board(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#3c3136", "#5b4a4d"), ("#2c333d", "#4a5562"))))
    pen = pen.unmirrored()
    _board(
        pen, "#c9cfd6", (pen.random.choice(("CANCELLED", "CANCELLED", "DELAYED 2H")), "#ff4338"), tick=False
    )
    for x in crowd_places(pen.random, 3, pen.left + 4, pen.right - 4):
        person(pen, x, 82, 1.0, "negative", crying=pen.random.random() < 0.35)


def night_platform(pen: Pen) -> None:
    stormy(pen, 62)
    pen.wash("#3a424b", "#262c33", 74)
    pen.box(pen.left, 73, pen.right - pen.left, 2, "#b39b3a")
    pen.line([(20, 80), (20, 22), (30, 22)], 1.6, "#15191d")
    pen.glow(32, 26, 30, "#ffdf9a", 0.55)
    pen.oval(31, 24, 4, 2, "#ffeeb8")
    pen.box(48, 14, 44, 15, "#c62f2a", 2)
    pen.text(70, 21.7, pen.random.choice(("NO TRAINS", "DELAYED", "NO SERVICE")), 8, "#ffffff", 38)
    person(pen, pen.random.uniform(56, 66), 70, 1.35, "negative", crying=True)
    puddle(pen, 24, 92, 20)
    rain(pen, 120, opacity=0.6)


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (sunny_ride, on_time_board),
    "neutral": (line_map, timetable, standing_train),
    "negative": (cancelled_board, night_platform),
}
