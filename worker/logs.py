"""What a worker logs: one line an event on stderr, for people or as JSON, libraries and crashes included.

No line of ours quotes an error that is not ours: it may hold what people wrote. Dead letters keep that.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from mmsent.commands.console import printable
from mmsent.errors import MmsentError
from mmsent.settings import Settings

REPEAT_S = 10.0  # between two lines of a library that say the same
FIELD_LENGTH = 1000  # characters of one field, for people

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

log = structlog.get_logger(__name__)


class Sparse(logging.Filter):
    """Libraries say the same thing once in a while only; of a broker that is down, 30 times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, str(record.msg))
        fresh = record.created - self._said_at.get(key, 0.0) >= REPEAT_S
        if fresh:
            self._said_at[key] = record.created
        return fresh


def configure_logging(settings: Settings) -> None:
    """Our events as settings say; of libraries, and of what nobody caught, what is worth a warning."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    last = [_single_lines, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    rendering: list[Any] = [structlog.processors.JSONRenderer()] if settings.log_format == "json" else last
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.ExceptionRenderer(_without_words), *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Sparse())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *rendering,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed


def say_why(error: MmsentError, log_format: str) -> None:
    """The last line of a worker that cannot go on."""
    if log_format == "json":
        log.error("failed", error=str(error), exit_code=error.exit_code)
    else:
        sys.stderr.write(f"{error}\n")


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("crashed", exc_info=(kind, error, trace))


def _without_words(exc_info: ExcInfo) -> str:
    """Where each error of the chain was raised and what it is, the last one last."""
    errors = [*_chain(exc_info[1])]
    return "\n".join(_where(error) + type(error).__qualname__ for error in reversed(errors))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _where(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__))


def _single_lines(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A stranger's text can neither steer the terminal nor begin a line that looks like ours."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = printable(value, FIELD_LENGTH)
    return event
