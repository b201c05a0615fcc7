"""What an alert looks like: a block on a terminal, one line in a pipe."""

from collections.abc import Sequence
from datetime import UTC, datetime
from textwrap import wrap
from urllib.parse import urlencode

from rich.text import Text

from mmsent.commands.console import opinion_text, printable
from mmsent.posts import Alert
from mmsent.store.reads import ALL_TOPICS, Quote

TEXT_LENGTH = 80  # of a post in one line of a pipe
MAX_SEVERITY = 10
LEVELS = ((7, "bold #e5484d"), (4, "bold #d4681c"), (1, "bold #d9a400"))  # from this severity on
QUIET = "dim"


def line_of(alert: Alert, quotes: Sequence[Quote] = ()) -> str:
    """One revision in one line."""
    parts = [
        alert.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        alert.kind,
        alert.topic,
        f"severity {alert.severity}",
        _posts(alert.count),
        f"revision {alert.revision}" + ("" if alert.state == "open" else f", {alert.state}"),
        alert.title,
        *(f"“{printable(quote.text, TEXT_LENGTH)}”" for quote in quotes[:1]),
    ]
    return " · ".join(printable(part) for part in parts)


def block(
    alert: Alert,
    quotes: Sequence[Quote],
    *,
    width: int,
    dashboard: str | None,
    shown: Alert | None = None,
    now: datetime,
) -> list[Text]:
    """An alert in lines of at most `width` cells; `shown` is the revision that the person saw last."""
    lines = [_head(alert, shown, now), *_title(alert, width)]
    for quote in quotes:
        lines += [
            Text(f"  “{printable(quote.text)}”" if quote.text else "  (no words)"),
            _opinions(quote, width),
        ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return [*lines, Text(f"  → {_next_step(alert, dashboard)}")]  # an address is worth its second line


def _head(alert: Alert, shown: Alert | None, now: datetime) -> Text:
    style = next(style for least, style in LEVELS if alert.severity >= least)
    filled = (alert.severity + 1) // 2
    return Text.assemble(
        (f"{'█' * filled}{'░' * (MAX_SEVERITY // 2 - filled)} {alert.severity}/{MAX_SEVERITY}", style),
        f"  {_clock(alert.created_at, now)}  ",
        (printable(f"{alert.kind} · {alert.topic}"), "bold"),
        f"  {_posts(alert.count)}",
        "" if shown is None or shown.count == alert.count else f" (was {shown.count:,})",
        ("  over" if alert.state == "recovered" else "", "bold"),
    )


def _clock(time: datetime, now: datetime) -> str:
    """The time of day here, and the date too unless it is today's."""
    here = time.astimezone()
    return f"{here:%H:%M:%S}" if here.date() == now.astimezone().date() else f"{here:%d %b %H:%M}"


def _title(alert: Alert, width: int) -> list[Text]:
    lines = [Text(f"  {line}") for line in wrap(printable(alert.title), width - 2)] or [Text("")]
    share = alert.why.get("flagged_share")
    if isinstance(share, int | float):
        _append(lines[-1], f"  {share:.0%} of {'all' if alert.topic == ALL_TOPICS else 'its'} posts", width)
    return lines


def _opinions(quote: Quote, width: int) -> Text:
    line = Text.assemble(
        ("    words ", QUIET),
        opinion_text(quote.text_opinion),
        ("  ≠  picture ", QUIET),
        opinion_text(quote.image_opinion),
    )
    if quote.conflict is not None:
        _append(line, f"  conflict {quote.conflict:.2f}", width)
    return line


def _append(line: Text, note: str, width: int) -> None:
    """What may be left out where it does not fit."""
    if line.cell_len + len(note) <= width:
        line.append(note, style=QUIET)


def _next_step(alert: Alert, dashboard: str | None) -> str:
    if dashboard is None:
        return "look closer: mmsent dashboard"
    topic = {} if alert.topic == ALL_TOPICS else {"topic": alert.topic}
    return f"{dashboard}/?{urlencode(topic)}" if topic else f"{dashboard}/"


def _posts(count: int) -> str:
    return "1 post" if count == 1 else f"{count:,} posts"
