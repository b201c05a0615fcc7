"""Showing a page in the person's browser, where there is a display to show it on."""

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Mapping


def has_display(environment: Mapping[str, str] | None = None, system: str = "") -> bool:
    """Whether a window would open in front of whoever sits here: an X or Wayland display, or a Mac's own."""
    names = os.environ if environment is None else environment
    if (system or platform.system()) == "Darwin":
        return not names.get("SSH_CONNECTION")
    return bool(names.get("DISPLAY") or names.get("WAYLAND_DISPLAY"))


def open_page(address: str) -> threading.Thread:
    """Open it, without waiting; a browser that writes or asks gets no terminal to do so."""
    command = (sys.executable, "-m", "webbrowser", "-t", address)
    nowhere = subprocess.DEVNULL

    def run() -> None:
        subprocess.run(  # noqa: S603  # our own interpreter, no shell
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, check=False
        )

    thread = threading.Thread(target=run, name="open-page", daemon=True)
    thread.start()
    return thread
