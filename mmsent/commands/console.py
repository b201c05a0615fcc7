"""Talking to the person at the terminal: stdout is data, stderr is talk."""

import logging
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from mmsent.posts import Opinion
    from mmsent.settings import Settings

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")
NARROW = 60  # columns that everything can be read in
SENTIMENTS = {  # mark and colour; blue and vermilion stay apart for every kind of colour vision
    "positive": ("▲", "#2f83c5"),
    "neutral": ("•", "#8a93a0"),
    "negative": ("▼", "#d4681c"),
}


def say(line: str) -> None:
    """One line of talk."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # the terminal is what this is for


def give(line: str) -> None:
    """One line of data."""
    print(line, flush=True)  # noqa: T201  # the terminal is what this is for


def talk_console() -> "Console":
    """rich's console on stderr."""
    from rich.console import Console  # noqa: PLC0415  # half of what a command takes to start

    return Console(stderr=True, highlight=False)


def data_console() -> "Console":
    """rich's console on stdout. Colours only on a terminal, and not if NO_COLOR is set (no-color.org)."""
    from rich.console import Console  # noqa: PLC0415  # half of what a command takes to start

    return Console(highlight=False, soft_wrap=False)


def opinion_text(opinion: "Opinion | None") -> "Text":
    """▲ positive 0.93, in the sentiment's colour; – without an opinion."""
    from rich.text import Text  # noqa: PLC0415  # half of what a command takes to start

    if opinion is None:
        return Text("–", style="dim")
    mark, color = SENTIMENTS[opinion.label]
    return Text(f"{mark} {opinion.label} {getattr(opinion, opinion.label):.2f}", style=color)


def give_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A table on stdout."""
    from rich.markup import escape  # noqa: PLC0415  # half of what a command takes to start
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(printable(str(cell))) for cell in row))
    data_console().print(table)


def printable(text: str, limit: int | None = None) -> str:
    """A stranger's text in one line that cannot steer the terminal, cut to `limit` characters."""
    line = CONTROL.sub(" ", text).strip()
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def configure_logging(settings: "Settings") -> None:
    """Log lines of this program go to stderr, as settings say; those of libraries nowhere.

    What libraries have to say comes to people in our own errors.
    """
    import structlog  # noqa: PLC0415  # spares `--help` its time

    logging.basicConfig(handlers=[logging.NullHandler()])
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
