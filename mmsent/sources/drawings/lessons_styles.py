"""Ways to draw one and the same scene, so that its mood is learnt and not its look."""
# ruff: noqa: PLR0917  # the pen's own order

from collections.abc import Callable, Sequence
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageFilter, ImageOps

from mmsent.sources.drawings.pen import Pen, Point, fade, mix


def luminance(colour: str) -> float:
    """Brightness of a colour, 0 to 1 (ITU-R BT.601)."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


class Flat(Pen):
    """Even surfaces, as they are."""


class Outlined(Pen):
    """Every shape becomes a faint tint with a wobbling outline."""

    ground, outline, tint, blend, thickness = "#fbf7ec", "#2b2b33", 0.35, 0.2, 0.7

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.wash(self.ground, self.ground)

    def tone(self, colour: str) -> str:
        return mix(self.ground, colour, self.tint)

    def stroke(self, colour: str) -> str:
        return mix(self.outline, colour, self.blend)

    def wobble(self, points: Sequence[Point]) -> list[Point]:
        reach = 0.35 * self.unit / self.scale
        return [
            (x + self.random.uniform(-reach, reach), y + self.random.uniform(-reach, reach))
            for x, y in points
        ]

    def shape(self, points: Sequence[Point], colour: str) -> None:
        if len(colour) > 7:  # a shadow or a shine: left out, as with a real pencil
            return
        wobbly = self.wobble(points)
        super().shape(wobbly, self.tone(colour))
        super().line([*wobbly, wobbly[0]], self.thickness * self.unit / self.scale, self.stroke(colour))

    def line(self, points: Sequence[Point], width: float, colour: str) -> None:
        super().line(
            self.wobble(points),
            max(width * 0.8, self.thickness * self.unit / self.scale),
            self.stroke(colour),
        )

    def text(self, x: float, y: float, words: str, size: float, colour: str, room: float = 1000) -> None:
        super().text(x, y, words, size, self.stroke(colour), room)

    def wash(self, upper: str, lower: str, top: float | None = None, bottom: float | None = None) -> None:
        super().wash(self.tone(upper), self.tone(lower), top, bottom)

    def glow(self, x: float, y: float, radius: float, colour: str, strength: float = 1) -> None:
        """No light: only lines."""


class Paper(Outlined):
    """A pen drawing on paper."""

    tint, thickness = 0.4, 0.9


class Chalk(Outlined):
    """Coloured chalk on a board."""

    ground, tint, thickness = "#24352f", 0.16, 1.0

    def stroke(self, colour: str) -> str:
        return mix(mix(colour, "#ffffff", 0.45), "#ffffff", 0.25 if luminance(colour) > 0.25 else 0.6)


class Comic(Outlined):
    """Full colours with a thick black outline."""

    tint, thickness, outline = 1.0, 1.1, "#111111"

    blend = 0.0


class Neon(Outlined):
    """Light tubes at night."""

    ground, tint, thickness = "#0d0b1e", 0.12, 1.0

    def stroke(self, colour: str) -> str:
        return mix(colour, "#ffffff", 0.25) if luminance(colour) > 0.2 else "#8f9bff"

    def finish(self) -> Image.Image:
        image = super().finish()
        small = (
            image.reduce(4).filter(ImageFilter.GaussianBlur(2)).resize(image.size, Image.Resampling.BILINEAR)
        )
        return ImageChops.screen(image, small)


class Poster(Outlined):
    """Three tones of two inks."""

    tint, blend, thickness, outline = 1.0, 0.0, 0.6, "#000000"
    INKS = (
        ("#1d2b53", "#ff6b4a", "#fff1d6"),
        ("#4a1942", "#2ab7a9", "#fdf6e3"),
        ("#12372a", "#f2a541", "#fbf5e6"),
        ("#3b1f2b", "#ef5b8c", "#fff0f3"),
    )

    def finish(self) -> Image.Image:
        image = super().finish()
        dark, middle, light = (ImageColor.getrgb(ink) for ink in self.random.choice(self.INKS))
        tones = ImageOps.autocontrast(image.convert("L"))
        result = Image.new("RGB", image.size, light)
        result.paste(middle, mask=tones.point(lambda value: 255 if value < 165 else 0))
        result.paste(dark, mask=tones.point(lambda value: 255 if value < 85 else 0))
        return result


class Watercolour(Pen):
    """See-through colours with soft, wandering edges on rough paper."""

    def shape(self, points: Sequence[Point], colour: str) -> None:
        reach = 0.5 * self.unit / self.scale
        wandering = [
            (x + self.random.uniform(-reach, reach), y + self.random.uniform(-reach, reach))
            for x, y in points
        ]
        super().shape(wandering, fade(mix(colour, "#ffffff", 0.12), 0.82 if len(colour) == 7 else 0.15))

    def finish(self) -> Image.Image:
        image = super().finish().filter(ImageFilter.GaussianBlur(1.6))
        width, height = image.width // 3, image.height // 3
        noise = Image.frombytes("L", (width, height), self.random.randbytes(width * height))
        grain = noise.point(lambda value: 112 + value // 8).resize(image.size, Image.Resampling.BILINEAR)
        return ImageChops.overlay(image, Image.merge("RGB", (grain, grain, grain)))


class Pixels(Pen):
    """Few, large pixels."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, detail=random.choice((1 / 5, 1 / 6)))

    def finish(self) -> Image.Image:
        coarse = self.image.quantize(24, dither=Image.Dither.NONE).convert("RGB")
        return coarse.resize(self.size, Image.Resampling.NEAREST)


STYLES: dict[str, Callable[[Random], Pen]] = {
    "flat": Flat,
    "paper": Paper,
    "chalk": Chalk,
    "comic": Comic,
    "neon": Neon,
    "poster": Poster,
    "watercolour": Watercolour,
    "pixels": Pixels,
}
