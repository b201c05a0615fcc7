"""How the stream draws people: round heads, dot eyes, soft shoulders."""

from random import Random

from mmsent.posts import Label
from mmsent.sources.drawings.pen import Pen, arc, curve, fade, mix

SKINS = ("#f6d0b1", "#eab68f", "#d19a6e", "#a8714b", "#7c4f35", "#f2c6a0")
HAIRS = ("#2d221e", "#5b3a29", "#8d5a34", "#c98f4a", "#a33b2a", "#3a3f4b", "#b9b4ae")
CLOTHES = ("#ef6f6c", "#3d7ea6", "#f2b134", "#4fa38a", "#8e6bbf", "#e8889b", "#2f5d62", "#f4f1ea")
GLOOMY_CLOTHES = ("#7d6a70", "#5f7a8a", "#8a7358", "#6d7f6a", "#727a86")
INK = "#33272a"


def mouth(pen: Pen, mood: Label, ink: str = INK) -> None:
    """A mouth for a head of radius 10 around the origin."""
    if mood == "positive":
        pen.oval(0, 2.6, 5, 5.2, "#7d2b35", 0, 180)
        pen.shape([(-4.4, 2.6), (4.4, 2.6), (3.9, 4.2), (-3.9, 4.2)], "#ffffff")
        pen.oval(0, 6.9, 2.4, 1.5, "#ef7f86")
    elif mood == "negative":
        pen.line(arc(0, 7.6, 4, 3.4, 200, 340), 1.1, ink)
    else:
        pen.line([(-3, 5), (3, 5)], 1, ink)


def eyes(pen: Pen, mood: Label, ink: str = INK, *, angry: bool = True) -> None:
    """Dot eyes and brows for a head of radius 10 around the origin."""
    for side in (-1, 1):
        if mood == "positive":
            pen.line(arc(side * 3.7, -0.4, 1.6, 1.9, 190, 350), 1.1, ink)
            pen.disc(side * 6.4, 3, 1.9, fade("#f0606a", 0.35))
        else:
            pen.oval(side * 3.6, -0.8, 1.1, 1.5, ink)
        if mood == "negative":
            inner, outer = (-3.2, -4.8) if angry else (-5, -3.4)
            pen.line([(side * 1.6, inner), (side * 5.4, outer)], 1, ink)


def tears(pen: Pen) -> None:
    """Tears on both cheeks of a head of radius 10 around the origin."""
    for side in (-1, 1):
        pen.drop(side * 4.2, 4.6, 1.5, "#6cc0f5")
        pen.drop(side * 5, 9, 1.1, "#8fd2fa")


def hair(pen: Pen, style: int, colour: str) -> None:
    """One of four cuts, for a head of radius 10 around the origin."""
    if style == 0:  # short
        pen.oval(0, -2, 10.4, 9.4, colour, 185, 355)
    elif style == 1:  # fringe
        pen.shape(
            [
                *arc(0, -1.5, 10.6, 10.2, 170, 370),
                (7, -3.5),
                *curve((7, -3.5), (1, -3), (-4, -7)),
                (-8.4, -2),
            ],
            colour,
        )
    elif style == 2:  # bun
        pen.disc(0, -11.5, 4, colour)
        pen.oval(0, -2.4, 10.4, 9.2, colour, 180, 360)
    else:  # curls
        for angle in range(180, 361, 30):
            x, y = arc(0, -2, 8.4, 7.4, angle, angle + 1)[0]
            pen.disc(x, y, 3.7, colour)


def head(pen: Pen, mood: Label, *, skin: str = "", crying: bool = False) -> None:
    """A head of radius 10 around the origin, hair, and skin where none is given, by chance."""
    skin = skin or pen.random.choice(SKINS)
    colour, style = pen.random.choice(HAIRS), pen.random.randrange(5)
    if style == 4:  # long, behind the head
        pen.box(-11, -8, 22, 22, colour, 9)
    for side in (-1, 1):
        pen.disc(side * 9.8, 1, 2.2, mix(skin, "#8a4b35", 0.14))
    pen.disc(0, 0, 10, skin)
    hair(pen, 1 if style == 4 else style, colour)
    eyes(pen, mood, angry=not crying)
    mouth(pen, mood)
    if crying:
        tears(pen)


def person(
    pen: Pen, x: float, y: float, scale: float, mood: Label, *, arms_up: bool = False, crying: bool = False
) -> None:
    """Head and shoulders; (x, y) is the chin. A head is 20 × `scale` units wide."""
    random = pen.random
    body = pen.moved(x, y - 8 * scale, scale, random.uniform(-4, 4))
    cloth = random.choice(GLOOMY_CLOTHES if mood == "negative" else CLOTHES)
    skin = random.choice(SKINS)
    if arms_up:
        for side in (-1, 1):
            body.line(curve((side * 11, 18), (side * 20, 10), (side * 17, -8)), 4.6, cloth)
            body.disc(side * 17, -10, 3, skin)
    body.box(-4, 6, 8, 10, mix(skin, "#8a4b35", 0.12), 3)
    body.box(-15, 13, 30, 60, cloth, 11)
    body.shape([*arc(0, 13, 5.5, 4.5, 0, 180)], mix(cloth, "#ffffff", 0.35))
    head(body, mood, skin=skin, crying=crying)


def big_face(pen: Pen, x: float, y: float, radius: float, mood: Label, *, crying: bool = False) -> None:
    """A round yellow face as messengers know it, with a soft light on it."""
    skins: dict[Label, str] = {"positive": "#ffcf3f", "neutral": "#f7cf6b", "negative": "#f3b547"}
    skin = "#e8604c" if mood == "negative" and not crying else skins[mood]
    face = pen.moved(x, y, radius / 10)
    face.oval(0, 11.4, 8, 1.2, fade("#000000", 0.16))
    face.disc(0, 0, 10, mix(skin, "#a8502a", 0.22))
    face.disc(0, -0.35, 9.55, skin)
    face.oval(-3, -6, 4.4, 2.2, fade("#ffffff", 0.3))
    eyes(face, mood, "#4a2a1c", angry=not crying)
    mouth(face, mood, "#4a2a1c")
    if crying:
        tears(face)


def crowd_places(random: Random, count: int, left: float, right: float) -> list[float]:
    """Where `count` people stand, evenly but not stiffly."""
    gap = (right - left) / count
    return [left + gap * (place + 0.5) + random.uniform(-0.08, 0.08) * gap for place in range(count)]
