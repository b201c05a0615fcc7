"""`mmsent demo`: look before anything starts, run, say what it came to."""

import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.text import Text

from mmsent.commands.console import give, printable, talk_console
from mmsent.embedded.browser import has_display, open_page
from mmsent.embedded.demo import DemoPlan, Talk, run_demo
from mmsent.embedded.figures import Figures
from mmsent.embedded.ingest import Timed, at_rate
from mmsent.embedded.pictures import PictureServer
from mmsent.embedded.processes import process_age_s
from mmsent.embedded.servers import require_free
from mmsent.embedded.stack import ProgramEndedError, Steps
from mmsent.errors import SetupError
from mmsent.settings import Settings
from mmsent.sources.replay import open_posts
from mmsent.sources.sample import RATE as SAMPLE_RATE
from mmsent.sources.sample import sample_messages
from mmsent.sources.sample_texts import TOPICS

if TYPE_CHECKING:
    from rich.console import Console

FILE_RATE = 10.0  # posts a second
LINE_EVERY_S = 10.0  # where there is no terminal to keep a line up to date on

Stream = Callable[[PictureServer], Iterable[Timed]]


def run(
    settings: Settings,
    *,
    posts: Path | None,
    source: str | None,
    rate: float | None,
    seed: int,
    past_s: float,
    duration_s: float | None,
    headless: bool,
    browser: bool,
    as_json: bool,
) -> None:
    """Run a demo and print its summary on stdout.

    Raises:
        MmsentError: it cannot be started, or broke; nothing is left running.
    """
    plan = DemoPlan(
        messages=(
            _sample(SAMPLE_RATE if rate is None else rate, seed, past_s)
            if posts is None
            else _file(posts, source, FILE_RATE if rate is None else rate)
        ),
        topics=TOPICS if posts is None else (),
        duration_s=duration_s,
        ends_with_stream=headless or rate == 0,
        headless=headless,
        page="range=15m" if posts is None else "",
    )
    with _Terminal(browser=browser) as terminal:
        _check(settings, headless=headless)
        talk = Talk(terminal.say, terminal.show, Steps(terminal.doing, terminal.done), terminal.open)
        try:
            summary = asyncio.run(run_demo(settings, plan, talk))
        except ProgramEndedError as error:
            for line in error.last_lines:
                terminal.say(f"  {printable(line)}")
            raise
    if summary is None:
        return
    if as_json:
        give(json.dumps(summary.as_json()))
    else:
        for line in summary.lines():
            give(line)


def _sample(rate: float, seed: int, past_s: float) -> Stream:
    return lambda pictures: sample_messages(pictures.address_of_drawing, seed=seed, rate=rate, past_s=past_s)


def _file(posts: Path, source: str | None, rate: float) -> Stream:
    file = open_posts(posts, source)
    return lambda pictures: at_rate((post.with_addresses(pictures.address_of) for post in file), rate)


def _check(settings: Settings, *, headless: bool) -> None:
    """Find what is missing before anything is made."""
    if settings.engine != "stub":
        from mmsent.model.checkpoint import load_checkpoint  # noqa: PLC0415  # not for the stub

        load_checkpoint(settings.checkpoint)
    if headless:
        return
    if importlib.util.find_spec("streamlit") is None:
        raise SetupError("the dashboard needs streamlit; run: pip install 'mmsent[demo]', or give --headless")
    if settings.dashboard_port:
        require_free(settings.dashboard_port, settings.dashboard_host)


class _Terminal:
    """Talk on stderr, with one line that stays up to date: what is going on, then the figures."""

    def __init__(self, *, browser: bool) -> None:
        self._console: Console = talk_console()
        self._status = self._console.status(self._line("starting"), spinner="dots")
        self._browser = browser and sys.stderr.isatty() and has_display()
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def doing(self, what: str) -> None:
        self._status.update(self._line(what))

    def done(self, what: str) -> None:
        """One step of the start, with the seconds since the program was started."""
        self._console.print(
            Text.assemble(("✔", "green"), f" {process_age_s():5.1f} s  {what}"), soft_wrap=True
        )

    def open(self, address: str) -> None:
        """The page to look at: in a line that stands out, and in a browser if there is a display."""
        line = Text.assemble("dashboard: ", (address, "bold reverse" if self._console.is_terminal else ""))
        self._console.print(line, soft_wrap=True)
        self.doing("waiting for the first posts")
        if self._browser:
            open_page(address)

    def show(self, figures: Figures) -> None:
        if self._console.is_terminal:
            self.doing(figures.line())
        elif time.monotonic() - self._shown >= LINE_EVERY_S:
            self._shown = time.monotonic()
            self.say(figures.line())

    @staticmethod
    def _line(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")
