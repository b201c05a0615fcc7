"""What the stream's scenes stand in: skies, suns, clouds, hills, rain, tables."""

from mmsent.sources.drawings.pen import Pen, arc, fade, mix

DAYS = (("#5db7f0", "#d9f2ff"), ("#79c8f2", "#fdf3d8"), ("#ff9e7d", "#ffe6b3"), ("#8fd0e8", "#fff7e6"))
OVERCAST = (("#b9c2cc", "#dde2e6"), ("#aebbc4", "#d6dcdd"), ("#c3c3c9", "#e4e1de"))
STORMS = (("#2b3442", "#5a6877"), ("#33313f", "#5f6070"), ("#24333b", "#506068"), ("#3a3a44", "#6a6660"))
GREENS = (("#8fce6a", "#4f9e4f"), ("#a8d672", "#63a84a"), ("#b7d968", "#78ae43"), ("#7cc98c", "#3f9468"))
MUDS = (("#5b6650", "#3c4238"), ("#5e5a4a", "#3e3a32"), ("#4d5c55", "#33403b"))
SUNNY_TABLES = (
    ("#e9b77c", "#cf945a"),
    ("#f3d3a4", "#e0b57d"),
    ("#9fd8c8", "#78bfae"),
    ("#f7b2a0", "#ea8d7c"),
)
PLAIN_TABLES = (
    ("#cfd3d8", "#bfc4ca"),
    ("#d9d2c6", "#c8c0b2"),
    ("#c2ccd1", "#b2bdc4"),
    ("#d3d5cd", "#c0c4ba"),
)
DARK_TABLES = (("#4a4038", "#332b26"), ("#3f444c", "#2b2f36"), ("#54423f", "#3a2c2a"))


