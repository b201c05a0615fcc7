"""Where a picture speaks for or against an opinion, drawn over it."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE_PX = 384
SUPPORTS = (255, 221, 51)  # yellow against violet: light and dark too, for every kind of colour vision
AGAINST = (126, 34, 206)
FAINTEST_FULL = 0.1  # influence shown at full strength if nothing is stronger: noise stays pale

_GREYS = 40, 205  # the photo's black and white below the colours, so that both show on each
_STRONGEST = 0.65  # of the colour over the photo
_MARKED = 0.5  # of the strongest influence: from here on a region bears its sign


def heat_map_png(pixels: NDArray[np.uint8], influence: NDArray[np.float64], side_px: int = SIDE_PX) -> bytes:
    """A PNG of `side_px` × `side_px`: the picture in grey, under the influence of its regions.

    Yellow and + support the opinion, violet and − speak against it. The strongest colour stands for the
    greatest influence, but for no less than `FAINTEST_FULL`.

    Args:
        pixels: RGB (S, S, 3), what the model saw.
        influence: (rows, columns), rows from the top, evenly over the picture; -1 to 1.
        side_px: width and height of what comes out.
    """
    strength = influence / max(FAINTEST_FULL, float(np.abs(influence).max()))
    low, high = _GREYS
    grey = Image.fromarray(pixels).convert("L").resize((side_px, side_px), Image.Resampling.BICUBIC)
    photo = low + np.asarray(grey, np.float32)[..., None] * ((high - low) / 255)
    field = Image.fromarray(strength.astype(np.float32)).resize(grey.size, Image.Resampling.BICUBIC)
    smooth = np.asarray(field)[..., None].clip(-1, 1)
    opacity = np.abs(smooth) * _STRONGEST
    color = np.where(smooth > 0, np.array(SUPPORTS), np.array(AGAINST))
    overlay = Image.fromarray((photo * (1 - opacity) + color * opacity).round().astype(np.uint8))
    _mark(overlay, strength)
    buffer = BytesIO()
    overlay.save(buffer, "PNG")
    return buffer.getvalue()


def _mark(image: Image.Image, strength: NDArray[np.float64]) -> None:
    """Signs in the regions of most influence, white on black."""
    pen = ImageDraw.Draw(image)
    rows, columns = strength.shape
    arm = max(2, image.width // max(rows, columns) // 7)
    for row, column in np.argwhere(np.abs(strength) >= _MARKED):
        x, y = (column + 0.5) * image.width / columns, (row + 0.5) * image.height / rows
        for color, width in (("black", arm // 2 + 3), ("white", arm // 3 + 1)):
            pen.line([(x - arm, y), (x + arm, y)], fill=color, width=width)
            if strength[row, column] > 0:
                pen.line([(x, y - arm), (x, y + arm)], fill=color, width=width)
