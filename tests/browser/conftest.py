"""A running demo over posts of our own, and pages of a real Chromium that look at it."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from mmsent.embedded.record import running_demo
from mmsent.store.edits import add_topic
from mmsent.store.schema import upgrade
from mmsent.topics import TrackedTopic

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

READY_WITHIN_S = 120
PATIENCE_MS = 90_000  # a busy machine is no broken page
STRANGE = "good ![x](http://evil.example/x.png) <img src=http://evil.example/y.png> [z](http://evil.example)"
# What the stub engine makes of them: for the words, for the picture, and whether the two disagree.
TEXTS = ("picnic was great", "picnic was terrible", "a train", "good", "the picnic is great", STRANGE)
PICTURES = (None, None, None, "bright.png", "dark.png", "dark.png")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard whose numbers move: twenty posts a second, half of them with a picture."""
    folder = tmp_path_factory.mktemp("demo")
    track_topic(folder / "data")
    log = (folder / "demo.log").open("wb")
    options = ("--posts", write_posts(folder), "--rate", "20", "--port", "0", "--data-dir", folder / "data")
    process = subprocess.Popen(
        [sys.executable, "-m", "mmsent", "demo", *map(str, options)],
        env={**os.environ, "MMSENT_ENGINE": "stub", "MMSENT_TOPICS_REFRESH_S": "1"},
        stdout=log,
        stderr=log,
    )
    try:
        yield address(process, folder)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        log.close()


def track_topic(data: Path) -> None:
    data.mkdir()
    database = f"sqlite:///{data / 'mmsent.db'}"
    upgrade(database)
    add_topic(database, TrackedTopic("picnic", any_of=("picnic",)), datetime.now(UTC))


def write_posts(folder: Path, rounds: int = 2000) -> Path:
    Image.new("RGB", (320, 240), (235, 235, 220)).save(folder / "bright.png")
    Image.new("RGB", (320, 240), (30, 30, 40)).save(folder / "dark.png")
    lines = []
    for number in range(rounds):
        for kind, (text, picture) in enumerate(zip(TEXTS, PICTURES, strict=True)):
            image = {"image": picture} if picture else {}
            lines.append(json.dumps({"id": f"{number}-{kind}", "text": text} | image))
    file = folder / "posts.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def address(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Where the dashboard is, once the demo is ready."""
    deadline = time.monotonic() + READY_WITHIN_S
    while (record := running_demo(folder / "data")) is None:
        said = (folder / "demo.log").read_text(encoding="utf-8")
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    assert record.dashboard
    return record.dashboard


@pytest.fixture(scope="module")  # not longer: while it lives, asyncio believes that a loop is running
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium")
    if missing := what_is_missing(program):
        (pytest.fail if os.environ.get("MMSENT_TEST_SERVICES") else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # it may be missing

    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root has none
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield browser
        browser.close()


def what_is_missing(program: str | None) -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "needs playwright: pip install 'mmsent[dev]'"
    return None if program else "needs Chromium: install the package chromium"


@dataclass
class Visit:
    """A page, and everything that it asked for or complained about."""

    page: "Page"
    hosts: set[str | None] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("websocket", lambda socket: self._asked(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._said)

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob"}:
            self.hosts.add(urlsplit(url).hostname)

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture
def visit(demo: str, chromium: "Browser") -> Iterator[Callable[..., "Page"]]:
    """`visit(path, **options of the browser)` opens the page and waits for its figures.

    However a test goes, no page may ask another machine for something or complain in its console.
    """
    visits: list[Visit] = []
    contexts: list[BrowserContext] = []

    def open_page(path: str = "/", **options: Any) -> "Page":
        contexts.append(chromium.new_context(**options))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        seen = Visit(contexts[-1].new_page())
        visits.append(seen)
        seen.listen()
        seen.page.goto(demo + path)
        seen.page.get_by_test_id("stMetric").nth(3).wait_for()
        return seen.page

    yield open_page
    for context in contexts:
        context.close()
    assert [complaint for seen in visits for complaint in seen.complaints] == []
    assert {host for seen in visits for host in seen.hosts} <= {"127.0.0.1", "localhost"}
