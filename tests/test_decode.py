import asyncio
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mmsent.errors import ImageError
from mmsent.images import processes
from mmsent.images.decode import ImageDecoder, decode_image
from mmsent.images.headers import count_scans, picture_format, webp_canvas
from mmsent.posts import ImageErrorReason
from mmsent.settings import Settings

SIZE = 32
WHITE = (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters(width: int = 96, height: int = 64) -> Image.Image:
    """Red, green over blue, black: no turn or flip leaves it as it is."""
    image = Image.new("RGB", (width, height))
    half_width, half_height = width // 2, height // 2
    image.paste((255, 0, 0), (0, 0, half_width, half_height))
    image.paste((0, 255, 0), (half_width, 0, width, half_height))
    image.paste((0, 0, 255), (0, half_height, half_width, height))
    return image


def refused(data: bytes, **options: int) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(data, SIZE, **options)
    assert caught.value.reason in get_args(ImageErrorReason)
    return caught.value.reason


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(BytesIO(jpeg), formats=["JPEG"])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_each_format_gives_the_same_picture(kind: str) -> None:
    decoded = decode_image(encoded(quarters(), kind), SIZE)
    assert decoded.pixels.shape == (SIZE, SIZE, 3)
    assert decoded.pixels.dtype == np.uint8
    expected = decode_image(encoded(quarters()), SIZE).pixels
    assert np.abs(decoded.pixels.astype(int) - expected).mean() < 8


def test_covers_the_square_and_cuts_the_centre() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste((0, 0, 255), (100, 0, 200, 100))
    decoded = decode_image(encoded(image), SIZE)
    assert (decoded.pixels[:, 2:-2] == (0, 0, 255)).all()
    assert np.abs(decoded.pixels.astype(int) - (0, 0, 255)).max() < 64  # the filter sees a little of the rest
    assert opened(decoded.thumbnail).size == (160, 53)


def test_a_small_picture_is_enlarged_for_the_model_but_not_for_the_thumbnail() -> None:
    decoded = decode_image(encoded(Image.new("RGB", (20, 10), "red")), SIZE)
    assert (decoded.pixels == (255, 0, 0)).all()
    assert opened(decoded.thumbnail).size == (20, 10)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_stands_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = encoded(quarters(), kind, exif=exif, quality=100)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(lying)))
    decoded, expected = decode_image(lying, SIZE), decode_image(encoded(upright), SIZE)
    assert np.abs(decoded.pixels.astype(int) - expected.pixels).mean() < 2
    assert opened(decoded.thumbnail).size == upright.size


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_spoil_the_picture() -> None:
    data = encoded(quarters(), "JPEG", exif=b"Exif\0\0MM\x00*\x00\x00\x00\x08\x00\x09broken")
    expected = decode_image(encoded(quarters(), "JPEG"), SIZE).pixels
    assert (decode_image(data, SIZE).pixels == expected).all()


def test_sixteen_bits_of_grey_are_scaled_not_clipped() -> None:
    grey = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    decoded = decode_image(encoded(Image.fromarray(grey)), 64).pixels
    assert np.abs(decoded[:, :, 0].astype(int) - (grey >> 8)).max() <= 1


def test_cmyk_becomes_the_colour_it_prints() -> None:
    data = encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(decode_image(data, SIZE).pixels.astype(int) - (255, 0, 0)).max() < 8


def palette_with_a_hole() -> bytes:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([9, 9, 9, 255, 0, 0])
    image.paste(0, (32, 0, 64, 64))
    return encoded(image, "PNG", transparency=0)


def grey_with_a_hole() -> bytes:
    image = Image.new("LA", (64, 64), (0, 255))
    image.paste((0, 0), (32, 0, 64, 64))
    return encoded(image)


def colour_with_a_hole() -> bytes:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (32, 0, 64, 64))
    return encoded(image, "WEBP", lossless=True)


@pytest.mark.parametrize("make", [palette_with_a_hole, grey_with_a_hole, colour_with_a_hole])
def test_transparent_parts_are_white(make: Callable[[], bytes]) -> None:
    pixels = decode_image(make(), SIZE).pixels
    assert (pixels[:, -8:] == WHITE).all()
    assert (pixels[:, :8] != WHITE).any(axis=2).all()


