"""What the bytes of a picture say about themselves, read before any decoder sees them (pure)."""

import re
from typing import Literal, NamedTuple

PictureFormat = Literal["JPEG", "PNG", "WEBP", "GIF"]

_MAGIC: tuple[tuple[bytes, PictureFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_MARKER = re.compile(rb"\xff+([^\x00\xff])")


class Canvas(NamedTuple):
    """Width and height in pixels that a picture claims, and whether it moves."""

    width: int
    height: int
    animated: bool


def picture_format(data: bytes) -> PictureFormat | None:
    """The format by magic bytes, whatever a server or file name claims; None for all that we do not read."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def has_more_scans(data: bytes, limit: int) -> bool:
    """Whether a JPEG has more scans than `limit`; nearly free for those that have few."""
    return data.count(b"\xff\xda") > limit and count_scans(data) > limit


def count_scans(data: bytes) -> int:
    """Scans (SOS markers) of a JPEG, ITU-T T.81 annex B.

    A progressive JPEG of a few kilobytes may repeat its last scan thousands of times, each at the cost of
    the whole picture. Bytes after the end of the image (a phone's motion photo) and inside segments (a
    preview) do not count.
    """
    scans, position = 0, 0
    while found := _MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == _EOI:
            break
        scans += marker == _SOS
        if marker not in (_SOI, _TEM) and not 0xD0 <= marker <= 0xD7:
            position += int.from_bytes(data[position : position + 2], "big")
    return scans


def webp_canvas(data: bytes) -> Canvas | None:
    """What a WebP's first chunk claims (RFC 9649 and, for `VP8 `, RFC 6386 9.1); None if it cannot be read.

    Pillow makes room for the whole canvas as it opens the file, so this is read before.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        return Canvas(width, height, animated=bool(body[0] & 0x02))
    if chunk == b"VP8 ":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return Canvas(width, height, animated=False)
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return Canvas((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, animated=False)
    return None
