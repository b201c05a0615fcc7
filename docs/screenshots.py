"""`make screenshots`: pictures of page Live for the README, taken of the running demo.

Needs the extra `dev`, Chromium and an emoji font (Debian: chromium, fonts-noto-color-emoji). The demo plays
its sample in a folder of its own; the story that the sample tells needs a few minutes to show.
"""

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from mmsent.embedded.record import running_demo

FOLDER = Path(__file__).parent / "images"
WINDOW = {"width": 1280, "height": 1100}  # down to the first disagreements
SCALE = 2
MAX_BYTES = 400_000
READY_WITHIN_S = 300
DRAWN_WITHIN_S = 5  # after the figures are there, the charts and pictures follow


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the README's pictures of page Live.")
    parser.add_argument("--after", type=float, default=240, help="seconds that the demo runs before")
    parser.add_argument(
        "--page", default="/?range=15m&refresh=pause", help="what to look at (default: %(default)s)"
    )
    options = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        sys.exit("there is no Chromium: install the package chromium")
    FOLDER.mkdir(exist_ok=True)
    with running() as address, sync_playwright() as playwright:
        print(f"the demo runs; pictures follow in {options.after:g} s", flush=True)
        time.sleep(options.after)
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root has none
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        for scheme in ("light", "dark"):
            file = FOLDER / f"live-{scheme}.png"
            file.write_bytes(small(look(browser, address + options.page, scheme)))
            print(f"{file}: {file.stat().st_size // 1000} kB", flush=True)


@contextmanager
def running() -> Iterator[str]:
    """A demo with the sample, in a folder of its own; yields the dashboard's address."""
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, "-m", "mmsent", "demo", "--port", "0", "--data-dir", folder)
        process = subprocess.Popen(command)
        try:
            yield address(process, Path(folder))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def address(process: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + READY_WITHIN_S
    while (record := running_demo(folder)) is None or record.dashboard is None:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the demo did not start; see above")
        time.sleep(0.5)
    return record.dashboard


def look(browser: Browser, url: str, scheme: str) -> bytes:
    """A PNG of the page as it first comes into sight."""
    with browser.new_context(viewport=WINDOW, device_scale_factor=SCALE, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(url)
        page.get_by_test_id("stMetric").nth(3).wait_for()
        page.wait_for_timeout(DRAWN_WITHIN_S * 1000)
        return page.screenshot()


def small(png: bytes) -> bytes:
    """The same picture in as many colours as `MAX_BYTES` leaves room for."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colors in (256, 192, 128, 96, 64):
        buffer = io.BytesIO()
        picture.quantize(colors, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            return buffer.getvalue()
    sys.exit(f"the picture is larger than {MAX_BYTES} bytes in 64 colours: make the window smaller")


if __name__ == "__main__":
    main()