def test_half_transparent_is_mixed_with_white() -> None:
    pixels = decode_image(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 128))), SIZE).pixels
    assert np.abs(pixels.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes_without_colour(mode: str) -> None:
    assert (decode_image(encoded(Image.new(mode, (64, 64), 0)), SIZE).pixels == 0).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(decode_image(data, SIZE).pixels.astype(int) - (255, 0, 0)).max() < 8


def test_equal_bytes_give_equal_pixels() -> None:
    data = encoded(noise(640, 480), "JPEG")
    first, second = decode_image(data, 192), decode_image(data, 192)
    assert (first.pixels == second.pixels).all()
    assert first.thumbnail == second.thumbnail


def noise(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(7).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same() -> None:
    image = noise(2400, 1800)
    fast, whole = (decode_image(encoded(image, kind), 192).pixels for kind in ("JPEG", "PNG"))
    assert np.abs(fast.astype(int) - whole).mean() < 2


def test_thumbnail_is_a_small_jpeg_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = encoded(
        quarters(600, 900), "JPEG", exif=exif, comment=b"where I live", icc_profile=b"where I live"
    )
    thumbnail = opened(decode_image(data, SIZE).thumbnail)
    assert thumbnail.size == (107, 160)
    assert set(thumbnail.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"live" not in decode_image(data, SIZE).thumbnail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
        b"<!doctype html><img>",
        b"RIFF\x00\x00\x00\x00WAVE",
        encoded(quarters(), "BMP"),
        encoded(quarters(), "TIFF"),
        encoded(quarters(), "PPM"),
        b"%!PS-Adobe-3.0 EPSF-3.0",
    ],
    ids=["empty", "half a magic", "svg", "html", "wave", "bmp", "tiff", "ppm", "eps"],
)
def test_other_formats_are_refused(data: bytes) -> None:
    assert refused(data) == "format"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_half_a_picture_is_corrupt(kind: str) -> None:
    data = encoded(noise(200, 200), kind)
    assert refused(data[: len(data) // 2]) == "corrupt"


@pytest.mark.parametrize(
    "magic", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBP"]
)
def test_magic_alone_is_corrupt(magic: bytes) -> None:
    assert refused(magic + bytes(500)) in {"corrupt", "too_small"}


def test_a_picture_under_another_ones_magic_is_corrupt() -> None:
    assert refused(b"\xff\xd8\xff" + encoded(quarters())[3:]) == "corrupt"


@pytest.mark.parametrize("error", [SyntaxError, ValueError, struct.error, IndexError, RuntimeError])
def test_whatever_a_decoder_raises_the_picture_is_corrupt(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: Image.Image) -> None:
        raise error("broken")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    assert refused(encoded(quarters())) == "corrupt"


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG"])
def test_tiny_pictures_are_refused(size: tuple[int, int], kind: str) -> None:
    assert refused(encoded(Image.new("RGB", size), kind)) == "too_small"


def test_pixel_bombs_are_refused_at_once() -> None:
    bomb = encoded(Image.new("1", (13_000, 13_000)))
    started = time.process_time()
    assert refused(bomb) == "too_many_pixels"
    assert time.process_time() - started < 0.2
    assert refused(encoded(Image.new("1", (9000, 10)))) == "too_many_pixels"
    assert refused(encoded(Image.new("1", (101, 100))), max_pixels=10_000) == "too_many_pixels"
    decode_image(encoded(Image.new("1", (100, 100))), SIZE, max_pixels=10_000)


def test_an_animated_webp_may_have_a_quarter_of_the_pixels() -> None:
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("red", "blue")]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert refused(moving, max_pixels=60 * 60 * 4 - 1) == "too_many_pixels"
    decode_image(moving, SIZE, max_pixels=60 * 60 * 4)
    decode_image(encoded(frames[0], "WEBP"), SIZE, max_pixels=60 * 60)


@pytest.mark.parametrize(
    ("options", "animated"),
    [
        ({}, False),
        ({"lossless": True}, False),
        ({"exif": b"Exif\0\0MM\x00*\x00\x00\x00\x08\x00\x00"}, False),
        ({"save_all": True, "append_images": [Image.new("RGB", (300, 200), "red")]}, True),
    ],
    ids=["VP8", "VP8L", "VP8X", "animated"],
)
def test_reads_the_canvas_of_a_webp(options: dict[str, Any], animated: bool) -> None:
    data = encoded(Image.new("RGB", (300, 200)), "WEBP", **options)
    assert webp_canvas(data) == (300, 200, animated)
    assert webp_canvas(data[:25]) is None


def scan_bomb(repeats: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(noise(200, 200), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * repeats + data[-2:]


def test_scan_bombs_are_refused_before_they_are_decoded() -> None:
    bomb = scan_bomb(2000)
    started = time.process_time()
    assert refused(bomb) == "too_many_scans"
    assert time.process_time() - started < 0.2
    assert count_scans(scan_bomb(20)) == count_scans(encoded(noise(200, 200), "JPEG", progressive=True)) + 19
    decode_image(scan_bomb(20), SIZE)


def test_only_real_scans_count() -> None:
    data = encoded(noise(64, 64), "JPEG", comment=b"\xff\xda" * 100)
    motion_photo = data + b"\xff\xda" * 1000
    assert count_scans(motion_photo) == 1
    decode_image(motion_photo, SIZE)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    cut=st.floats(0.1, 1),
)
def test_damaged_pictures_never_raise_anything_else(
    kind: str, changes: list[tuple[float, int]], cut: float
) -> None:
    data = bytearray(PICTURES[kind])
    for place, value in changes:
        data[int(place * len(data))] = value
    with suppress(ImageError):
        assert decode_image(bytes(data[: int(cut * len(data))]), SIZE).pixels.shape == (SIZE, SIZE, 3)


PICTURES = {kind: encoded(noise(120, 90), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")}


# --- processes


def decoder_settings(**values: Any) -> Settings:
    return Settings(**{"decode_processes": 2, "decode_timeout_s": 1.0, **values})


@pytest.fixture
async def decoder() -> AsyncIterator[ImageDecoder]:
    decoder = ImageDecoder(decoder_settings(), SIZE)
    yield decoder
    decoder.close()


async def reason_of(awaitable: Any) -> str:
    with pytest.raises(ImageError) as caught:
        await awaitable
    return caught.value.reason


async def evaluated(decoder: ImageDecoder, expression: str) -> Any:
    """Its value in one of the processes, which need not import this file for it."""
    return await decoder._processes.run(eval, expression)


async def pids_of(decoder: ImageDecoder) -> set[int]:
    pid_after_a_moment = "(__import__('time').sleep(0.05), __import__('os').getpid())[1]"
    return set(await asyncio.gather(*(evaluated(decoder, pid_after_a_moment) for _ in range(8))))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def all_end(pids: set[int], within_s: float = 10.0) -> bool:
    give_up_at = time.monotonic() + within_s
    while any(map(alive, pids)) and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return not any(map(alive, pids))


async def test_decodes_as_in_this_process(decoder: ImageDecoder) -> None:
    data = encoded(noise(640, 480), "JPEG")
    there, here = await decoder.decode(data), decode_image(data, SIZE)
    assert (there.pixels == here.pixels).all()
    assert there.thumbnail == here.thumbnail
    there.pixels[0, 0] = 0  # ours to write


async def test_passes_on_why_a_picture_was_refused(decoder: ImageDecoder) -> None:
    half = encoded(quarters())[:300]
    assert await reason_of(decoder.decode(b"<svg/>")) == "format"
    assert await reason_of(decoder.decode(half[:100])) == "corrupt"
    assert await reason_of(decoder.decode(scan_bomb(100))) == "too_many_scans"
    assert await reason_of(decoder.decode(encoded(Image.new("1", (5, 5))))) == "too_small"


async def test_settings_reach_the_processes() -> None:
    decoder = ImageDecoder(decoder_settings(image_max_pixels=1000, image_max_scans=3, thumbnail_px=20), SIZE)
    try:
        assert await reason_of(decoder.decode(encoded(quarters()))) == "too_many_pixels"
        assert await reason_of(decoder.decode(encoded(noise(20, 20), "JPEG", progressive=True))) == (
            "too_many_scans"
        )
        small = await decoder.decode(encoded(quarters(30, 20)))
        assert opened(small.thumbnail).size == (20, 13)
    finally:
        decoder.close()


async def test_what_hangs_loses_only_itself(decoder: ImageDecoder) -> None:
    data = encoded(quarters())
    await decoder.open()
    started = time.monotonic()
    hanging = [asyncio.create_task(reason_of(decoder._processes.run(time.sleep, 60))) for _ in range(3)]
    decoded = await asyncio.gather(*(decoder.decode(data) for _ in range(12)))
    assert len(decoded) == 12
    assert await asyncio.gather(*hanging) == ["decode_timeout"] * 3
    assert time.monotonic() - started < 12


async def test_what_hangs_outside_python_is_killed_at_once(decoder: ImageDecoder) -> None:
    await decoder.decode(encoded(quarters()))
    started = time.monotonic()
    assert await reason_of(evaluated(decoder, "sum(range(10**12))")) == "decode_timeout"
    assert time.monotonic() - started < 3.5


@pytest.mark.parametrize("how", [os.abort, os._exit], ids=["abort", "exit"])
async def test_what_crashes_loses_only_itself(decoder: ImageDecoder, how: Callable[..., None]) -> None:
    data = encoded(quarters())
    crashing = [
        asyncio.create_task(reason_of(decoder._processes.run(how, *([3] if how is os._exit else []))))
        for _ in range(3)
    ]
    assert len(await asyncio.gather(*(decoder.decode(data) for _ in range(12)))) == 12
    assert await asyncio.gather(*crashing) == ["decode_crash"] * 3
    await decoder.decode(data)


async def test_a_picture_that_needs_too_much_memory_loses_only_itself() -> None:
    decoder = ImageDecoder(decoder_settings(decode_max_memory_mib=24), SIZE)
    try:
        assert await reason_of(decoder.decode(encoded(Image.new("RGBA", (3000, 3000))))) == "decode_crash"
        await decoder.decode(encoded(quarters()))
    finally:
        decoder.close()


async def test_the_limits_suffice_for_the_largest_picture_allowed() -> None:
    decoder = ImageDecoder(decoder_settings(decode_timeout_s=30), SIZE)
    try:
        for kind, mode in (("PNG", "RGBA"), ("WEBP", "RGB"), ("JPEG", "CMYK")):
            await decoder.decode(encoded(Image.new(mode, (4000, 4000)), kind, **FAST.get(kind, {})))
    finally:
        decoder.close()


FAST: dict[str, dict[str, Any]] = {"PNG": {"compress_level": 1}, "WEBP": {"quality": 1, "method": 0}}


async def test_cpu_time_is_limited_even_if_nobody_kills(decoder: ImageDecoder) -> None:
    soft = await evaluated(decoder, "__import__('resource').getrlimit(0)[0]")
    assert 0 < soft < 10


async def test_a_caller_that_is_cancelled_disturbs_nobody(decoder: ImageDecoder) -> None:
    data = encoded(quarters())
    impatient = [asyncio.create_task(decoder.decode(data)) for _ in range(20)]
    await asyncio.sleep(0.01)
    for task in impatient[::2]:
        task.cancel()
    results = await asyncio.gather(*impatient, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert all(not isinstance(result, BaseException) for result in results[1::2])
    assert (await decoder.decode(data)).pixels.shape == (SIZE, SIZE, 3)


async def test_survives_the_loss_of_idle_processes(decoder: ImageDecoder) -> None:
    data = encoded(quarters())
    for pid in await pids_of(decoder):
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(0.3)
    await asyncio.gather(*(decoder.decode(data) for _ in range(8)))


async def test_new_processes_wait_for_the_end_of_broken_ones(
    decoder: ImageDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side, the end of the old ones would take the new ones with it."""
    begun_and_ended: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        function = getattr(processes, name)

        def run(*args: Any) -> Any:
            begun_and_ended.append(name)
            time.sleep(0.3)  # so that the other, were it not to wait, would begin meanwhile
            result = function(*args)
            begun_and_ended.append(name)
            return result

        return run

    for pid in await pids_of(decoder):
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(0.3)
    for name in ("_stop", "_start"):
        monkeypatch.setattr(processes, name, noted(name))
    await asyncio.gather(*(decoder.decode(encoded(quarters())) for _ in range(8)))
    assert begun_and_ended == ["_stop", "_stop", "_start", "_start"]


async def test_a_process_ended_from_outside_does_not_cost_the_picture(
    decoder: ImageDecoder, tmp_path: Path
) -> None:
    marker = tmp_path / "died"
    die_once = (
        f"'lived' if __import__('os').path.exists({str(marker)!r}) else "
        f"(open({str(marker)!r}, 'w').close(), __import__('os').kill(__import__('os').getpid(), 15))"
    )
    assert await evaluated(decoder, die_once) == "lived"


async def test_processes_are_recycled(decoder: ImageDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsent.images.processes.RECYCLE_AFTER", 3)
    before = await pids_of(decoder)
    await asyncio.gather(*(decoder.decode(encoded(quarters())) for _ in range(12)))
    assert not before & await pids_of(decoder)


async def test_close_leaves_no_process_and_nobody_waiting(decoder: ImageDecoder) -> None:
    pids = await pids_of(decoder)
    assert len(pids) == 2
    assert os.getpid() not in pids
    waiting = [asyncio.create_task(reason_of(decoder._processes.run(time.sleep, 60))) for _ in range(6)]
    await asyncio.sleep(0.2)
    started = time.monotonic()
    decoder.close()
    assert await asyncio.gather(*waiting) == ["decode_crash"] * 6
    assert time.monotonic() - started < 3
    assert not any(map(alive, pids))
    assert not multiprocessing.active_children()
    assert await reason_of(decoder.decode(encoded(quarters()))) == "decode_crash"


async def test_close_amid_large_pictures(decoder: ImageDecoder) -> None:
    big = encoded(quarters()) + bytes(4 * 1024 * 1024)
    await decoder.open()
    tasks = [asyncio.create_task(decoder.decode(big)) for _ in range(20)]
    await asyncio.sleep(0.05)
    decoder.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(not isinstance(result, BaseException) or isinstance(result, ImageError) for result in results)
    assert not multiprocessing.active_children()


async def test_close_while_starting_leaves_no_process(decoder: ImageDecoder) -> None:
    starting = asyncio.create_task(decoder.open())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    decoder.close()
    await asyncio.gather(starting, return_exceptions=True)
    assert not multiprocessing.active_children()


async def test_processes_load_neither_engine_nor_torch(decoder: ImageDecoder) -> None:
    loaded = set(await evaluated(decoder, "list(__import__('sys').modules)"))
    assert "PIL.JpegImagePlugin" in loaded or "PIL.Image" in loaded
    assert not loaded & {"torch", "openvino", "transformers", "sqlalchemy", "aiokafka", "redis"}


def test_processes_end_with_a_program_that_was_killed() -> None:
    script = """
import asyncio, os, signal, time
from mmsent.images.decode import ImageDecoder
from mmsent.settings import Settings
async def main():
    decoder = ImageDecoder(Settings(decode_processes=2), 32)
    await decoder.open()
    print(*await asyncio.gather(*(decoder._processes.run(os.getpid) for _ in range(6))), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    killed = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False, timeout=60)
    pids = {int(pid) for pid in killed.stdout.split()}
    assert killed.returncode == -signal.SIGKILL
    assert pids
    assert all_end(pids)


def test_what_the_first_bytes_say() -> None:
    assert [picture_format(data) for data in PICTURES.values()] == list(PICTURES)
    assert picture_format(struct.pack("<4sI4s", b"RIFF", 0, b"WEBP")) == "WEBP"
