"""What is carried to a picnic, and who comes uninvited: blankets, hampers, apples, ants."""

from mmsent.sources.drawings.pen import Pen, arc, mix

CLOTHS = ("#e2504f", "#3f86c6", "#3fa37c", "#f0a13a")
FRUITS = ("#e2433f", "#f2a43a", "#8cc63e", "#f6d13f", "#8e4a9e")


def blanket(pen: Pen, x: float, y: float, across: float, colour: str) -> None:
    """A checked blanket lying in perspective around (x, y)."""
    depth = across * 0.26
    pen.shape(
        [
            (x - across * 0.8, y - depth),
            (x + across * 0.8, y - depth),
            (x + across, y + depth),
            (x - across, y + depth),
        ],
        "#fbf5ea",
    )
    for row in range(5):
        top, low = y - depth + row * depth * 0.4, y - depth + (row + 1) * depth * 0.4
        for column in range(8):
            shares = [(0.8 + 0.04 * (row + edge)) for edge in (0, 1)]
            spans = [[(-1 + (column + side) / 4) * across * share for side in (0, 1)] for share in shares]
            tint = (row % 2 + column % 2) / 2
            if tint:
                quad = [
                    (x + spans[0][0], top),
                    (x + spans[0][1], top),
                    (x + spans[1][1], low),
                    (x + spans[1][0], low),
                ]
                pen.shape(quad, mix("#fbf5ea", colour, 0.45 + 0.5 * (tint == 1)))


def hamper(pen: Pen, *, wicker: str = "#c98d4f", cloth: str = "#e2504f", opened: bool = False) -> None:
    """A wicker hamper 40 units wide that stands on y = 0."""
    dark = mix(wicker, "#4a2a12", 0.35)
    if opened:
        pen.box(-20, -44, 40, 20, dark, 3)
        pen.box(-18, -42, 36, 16, mix(wicker, "#ffffff", 0.15), 2)
    else:
        pen.line(arc(0, -24, 13, 15, 180, 360), 2.6, dark)
    pen.box(-20, -25, 40, 25, wicker, 3)
    for row in range(5):
        for column in range(6):
            pen.box(
                -19 + column * 6.4 + (row % 2) * 1.6, -20.5 + row * 4.1, 4.4, 2.2, mix(wicker, dark, 0.55), 1
            )
    pen.box(-21.5, -27, 43, 5.5, mix(wicker, "#ffffff", 0.2), 2)
    if not opened:
        pen.shape([(-15, -27), (15, -27), (9, -17), (2, -22), (-4, -15), (-10, -21)], cloth)
    for side in (-1, 1):
        pen.box(side * 12 - 1.5, -23, 3, 8, mix(dark, "#2a1608", 0.3), 1)


def apple(pen: Pen, x: float, y: float, radius: float, colour: str) -> None:
    pen.disc(x, y, radius, colour)
    pen.disc(x - radius * 0.35, y - radius * 0.35, radius * 0.28, mix(colour, "#ffffff", 0.55))
    pen.line([(x, y - radius * 0.9), (x + radius * 0.25, y - radius * 1.5)], radius * 0.2, "#5d4327")
    pen.oval(x + radius * 0.6, y - radius * 1.25, radius * 0.5, radius * 0.22, "#63a84a")


def ants(pen: Pen, count: int, area: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = area
    for _ in range(count):
        ant = pen.moved(
            pen.random.uniform(left, right), pen.random.uniform(top, bottom), 0.55, pen.random.uniform(0, 360)
        )
        for leg in (-2, 0, 2):
            ant.line([(leg, -2.4), (leg, 2.4)], 0.5, "#15110f")
        for across, radius in ((-2.6, 1.7), (0, 1.2), (2.4, 1.4)):
            ant.disc(across, 0, radius, "#15110f")
