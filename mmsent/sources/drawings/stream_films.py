"""Films: laughing rows, popcorn and stars, tickets, empty seats, dead screens."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, fade, mix
from mmsent.sources.drawings.stream_people import big_face, crowd_places, person
from mmsent.sources.drawings.stream_scenery import PLAIN_TABLES, cross, rays, shadow


def curtains(pen: Pen, colour: str) -> None:
    for side in (-1, 1):
        edge = pen.left if side < 0 else pen.right
        for fold in range(3):
            x = edge - side * (fold * 4.5 + 4.5)
            pen.box(
                min(edge, x),
                pen.top,
                abs(x - edge),
                pen.bottom - pen.top,
                mix(colour, "#000000", 0.3 - fold % 2 * 0.3 + fold * 0.02),
            )
            edge = x


def seats(pen: Pen, y: float, colour: str) -> None:
    """One row of seat backs with their upper edge at `y`."""
    pen.box(pen.left, y + 4, pen.right - pen.left, 60, mix(colour, "#000000", 0.35))
    x = pen.left - pen.random.uniform(0, 8)
    while x < pen.right:
        pen.box(x, y, 15, 40, colour, 5)
        pen.box(x + 1.6, y + 1.6, 11.8, 6, mix(colour, "#ffffff", 0.12), 3)
        x += 16.6


def popcorn(pen: Pen, x: float, y: float, scale: float) -> None:
    """A striped box of popcorn that stands at (x, y)."""
    box = pen.moved(x, y, scale)
    for _ in range(26):
        px, py = box.random.uniform(-15, 15), box.random.uniform(-43, -32)
        box.disc(px, py, box.random.uniform(2.6, 4), box.random.choice(("#fff3c9", "#ffe49a", "#fffaf0")))
    for stripe in range(6):
        upper, lower = -16 + stripe * 5.34, -12 + stripe * 4
        colour = "#e23d3d" if stripe % 2 else "#fffaf2"
        box.shape([(upper, -33), (upper + 5.34, -33), (lower + 4, 0), (lower, 0)], colour)


def laughing_rows(pen: Pen) -> None:
    pen.wash("#3a2a5e", "#5e3f7d")
    pen.glow(50, pen.top, 90, "#ffe7a8", 0.75)
    for row, scale in ((42, 0.7), (68, 0.9)):
        for x in crowd_places(pen.random, 4 if row == 42 else 3, pen.left + 2, pen.right - 2):
            person(pen, x, row, scale, "positive", arms_up=pen.random.random() < 0.2)
        seats(pen, row + 4, "#b3324a")
    popcorn(pen, pen.random.choice((24, 76)), 98, 0.65)


def popcorn_stars(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#ffcf5a", "#ffe9ad"), ("#ff9d8a", "#ffd9c0"), ("#7fc4f0", "#d4eefc"))))
    rays(pen, 50, 50, fade("#ffffff", 0.3))
    curtains(pen, pen.random.choice(("#d8344a", "#8e3fae", "#d4563a")))
    shadow(pen, 50, 92, 26, 0.25)
    popcorn(pen, 50, 92, 1.35)
    for place in range(5):
        pen.star(22 + place * 14, 20 - (2 - abs(place - 2)) * 3.4, 6.4, "#f29d00")
        pen.star(22 + place * 14, 20 - (2 - abs(place - 2)) * 3.4, 5, "#ffc93d")


def clapperboard(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_TABLES))
    pen = pen.unmirrored()
    shadow(pen, 50, 86, 42)
    pen.box(14, 38, 72, 46, "#33373d", 2)
    for top, turn in ((30, 0), (27, pen.random.uniform(-16, -6))):
        bar = pen.moved(14, top + 6, 1, turn)
        bar.box(0, -4, 72, 8, "#eceded", 1)
        for stripe in range(5):
            bar.shape(
                [(4 + stripe * 15, -4), (11 + stripe * 15, -4), (8 + stripe * 15, 4), (1 + stripe * 15, 4)],
                "#33373d",
            )
    for row, words in enumerate(("SCENE", "TAKE", "DATE")):
        pen.text(29, 50 + row * 12, words, 6, "#c5c9ce", 22)
        pen.text(64, 50 + row * 12, str(pen.random.randint(1, 28)), 7, "#eceded", 22)
        pen.line([(18, 56 + row * 12), (82, 56 + row * 12)], 0.4, "#6d737b")


def empty_cinema(pen: Pen) -> None:
    pen.wash("#8f98a3", "#6f7883")
    pen.box(14, 12, 72, 36, "#e4e8ec", 1)
    pen.box(16, 14, 68, 32, "#f2f4f6", 1)
    for row in range(3):
        seats(pen, 58 + row * 14, pen.random.choice(("#5f6b78", "#6b6a72", "#667468")))


def ticket(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_TABLES))
    slip = pen.unmirrored().moved(50, 50)
    slip.box(-39, -19, 80, 42, fade("#000000", 0.12), 3)
    slip.box(-41, -22, 80, 42, pen.random.choice(("#e9dcb8", "#cbd8df", "#d7d9c6")), 3)
    for notch in range(9):
        slip.disc(18, -20 + notch * 4.8, 0.9, "#9a9a94")
    for side in (-1, 1):
        slip.disc(-1 + side * 40, -1, 4, "#c6cacd")
    slip.text(-12, -10, pen.random.choice(("CINEMA 4", "ADMIT ONE", "SCREEN 2")), 9, "#575c63", 50)
    slip.text(
        -12, 2, f"ROW {pen.random.choice('ABCDEFG')}  SEAT {pen.random.randint(1, 24)}", 5.6, "#71767d", 50
    )
    slip.text(
        -12, 11, f"{pen.random.randint(14, 22)}:{pen.random.choice(('00', '15', '30'))}", 5.6, "#71767d", 50
    )


def bored_rows(pen: Pen) -> None:
    pen.wash("#1f2630", "#39424f")
    pen.glow(50, pen.top, 70, "#6f8fa8", 0.4)
    for row, scale in ((42, 0.75), (70, 0.95)):
        for x in crowd_places(pen.random, 3, pen.left + 2, pen.right - 2):
            person(pen, x, row, scale, "negative", crying=pen.random.random() < 0.25)
        seats(pen, row + 4, "#3d2d38")


def dead_screen(pen: Pen) -> None:
    pen.wash("#17191e", "#2b2d34")
    pen.box(6, 8, 88, 54, "#05070a", 2)
    for place, colour in enumerate(
        ("#8a8f95", "#8f8b3a", "#3a8a8f", "#3f8a45", "#8a3a86", "#8f3a35", "#34398c")
    ):
        pen.box(9 + place * 11.7, 11, 11.8, 22, colour)
    pen.text(50, 46, pen.random.choice(("NO SIGNAL", "SHOW CANCELLED", "ERROR")), 13, "#ff4a3d", 78)
    big_face(pen, 50, 78, 15, "negative", crying=pen.random.random() < 0.5)
    seats(pen, 92, "#2d2028")


def spilled_popcorn(pen: Pen) -> None:
    pen = pen.unmirrored()
    pen.wash(*pen.random.choice((("#432a33", "#241820"), ("#2f333d", "#1a1d24"), ("#463a30", "#282019"))))
    popcorn(pen.moved(34, 76, 1.25, 88), 0, 22, 1)
    for _ in range(34):
        pen.disc(
            pen.random.uniform(44, 98),
            pen.random.uniform(70, 97),
            pen.random.uniform(1.6, 3),
            pen.random.choice(("#b8a673", "#9c8c62", "#c9b98a")),
        )
    for place in range(5):
        pen.star(18 + place * 11.4, 20, 5.2, "#e23d36" if place == 0 else "#4b4650")
    cross(pen, 84, 22, 7)
    big_face(pen, 76, 52, 13, "negative")


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (laughing_rows, popcorn_stars),
    "neutral": (clapperboard, empty_cinema, ticket),
    "negative": (bored_rows, dead_screen, spilled_popcorn),
}
