"""Drawings that suit any subject: a big face, a meme of two panels, a review card."""

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Drawing, Pen, fade, mix
from mmsent.sources.drawings.stream_people import big_face
from mmsent.sources.drawings.stream_scenery import rain

HAPPY_GROUNDS = (
    ("#ff9a8b", "#ffd59e"),
    ("#58c7c1", "#c9f2dc"),
    ("#7ec4ff", "#e4f4ff"),
    ("#ffb347", "#ffe8a8"),
)
PLAIN_GROUNDS = (
    ("#d8dce2", "#eef0f3"),
    ("#cfd8d3", "#e9eee9"),
    ("#dcd5cb", "#f3eee6"),
    ("#c9d2de", "#e6ebf2"),
)
SAD_GROUNDS = (("#39424f", "#5d6875"), ("#4a3f4f", "#75606b"), ("#2e3b4a", "#4f6478"), ("#51525a", "#7b6a66"))
GOOD_CAPTIONS = ("BEST DAY EVER", "10 OUT OF 10", "SO HAPPY", "YES!! LOVE IT", "WORTH IT")
BAD_CAPTIONS = ("WORST DAY EVER", "NEVER AGAIN", "I WANT A REFUND", "TOTAL FAIL", "I GIVE UP")
PLAIN_CAPTIONS = ("IT IS TUESDAY", "UPDATE: NONE", "STILL THE SAME", "JUST A NOTE", "SEE PAGE 2")


def confetti(pen: Pen, count: int = 36) -> None:
    for _ in range(count):
        spot = pen.moved(
            pen.random.uniform(pen.left, pen.right),
            pen.random.uniform(pen.top, pen.bottom),
            1,
            pen.random.uniform(0, 180),
        )
        spot.box(
            -1.6,
            -0.7,
            3.2,
            1.4,
            pen.random.choice(("#ff5d73", "#ffd23f", "#3bceac", "#ffffff", "#5b8def")),
            0.5,
        )


def glad_face(pen: Pen) -> None:
    upper, lower = pen.random.choice(HAPPY_GROUNDS)
    pen.wash(upper, lower)
    pen.glow(50, 50, 62, "#ffffff", 0.6)
    confetti(pen)
    big_face(pen, 50, 50, pen.random.uniform(31, 36), "positive")


def plain_face(pen: Pen) -> None:
    upper, lower = pen.random.choice(PLAIN_GROUNDS)
    pen.wash(upper, lower)
    big_face(pen, 50, 50, pen.random.uniform(28, 34), "neutral")


def sobbing_face(pen: Pen) -> None:
    upper, lower = pen.random.choice(SAD_GROUNDS)
    pen.wash(upper, lower)
    rain(pen)
    big_face(pen, 50, 50, pen.random.uniform(31, 36), "negative", crying=True)


def angry_face(pen: Pen) -> None:
    upper, lower = pen.random.choice(SAD_GROUNDS)
    pen.wash(upper, mix(lower, "#8b2e2a", 0.5))
    for side in (-1, 1):
        for puff in range(3):
            pen.disc(50 + side * (38 + puff * 5), 34 - puff * 7, 4.5 - puff, fade("#ffffff", 0.35))
    big_face(pen, 50, 52, pen.random.uniform(31, 35), "negative")


def _caption(pen: Pen, words: str, ground: str, ink: str) -> None:
    pen.box(pen.left, 78, pen.right - pen.left, 30 + pen.bottom, ground)
    pen.text(50, 78 + (pen.bottom - 78) / 2, words, 12, ink, 92)


def _panels(pen: Pen, first: Label, second: Label, grounds: tuple[str, str]) -> None:
    """Two panels side by side above a caption: how it began and how it goes on."""
    pen = pen.unmirrored()
    for side, mood, ground in ((0, first, grounds[0]), (1, second, grounds[1])):
        left = pen.left if side == 0 else 50
        pen.box(left, pen.top, 50 - pen.left, 78 - pen.top, ground)
        x, y = left + (50 - pen.left) / 2, (pen.top + 78) / 2
        pen.glow(x, y, 30, "#ffffff", 0.35)
        big_face(pen, x, y, 19 if side == 0 else 22, mood, crying=mood == "negative")
    pen.box(49.3, pen.top, 1.4, 78 - pen.top, "#ffffff")


def glad_meme(pen: Pen) -> None:
    _panels(
        pen,
        "neutral",
        "positive",
        (pen.random.choice(("#9cc5e8", "#a9d5c3")), pen.random.choice(("#ff9f6b", "#ffcf5c", "#4fc4b0"))),
    )
    _caption(pen, pen.random.choice(GOOD_CAPTIONS), "#ffffff", "#20232a")


def plain_meme(pen: Pen) -> None:
    first, second = pen.random.sample(("#b8c4cf", "#c6cbb9", "#cfc3b6", "#bcc9cf", "#a8bfd0"), 2)
    _panels(pen, "neutral", "neutral", (first, second))
    _caption(pen, pen.random.choice(PLAIN_CAPTIONS), "#f4f4f2", "#3b3f46")


def bitter_meme(pen: Pen) -> None:
    _panels(
        pen,
        "neutral",
        "negative",
        (pen.random.choice(("#7f8fa3", "#8d8794")), pen.random.choice(("#3b4453", "#4b2f36", "#33424a"))),
    )
    _caption(pen, pen.random.choice(BAD_CAPTIONS), "#17191d", "#ff5a4f")


def _review(pen: Pen, stars: int, mood: Label, words: str, accent: str) -> None:
    pen = pen.unmirrored()
    pen.box(6, 15, 91, 74, fade("#000000", 0.14), 7)
    pen.box(4.5, 12, 91, 74, "#ffffff", 7)
    big_face(pen, 22, 35, 13, mood, crying=mood == "negative")
    for place in range(5):
        pen.star(45 + place * 10.4, 34, 5.6, accent if place < stars else "#dfe2e7")
    for row, width in enumerate((74, 66, 70)):
        pen.box(13, 54 + row * 5, width * pen.random.uniform(0.7, 1), 2.2, "#e3e6eb", 1)
    pen.text(50, 76, words, 8.5, mix(accent, "#20232a", 0.45), 76)


def five_stars(pen: Pen) -> None:
    pen.wash(*pen.random.choice(HAPPY_GROUNDS))
    _review(
        pen, 5, "positive", pen.random.choice(("Wonderful!", "Simply the best", "Loved every bit")), "#ffb400"
    )


def three_stars(pen: Pen) -> None:
    pen.wash(*pen.random.choice(PLAIN_GROUNDS))
    _review(pen, 3, "neutral", pen.random.choice(("It was okay", "As described", "Average")), "#aab2bd")


def one_star(pen: Pen) -> None:
    pen.wash(*pen.random.choice(SAD_GROUNDS))
    _review(pen, 1, "negative", pen.random.choice(("Terrible", "Avoid this", "Money back!")), "#e0433a")


DRAWINGS: dict[Label, tuple[Drawing, ...]] = {
    "positive": (glad_face, glad_meme, five_stars),
    "neutral": (plain_face, plain_meme, three_stars),
    "negative": (sobbing_face, angry_face, bitter_meme, one_star),
}
