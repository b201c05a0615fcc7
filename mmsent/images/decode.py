"""Bytes of a stranger → a small RGB picture and a thumbnail, or the reason why not.

`decode_image` does it here and now, for pictures that are trusted not to kill us (training);
`ImageDecoder` has the same done by processes that may be killed (everything live).
"""

import os
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from mmsent.errors import ImageError
from mmsent.images.headers import Canvas, has_more_scans, picture_format, webp_canvas
from mmsent.images.processes import KillableProcesses
from mmsent.settings import Settings

MIN_SIDE = 8
MAX_SIDE = 8192
MAX_PIXELS = 16_000_000
MAX_SCANS = 64
ANIMATED_WEBP_COST = 4  # libwebp keeps about four canvases of an animation, of a still picture one
THUMBNAIL_QUALITY = 80
BACKGROUND = (255, 255, 255)

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {  # TIFF 6.0, Orientation → what puts the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodedImage:
    """`pixels`: uint8 RGB (S, S, 3), the upright picture's centre; `thumbnail`: all of it, as a JPEG."""

    pixels: NDArray[np.uint8]
    thumbnail: bytes


def decode_image(
    data: bytes,
    size: int,
    thumbnail_px: int = 160,
    *,
    max_pixels: int = MAX_PIXELS,
    max_scans: int = MAX_SCANS,
) -> DecodedImage:
    """The picture in `data`, scaled so that it covers `size` × `size` and cut to its centre.

    Of an animation the first frame counts. Transparent parts are white; colour profiles are ignored. The
    thumbnail's longer side is at most `thumbnail_px`; it carries none of the file's metadata. Equal bytes
    give equal pixels.

    Raises:
        ImageError: `format`, `corrupt`, `too_small`, `too_many_pixels` (or a side above 8192),
            `too_many_scans`; `decode_crash` if memory ran out.
    """
    kind = picture_format(data)
    if kind is None:
        raise _not_a_picture()
    if kind == "JPEG" and has_more_scans(data, max_scans):
        raise ImageError("too_many_scans", f"more than {max_scans}")
    if kind == "WEBP" and (canvas := webp_canvas(data)):
        _check_canvas(canvas, max_pixels)
    try:
        with Image.open(BytesIO(data), formats=(kind,)) as image:
            _check_canvas(Canvas(*image.size, animated=False), max_pixels)
            return _decode(image, size, thumbnail_px)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too_many_pixels") from error
    except MemoryError as error:
        raise ImageError("decode_crash", "out of memory") from error
    except Exception as error:  # on hostile bytes decoders raise anything, SyntaxError too
        raise ImageError("corrupt", type(error).__name__) from error


def _check_canvas(canvas: Canvas, max_pixels: int) -> None:
    width, height, animated = canvas
    allowed = max_pixels // ANIMATED_WEBP_COST if animated else max_pixels
    if min(width, height) < MIN_SIDE:
        raise ImageError("too_small", f"{width} × {height}")
    if max(width, height) > MAX_SIDE or width * height > allowed:
        raise ImageError("too_many_pixels", f"{width} × {height}")


def _decode(image: Image.Image, size: int, thumbnail_px: int) -> DecodedImage:
    width, height = image.size
    needed = max(size, round(thumbnail_px * min(width, height) / max(width, height)))
    image.draft(None, (needed, needed))  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    rgb = _to_rgb(image, needed)
    square, thumbnail = _cover(rgb, size), _fit(rgb, min(thumbnail_px, max(width, height)))
    if upright is not None:
        square, thumbnail = square.transpose(upright), thumbnail.transpose(upright)
    return DecodedImage(np.array(square), _to_jpeg(thumbnail))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except (struct.error, SyntaxError, ValueError, TypeError, KeyError, OSError, UserWarning):
        return 1  # broken metadata does not spoil the picture


def _to_rgb(image: Image.Image, needed: int) -> Image.Image:
    """`image` as RGB, at least twice `needed` on its shorter side where it was larger than that."""
    if image.mode.startswith("I"):  # 16 bits of grey, which convert() would clip
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if (factor := min(image.size) // (2 * needed)) > 1:
        image = image.reduce(factor)
    if image.mode == "RGBA":
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(canvas, image)
    return image.convert("RGB")


def _cover(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))


def _fit(image: Image.Image, longer_side: int) -> Image.Image:
    scale = longer_side / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.HAMMING)


def _to_jpeg(image: Image.Image) -> bytes:
    image.info.clear()  # Pillow would write the stranger's comment again
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()


class ImageDecoder:
    """`decode_image` in processes of its own; a picture that hangs or crashes one loses only itself.

    One event loop uses a decoder.
    """

    def __init__(self, settings: Settings, size: int) -> None:
        self._task = _DecodeTask(
            size, settings.thumbnail_px, settings.image_max_pixels, settings.image_max_scans
        )
        self._processes = KillableProcesses(
            settings.decode_processes or min(4, os.cpu_count() or 1),
            timeout_s=settings.decode_timeout_s,
            max_memory_mib=settings.decode_max_memory_mib,
            prepare=_refuse_doubtful_pictures,
        )

    async def open(self) -> None:
        """Start the processes now rather than with the first picture."""
        await self._processes.open()

    async def decode(self, data: bytes) -> DecodedImage:
        """As `decode_image`. A caller that is cancelled leaves its picture to end by itself.

        Raises:
            ImageError: as `decode_image`; `decode_timeout` after `decode_timeout_s` of work (waiting for a
                process does not count); `decode_crash` if the process died or its memory ran out.
        """
        if picture_format(data) is None:
            raise _not_a_picture()
        outcome = await self._processes.run(self._task, data)
        if isinstance(outcome, _Refusal):
            raise ImageError(outcome.reason, outcome.detail)
        pixels, thumbnail = outcome
        shape = (self._task.size, self._task.size, 3)
        return DecodedImage(np.frombuffer(bytearray(pixels), np.uint8).reshape(shape), thumbnail)

    def close(self) -> None:
        """End every decoding process, busy or not; whoever still waits gets `decode_crash`."""
        self._processes.close()


@dataclass(frozen=True)
class _Refusal:
    reason: str
    detail: str


@dataclass(frozen=True)
class _DecodeTask:
    size: int
    thumbnail_px: int
    max_pixels: int
    max_scans: int

    def __call__(self, data: bytes) -> tuple[bytes, bytes] | _Refusal:
        try:
            decoded = decode_image(
                data, self.size, self.thumbnail_px, max_pixels=self.max_pixels, max_scans=self.max_scans
            )
        except ImageError as error:
            return _Refusal(error.reason, str(error).removeprefix(error.reason).removeprefix(": "))
        return decoded.pixels.tobytes(), decoded.thumbnail


def _not_a_picture() -> ImageError:
    return ImageError("format", "not a JPEG, PNG, WebP or GIF")


def _refuse_doubtful_pictures() -> None:
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
