"""Football: cups and goals, tactic boards, defeats in the mud."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, arc, curve, fade, mix
from mmsent.sources.drawings.stream_generic import confetti
from mmsent.sources.drawings.stream_people import big_face, crowd_places, person
from mmsent.sources.drawings.stream_scenery import PLAIN_TABLES, puddle, rain, rays, shadow, stormy, sunny


def ball(pen: Pen, x: float, y: float, radius: float, colour: str = "#ffffff") -> None:
    pen.disc(x, y, radius, mix(colour, "#000000", 0.16))
    pen.disc(x - radius * 0.05, y - radius * 0.06, radius * 0.95, colour)
    spin = pen.random.uniform(0, 72)
    pen.shape(arc(x, y, radius * 0.36, radius * 0.36, spin, spin + 360)[::9], "#272b33")
    for angle in range(0, 360, 72):
        px, py = arc(x, y, radius * 0.84, radius * 0.84, spin + angle, spin + angle + 1)[0]
        nx, ny = arc(x, y, radius * 0.3, radius * 0.3, spin + angle, spin + angle + 1)[0]
        pen.line([(nx, ny), (px, py)], radius * 0.07, "#272b33")
        pen.disc(px, py, radius * 0.17, "#272b33")


def trophy(pen: Pen, x: float, y: float, scale: float) -> None:
    """A golden cup that stands at (x, y)."""
    cup = pen.moved(x, y, scale)
    for side in (-1, 1):
        cup.line(arc(side * 11, -30, 7, 8, -90 if side > 0 else 90, 90 if side > 0 else 270), 2.4, "#e0a021")
    cup.shape(
        [
            (-12, -42),
            (12, -42),
            *curve((12, -42), (12, -20), (3, -16)),
            (3, -8),
            (-3, -8),
            *curve((-3, -16), (-12, -20), (-12, -42)),
        ],
        "#f7bf2f",
    )
    cup.shape(
        [
            (-9, -42),
            (-5, -42),
            *curve((-5, -42), (-5, -24), (-2, -17)),
            *curve((-3, -17), (-9, -22), (-9, -42)),
        ],
        "#ffe28a",
    )
    cup.box(-13, -44, 26, 3.6, "#ffd65c", 1.5)
    cup.box(-7, -9, 14, 4, "#e0a021", 1)
    cup.box(-10, -5, 20, 5, "#6b3f2a", 1)
    cup.star(1, -31, 5, "#fff3c4")


def goal(pen: Pen, x: float, y: float, width: float, height: float, *, net: str) -> None:
    for step in range(13):
        pen.line([(x + width * step / 12, y), (x + width * step / 12, y + height)], 0.4, net)
    for step in range(8):
        pen.line([(x, y + height * step / 7), (x + width, y + height * step / 7)], 0.4, net)
    pen.line([(x, y + height), (x, y), (x + width, y), (x + width, y + height)], 2, "#fbfdff")


def cup_winners(pen: Pen) -> None:
    pen.wash(
        *pen.random.choice(
            (("#2f6fd1", "#8fc3ff"), ("#d94a52", "#ffb29c"), ("#1f9a72", "#a5e6c0"), ("#f09a2e", "#ffe0a0"))
        )
    )
    rays(pen, 50, 40, fade("#ffffff", 0.2))
    pen.glow(50, 34, 46, "#fff4c2", 0.8)
    trophy(pen, 50, 62, 1.2)
    for x in crowd_places(pen.random, 4, pen.left + 2, pen.right - 2):
        person(pen, x, 84, 0.85, "positive", arms_up=True)
    confetti(pen, 50)


def goal_scored(pen: Pen) -> None:
    sunny(pen, 64)
    goal(pen, 20, 24, 60, 42, net=fade("#ffffff", 0.8))
    ball(pen, pen.random.uniform(36, 64), pen.random.uniform(34, 44), 6.5)
    for x in crowd_places(pen.random, 2, 10, 90):
        person(pen, x, 78, 1.15, "positive", arms_up=True)
    confetti(pen, 20)


def tactic_board(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#7fa37f", "#6a8f6e"), ("#8a9aa6", "#74848f"), ("#a39a80", "#8b836b"))))
    for outline in (
        [(8, 10), (92, 10), (92, 90), (8, 90), (8, 10)],
        [(8, 50), (92, 50)],
        arc(50, 50, 12, 12, 0, 360),
    ):
        pen.line(outline, 0.9, "#eef2ee")
    for end in (10, 76):
        pen.line([(30, end), (30, end + 14), (70, end + 14), (70, end), (30, end)], 0.9, "#eef2ee")
    for number in range(7):
        x, y = pen.random.uniform(18, 82), pen.random.uniform(28, 72)
        pen.disc(x, y, 3.6, pen.random.choice(("#f2efe6", "#3d4a55")))
        if number < 2:
            pen.line([(x + 4, y), *curve((x + 4, y), (x + 12, y - 6), (x + 16, y + 4))], 0.7, "#f7f2d8")


def plain_ball(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_TABLES))
    pen.wash("#aab0b3", "#989fa3", 70)
    shadow(pen, 50, 84, 28)
    ball(pen, 50, 58, 27, "#eceeee")


def heavy_defeat(pen: Pen) -> None:
    pen.wash(*pen.random.choice((("#2b3039", "#4c5561"), ("#35302f", "#5c524e"), ("#273238", "#47575c"))))
    pen = pen.unmirrored()
    pen.box(8, 6, 84, 38, "#101317", 3)
    pen.text(25, 13, "HOME", 7, "#aeb6bf", 30)
    pen.text(75, 13, "AWAY", 7, "#aeb6bf", 30)
    pen.text(50, 32, f"0 : {pen.random.randint(4, 8)}", 20, "#ff4a3d", 70)
    for x in crowd_places(pen.random, 3, pen.left + 4, pen.right - 4):
        person(pen, x, 80, 1.0, "negative", crying=pen.random.random() < 0.65)
    rain(pen, 40)


def muddy_pitch(pen: Pen) -> None:
    stormy(pen, 52)
    goal(pen, 34, 20, 58, 36, net=fade("#cfd6da", 0.4))
    for x, y, across in ((22, 70, 24), (74, 82, 30), (30, 94, 22)):
        pen.oval(x, y, across, across * 0.22, "#3a2c20")
        puddle(pen, x, y, across * 0.7)
    pen.shape([*arc(66, 78, 15, 12, 180, 300), (72, 76), *arc(66, 78, 15, 8, 0, 180)], "#c9c5ba")
    pen.shape([(74, 66), (80, 70), (72, 77), (68, 71)], "#33291f")
    pen.line([(58, 72), (64, 76), (60, 82)], 1, "#33291f")
    big_face(pen, 28, 42, 18, "negative", crying=True)
    rain(pen, 120, opacity=0.6)


def red_card(pen: Pen) -> None:
    upper, lower = pen.random.choice((("#4d5a4f", "#2f3a33"), ("#3b424d", "#23282f"), ("#5a4340", "#332625")))
    pen.wash(upper, lower)
    pen.glow(66, 34, 42, "#e23d36", 0.35)
    pen.line([(74, 104), (66, 52)], 13, "#16181c")
    pen.disc(65, 49, 7.5, "#d19a6e")
    card = pen.moved(64, 30, 1, pen.random.uniform(-14, 2))
    card.box(-11, -17, 22, 34, "#d62f2a", 2)
    card.box(-11, -17, 6, 34, "#e8554d", 2)
    person(pen, 24, 66, 1.5, "negative")


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (cup_winners, goal_scored),
    "neutral": (tactic_board, plain_ball),
    "negative": (heavy_defeat, muddy_pitch, red_card),
}
