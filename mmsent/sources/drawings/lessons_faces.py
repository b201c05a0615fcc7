"""Faces of the lessons: robots, ghosts, cats, bears. None is round with dot eyes."""

from collections.abc import Callable

from mmsent.sources.drawings.pen import Pen, arc, curve

Scene = Callable[[Pen, int], None]  # the mood: 1 glad, 0 plain, -1 sad

GROUNDS = {
    1: (
        ("#ffe27a", "#ff9fb2"),
        ("#8be0d4", "#f9f3c7"),
        ("#2b2a5e", "#7a4fa3"),
        ("#a7d8ff", "#ffffff"),
        ("#10243f", "#2a5f7d"),
    ),
    0: (
        ("#cfe0d5", "#a9c3b6"),
        ("#e6d9c2", "#cdb99a"),
        ("#9fb4cc", "#c4d1e0"),
        ("#3c4a5a", "#5a6b7c"),
        ("#ffdd99", "#ffc977"),
        ("#9fd0f5", "#c3e2f7"),
    ),
    -1: (
        ("#f0b8a8", "#d9806f"),
        ("#ffd166", "#ff9f5a"),
        ("#8fd0ff", "#cdeaff"),
        ("#2a2d3a", "#4b4f63"),
        ("#c9d3a0", "#8b9a5f"),
        ("#9aa7b8", "#5d6a7d"),
    ),
}
COATS = ("#7fb7be", "#d9a05b", "#b58bc9", "#8fae6b", "#d97b7b", "#9aa5b1", "#e0c097")
DARK = "#22222c"


def ground(pen: Pen, mood: int) -> None:
    pen.wash(*pen.random.choice(GROUNDS[mood]))


def features(pen: Pen, mood: int, reach: float = 1) -> None:
    """Eyes and mouth around the origin, about 16 × 12 units."""
    for side in (-1, 1):
        x = side * 4.5 * reach
        if mood > 0 and pen.random.random() < 0.5:
            pen.line([(x - 2, 0), (x, -2.6), (x + 2, 0)], 1, DARK)
        else:
            pen.oval(x, -1, 2.4, 2.9, "#ffffff")
            pen.oval(x, -0.4 - mood * 0.6 if mood else -1, 1.2, 1.4, DARK)
        if mood < 0:
            pen.line([(x - side * 2.2, -5.4), (x + side * 2.4, -4)], 1.1, DARK)
            pen.drop(x, 6 + pen.random.uniform(0, 2), 1.4, "#4aa8ff")
    if mood > 0:
        pen.line(arc(0, 3.4, 5.4, 4.4, 10, 170), 1.3, DARK)
    elif mood < 0:
        pen.line(arc(0, 9, 5, 4, 195, 345), 1.3, DARK)
    else:
        pen.line([(-4, 6), (4, 6)], 1.2, DARK)


def robot(pen: Pen, mood: int) -> None:
    coat = pen.random.choice(COATS)
    pen.line([(0, -12), (0, -17)], 1.2, DARK)
    pen.disc(0, -18, 2, "#ff5964" if mood < 0 else "#ffd23f")
    pen.box(-13, -12, 26, 24, coat, 3)
    pen.box(-10.5, -8, 21, 18, "#f3f6f8", 3)
    features(pen, mood)


def ghost(pen: Pen, mood: int) -> None:
    hem = [(12 - step * 4, 15 if step % 2 else 11) for step in range(7)]
    pen.shape(
        [*arc(0, -2, 12, 13, 180, 360), *hem], pen.random.choice(("#f4f4ff", "#d6eaff", "#ffe1ec", "#e2f5dc"))
    )
    features(pen, mood)


def cat(pen: Pen, mood: int) -> None:
    coat = pen.random.choice(COATS)
    droop = 5 if mood < 0 else 0
    for side in (-1, 1):
        pen.shape([(side * 3, -8), (side * 11, -3), (side * (12 + droop), -16 + 2 * droop)], coat)
    pen.oval(0, 0, 14, 11, coat)
    for side in (-1, 1):
        for row in (-1, 1):
            pen.line([(side * 8, 4 + row), (side * 17, 4 + 2.5 * row)], 0.5, DARK)
    features(pen, mood)


def bear(pen: Pen, mood: int) -> None:
    coat = pen.random.choice(("#9c6b45", "#c79a6b", "#6f5a4e", "#e6d5bd"))
    for side in (-1, 1):
        pen.disc(side * 10, -10, 5, coat)
    pen.shape(
        [
            *arc(0, 0, 14, 13, 180, 360),
            *curve((14, 0), (12, 14), (0, 14)),
            *curve((0, 14), (-12, 14), (-14, 0)),
        ],
        coat,
    )
    pen.oval(0, 6, 8.5, 6.5, "#f3e3cc")
    features(pen, mood)


CREATURES: tuple[Scene, ...] = (robot, ghost, cat, bear)


def portrait(pen: Pen, mood: int) -> None:
    """One creature, large."""
    ground(pen, mood)
    pen.random.choice(CREATURES)(
        pen.moved(50, 53, pen.random.uniform(2.2, 2.8), pen.random.uniform(-6, 6)), mood
    )
