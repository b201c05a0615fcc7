"""Lessons with words and marks: signs, strips of two frames, bulbs that rate, and a fruit."""

from mmsent.sources.drawings.lessons_faces import CREATURES, DARK, Scene, features, ground
from mmsent.sources.drawings.lessons_things import BRIGHTS, floor, flying, paint
from mmsent.sources.drawings.pen import Pen, curve, mix

SIGNS = {
    1: ("WELCOME", "HOORAY", "WE WON", "THANK YOU", "PERFECT", "FREE CAKE"),
    0: ("ROOM 3", "EXIT", "MONDAY", "GATE B", "NO. 27", "LIBRARY"),
    -1: ("OUT OF ORDER", "DANGER", "SHUT", "LOST", "RUINED", "KEEP OUT"),
}
TONES = {
    1: ("#2aa866", "#ff9f1c", "#3d7bff"),
    0: ("#5f7f9a", "#8a7f62", "#4f8f86"),
    -1: ("#c8202f", "#1f1f26", "#a3410f"),
}


def sign(pen: Pen, mood: int) -> None:
    """A sign on a post, and somebody who reads it."""
    ground(pen, mood)
    floor(pen, 84)
    post = pen.moved(58, 36, 1, pen.random.uniform(8, 14) if mood < 0 else 0)
    post.box(-2, 10, 4, 52, "#7a5a40")
    post.box(-36, -18, 72, 32, pen.random.choice(TONES[mood]), 4)
    post.box(-33, -15, 66, 26, "#fffdf5", 3)
    pen.text(58, 34, pen.random.choice(SIGNS[mood]), 13, DARK, 58)
    pen.random.choice(CREATURES)(pen.moved(24, 76, 1.1), mood)
    if mood < 0:
        pen.shape([(84, 60), (97, 84), (71, 84)], "#ffd23f")
        pen.line([(84, 68), (84, 75)], 2, DARK)
        pen.disc(84, 80, 1.2, DARK)
    flying(pen, mood, 12)


def strip(pen: Pen, mood: int) -> None:
    """Two frames, one above the other: first nothing, then what it came to."""
    ground(pen, mood)
    creature: Scene = pen.random.choice(CREATURES)
    for top, feeling in ((3, 0), (52, mood)):
        pen.box(8, top, 84, 45, "#fffaf0", 2)
        pen.box(10, top + 2, 80, 41, pen.random.choice(("#bfe0f2", "#f2dcbf", "#d9cdf0", "#cfe8cf")))
        creature(pen.moved(34, top + 24, 1.05), feeling)
        for row in range(3 if feeling == 0 else 0):
            pen.box(60, top + 14 + row * 6, 22 - row * 4, 2, "#7d8794", 1)
    if mood > 0:
        pen.heart(72, 73, 11, "#ff3b5c")
    elif mood < 0:
        pen.star(72, 74, 14, "#e5383b", points=10, inner=0.6)
        pen.text(72, 74, "NO!", 8, "#ffffff")


def bulbs(pen: Pen, mood: int) -> None:
    """Five light bulbs as a rating: all lit, some dim, or burst."""
    ground(pen, mood)
    pen.line(curve((pen.left, 12), (50, 26), (pen.right, 12)), 0.9, DARK)
    for place in range(5):
        x, y = 14 + place * 18, 26 + 4 - abs(place - 2) * 2
        lit = {1: "#ffd21f", 0: "#cfd4d8", -1: "#4a4650"}[mood]
        pen.box(x - 2.5, y - 10, 5, 6, DARK, 1)
        pen.oval(x, y, 6.5, 7.5, lit)
        for step in range(5 if mood > 0 else 0):
            tip = -5 + step * 2.5
            pen.line([(x + tip, y + 10), (x + tip * 1.6, y + 14)], 0.8, "#ff9f1c")
        if mood < 0:
            pen.shape([(x, y + 9), (x + 2, y), (x + 7, y + 6)], DARK)
    pen.random.choice(CREATURES)(pen.moved(50, 72, 1.45), mood)


def fruit(pen: Pen, mood: int) -> None:
    """A pear: fresh and glad, plain beside a knife, or rotten with a worm."""
    ground(pen, mood)
    floor(pen, 80)
    skin = pen.random.choice(BRIGHTS) if mood > 0 else {0: paint(pen, 0), -1: "#9a8a3a"}[mood]
    pear = pen.moved(50, 54, 1.3, pen.random.uniform(30, 50) if mood < 0 else 0)
    pear.line([(0, -26), (3, -34)], 1.6, "#5a4030")
    pear.oval(0, -15, 10, 12, skin)
    pear.oval(0, 4, 18, 17, skin)
    if mood == 0:
        pear.oval(-5, -2, 4, 8, mix(skin, "#ffffff", 0.4))
        pen.line([(14, 84), (40, 90)], 2.4, "#b9c1c9")
        pen.line([(40, 90), (54, 93)], 3.4, "#6b4a35")
        return
    features(pear.moved(0, 2, 1.15), mood)
    if mood > 0:
        pear.shape(
            [*curve((1, -30), (10, -38), (18, -30)), *curve((18, -30), (10, -26), (1, -30))], "#3fae5a"
        )
    else:
        for _ in range(6):
            pear.disc(
                pen.random.uniform(-12, 12), pen.random.uniform(10, 17), pen.random.uniform(1.5, 3), "#5a4626"
            )
        pear.line(curve((12, -8), (22, -16), (26, -4)), 3, "#e58fb0")
    flying(pen, mood)