def sun(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.glow(x, y, radius * 4.5, "#fff3c4", 0.9)
    pen.disc(x, y, radius, "#ffd34d")
    pen.disc(x, y, radius * 0.8, "#ffe07a")


def cloud(pen: Pen, x: float, y: float, scale: float, colour: str) -> None:
    """A cloud of three puffs on a flat base, about 34 × `scale` units wide."""
    puffs = pen.moved(x, y, scale)
    for across, down, radius in ((-8, 0, 6), (1, -4, 8.5), (10, 0.5, 5.5)):
        puffs.disc(across, down, radius, colour)
    puffs.box(-15, -1.5, 31, 7.5, colour, 3.7)


def clouds(pen: Pen, count: int, colour: str, low: float = 30, start: float | None = None) -> None:
    """Clouds above `low`, from `start` to the right edge."""
    left = pen.left if start is None else start
    for _ in range(count):
        x, y = pen.random.uniform(left, pen.right), pen.random.uniform(pen.top + 4, low)
        cloud(pen, x, y, pen.random.uniform(0.6, 1.3), mix(colour, "#ffffff", pen.random.uniform(0, 0.18)))


def hills(pen: Pen, y: float, near: str, far: str) -> None:
    for colour, lift, step in ((far, 7, 46), (near, 2, 60)):
        x = pen.left + pen.random.uniform(-20, 0)
        while x < pen.right + 30:
            pen.oval(x, y + 8, step * 0.75, lift + 8 + pen.random.uniform(0, 5), colour)
            x += step


def sunny(pen: Pen, horizon: float) -> None:
    """A bright day above a green meadow."""
    pen.wash(*pen.random.choice(DAYS))
    sun(pen, pen.random.uniform(12, 34), pen.random.uniform(pen.top + 14, pen.top + 20), 8)
    clouds(pen, 3, "#f4fbff", max(20, pen.top + 28), 58)
    upper, lower = pen.random.choice(GREENS)
    hills(pen, horizon - 2, mix(upper, "#cdeee0", 0.2), mix(upper, "#bfe3ee", 0.55))
    pen.wash(upper, lower, horizon)


def stormy(pen: Pen, horizon: float) -> None:
    """Dark clouds above sodden ground; the rain itself comes last, see `rain`."""
    upper, lower = pen.random.choice(STORMS)
    pen.wash(upper, lower)
    hills(pen, horizon - 2, mix(lower, "#1d242b", 0.35), mix(lower, "#1d242b", 0.15))
    pen.wash(*pen.random.choice(MUDS), horizon)
    for _ in range(6):
        x, y = pen.random.uniform(pen.left, pen.right), pen.random.uniform(pen.top, pen.top + 18)
        cloud(pen, x, y, pen.random.uniform(1.3, 2), mix(upper, "#9aa5b2", pen.random.uniform(0.1, 0.35)))


def rain(pen: Pen, count: int = 70, colour: str = "#cfe3f5", opacity: float = 0.5) -> None:
    for _ in range(count):
        x, y = pen.random.uniform(pen.left, pen.right + 8), pen.random.uniform(pen.top - 5, pen.bottom)
        length = pen.random.uniform(4, 9)
        pen.line([(x, y), (x - length * 0.28, y + length)], 0.5, fade(colour, opacity))


def puddle(pen: Pen, x: float, y: float, across: float) -> None:
    pen.oval(x, y, across, across * 0.2, "#7f95a6")
    pen.oval(x - across * 0.1, y - across * 0.03, across * 0.7, across * 0.11, "#a9bccb")


def lightning(pen: Pen, x: float, y: float, scale: float) -> None:
    pen.glow(x, y + 14 * scale, 34 * scale, "#fdf6c9", 0.6)
    bolt = ((0, 0), (-7, 16), (-1, 16), (-6, 32), (8, 11), (2, 11), (7, 0))
    pen.moved(x, y, scale).shape(bolt, "#ffe566")


def tree(pen: Pen, x: float, y: float, scale: float, leaves: str) -> None:
    """A round tree whose foot stands at (x, y)."""
    trunk = pen.moved(x, y, scale)
    trunk.box(-1.5, -14, 3, 14, "#7a5538", 1)
    for across, down, radius in ((-5, -16, 6.5), (5, -16, 6.5), (0, -22, 8)):
        trunk.disc(across, down, radius, leaves)
    trunk.disc(-2, -24, 3.5, mix(leaves, "#ffffff", 0.22))


def flower(pen: Pen, x: float, y: float, scale: float, petals: str) -> None:
    """A flower head around (x, y)."""
    for angle in range(0, 360, 72):
        px, py = arc(x, y, 3 * scale, 3 * scale, angle, angle + 1)[0]
        pen.disc(px, py, 2.3 * scale, petals)
    pen.disc(x, y, 1.9 * scale, "#ffd23f")


def table(pen: Pen, tones: tuple[tuple[str, str], ...], y: float, wall: tuple[str, str]) -> None:
    """A wall and the table top in front of it, whose edge is at `y`."""
    pen.wash(*wall)
    upper, lower = pen.random.choice(tones)
    pen.wash(upper, lower, y)
    pen.box(pen.left, y, pen.right - pen.left, 1.2, mix(upper, "#ffffff", 0.35))


def shadow(pen: Pen, x: float, y: float, across: float, opacity: float = 0.18) -> None:
    pen.oval(x, y, across, across * 0.16, fade("#101418", opacity * 0.6))
    pen.oval(x, y, across * 0.85, across * 0.12, fade("#101418", opacity))


def rays(pen: Pen, x: float, y: float, colour: str) -> None:
    """Broad rays from behind what is shown off."""
    turn = pen.random.uniform(0, 24)
    for angle in range(0, 360, 24):
        pen.shape([(x, y), *arc(x, y, 110, 110, turn + angle, turn + angle + 12)], colour)


def cross(pen: Pen, x: float, y: float, radius: float, colour: str = "#e23d36") -> None:
    for side in (-1, 1):
        ends = [(x - radius, y - side * radius), (x + radius, y + side * radius)]
        pen.line(ends, radius * 0.5, colour)


def hearts(pen: Pen, count: int, area: tuple[float, float, float, float]) -> None:
    """Hearts floating in the area (left, top, right, bottom)."""
    left, top, right, bottom = area
    for _ in range(count):
        x, y = pen.random.uniform(left, right), pen.random.uniform(top, bottom)
        pen.heart(x, y, pen.random.uniform(2, 4.5), pen.random.choice(("#ff5d73", "#ff8fa0", "#ffffff")))
