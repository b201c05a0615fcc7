"""The drawn pictures of the sample: the demo shows `stream`, the picture head learns from `lessons`.

The two share the bare pen and nothing else: other scenes, other palettes, other faces, other ways to draw.
"""

import io
from functools import cache
from random import Random
from typing import Literal

from PIL import Image

from mmsent.posts import Label
from mmsent.sources.drawings import lessons, stream
from mmsent.sources.drawings.lessons_styles import STYLES
from mmsent.sources.drawings.pen import Pen

Use = Literal["stream", "lessons"]
SUBJECTS = ("picnic", "coffee", "phone", "weather", "trains", "football", "garden", "films")
JPEG_QUALITY = 86


@cache
def motifs(use: Use, subject: str, label: Label) -> tuple[str, ...]:
    """Names of the drawings that show this subject in this mood."""
    if use == "stream":
        return tuple(f"stream-{drawing.__name__}" for drawing in stream.drawings(subject, label))
    return tuple(
        f"lesson-{style}-{scene.__name__}-{label}" for style in STYLES for scene in lessons.scenes(subject)
    )


def draw(motif: str, seed: int) -> Image.Image:
    """The picture of this motif and seed: RGB, sides 320 to 640 px; the same pair gives the same pixels.

    Raises:
        KeyError: no motif has this name.
    """
    random = Random(f"{motif} {seed}")  # noqa: S311  # a picture's variant is no secret
    use, _, name = motif.partition("-")
    if use == "stream":
        pen = Pen(random)
        stream.BY_NAME[name](pen)
        return pen.finish()
    style, scene, label = name.split("-")
    pen = STYLES[style](random)
    lessons.BY_NAME[scene](pen, lessons.MOODS[label])
    return pen.finish()


def jpeg(image: Image.Image) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
