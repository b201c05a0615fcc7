"""`mmsent alerts`: follow the alerts topic."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from mmsent.broker import TopicReader
from mmsent.commands.alert_view import block, line_of
from mmsent.commands.console import data_console, give, printable, say
from mmsent.embedded.record import DemoRecord, running_demo
from mmsent.errors import BrokerUnavailableError, MmsentError
from mmsent.posts import Alert
from mmsent.settings import Settings
from mmsent.store.reads import Quote, Reader

if TYPE_CHECKING:
    from rich.console import Console

POLL_S = 0.5
DOUBLED_AFTER_S, GROWN_AFTER_S = 5.0, 60.0  # how soon an alert is shown again that has doubled, or just grown
FIRST_QUOTES, MORE_QUOTES = 3, 1
TEXT_LENGTH = 80


def follow(settings: Settings, *, as_json: bool, from_start: bool, duration_s: float | None) -> None:
    """Print alerts until the time is up or Ctrl-C: each as a block that says what to do where stdout is a
    terminal, otherwise one line for each revision.

    Raises:
        BrokerUnavailableError: no broker answers.
    """
    demo = running_demo(settings.data_dir)
    reached = reachable(settings, demo)
    where = (
        f"of the demo in {settings.data_dir}" if reached is not settings else f"on {reached.topic('alerts')}"
    )
    say(f"following the alerts {where} at {reached.kafka_bootstrap_servers}; Ctrl-C ends it")
    reader = Reader(reached.resolved_database_url)
    if as_json:
        show: Show = JsonLines()
    elif sys.stdout.isatty():
        show = Blocks(data_console(), reader, _dashboard(settings, demo))
    else:
        show = Lines(reader)
    try:
        asyncio.run(_follow(reached, show, from_start=from_start, duration_s=duration_s))
    except BrokerUnavailableError as error:
        if demo is None and "kafka_bootstrap_servers" not in settings.model_fields_set:
            raise BrokerUnavailableError(
                f"no demo runs in {settings.data_dir}, and no Kafka at {reached.kafka_bootstrap_servers}; "
                "start one: mmsent demo, or name yours: MMSENT_KAFKA_BOOTSTRAP_SERVERS"
            ) from error
        raise
    except KeyboardInterrupt:
        return
    finally:
        reader.close()


def reachable(settings: Settings, demo: DemoRecord | None) -> Settings:
    """The settings, with the addresses of the demo that runs in the data folder unless Kafka's is given."""
    if demo is None or "kafka_bootstrap_servers" in settings.model_fields_set:
        return settings
    addresses = {
        "kafka_bootstrap_servers": demo.kafka_bootstrap_servers,
        "database_url": demo.database_url,
        "redis_url": demo.redis_url,
        "topic_prefix": "",
    }
    return settings.model_copy(update=addresses)


def _dashboard(settings: Settings, demo: DemoRecord | None) -> str | None:
    """Where the dashboard is, if a demo or a setting tells."""
    if demo is not None and "kafka_bootstrap_servers" not in settings.model_fields_set:
        return demo.dashboard
    if settings.model_fields_set & {"dashboard_host", "dashboard_port"}:
        return f"http://{settings.dashboard_host}:{settings.dashboard_port}"
    return None


class Show(Protocol):
    """Puts alerts in front of someone: `add` each revision, `look` every `POLL_S` and at the end."""

    def add(self, alert: Alert) -> None: ...

    def look(self, *, last: bool = False) -> None: ...


async def _follow(settings: Settings, show: Show, *, from_start: bool, duration_s: float | None) -> None:
    try:
        async with (
            TopicReader(settings, settings.topic("alerts"), from_beginning=from_start) as topic,
            asyncio.timeout(duration_s) as limit,
        ):
            while True:
                for record in await topic.poll(POLL_S):
                    _add(record.value or b"", show)
                show.look()
    except TimeoutError:
        if not limit.expired():
            raise
    show.look(last=True)


def _add(value: bytes, show: Show) -> None:
    try:
        alert = Alert.model_validate_json(value)
    except ValidationError:
        say(f"not an alert: {printable(value.decode(errors='replace'), TEXT_LENGTH)}")
        return
    show.add(alert)


class JsonLines:
    """Every revision as it stands on Kafka, for programs."""

    def add(self, alert: Alert) -> None:
        give(alert.to_json().decode())

    def look(self, *, last: bool = False) -> None: ...


class Lines:
    """Every revision in one line."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def add(self, alert: Alert) -> None:
        give(line_of(alert, _quotes(self._reader, alert.posts)))

    def look(self, *, last: bool = False) -> None: ...


@dataclass
class Shown:
    """What a person has seen of one alert."""

    alert: Alert
    at: float
    quoted: set[str] = field(default_factory=set)


class Pace:
    """Which revisions are worth a look: the first, then doublings, an end, and the rest now and then."""

    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}
        self._newest: dict[str, Alert] = {}

    def add(self, alert: Alert) -> None:
        """A revision came; the greatest of each alert counts."""
        known = self._newest.get(alert.alert_id)
        if known is None or alert.revision > known.revision:
            self._newest[alert.alert_id] = alert

    def take(self, now: float, *, last: bool = False) -> list[Alert]:
        """What should be shown now, in order of time; `last` = everything that was not."""
        due = [alert for alert in self._newest.values() if self._is_due(alert, now, last=last)]
        return sorted(due, key=lambda alert: (alert.created_at, alert.alert_id))

    def _is_due(self, alert: Alert, now: float, *, last: bool) -> bool:
        shown = self.shown.get(alert.alert_id)
        if shown is None or alert.state != shown.alert.state:
            return True
        if alert.count <= shown.alert.count:
            return False
        rest_s = DOUBLED_AFTER_S if alert.count >= 2 * shown.alert.count else GROWN_AFTER_S
        return last or now - shown.at >= rest_s


class Blocks:
    """What is worth a look, for a person at a terminal."""

    def __init__(self, console: "Console", reader: Reader, dashboard: str | None) -> None:
        self._console = console
        self._reader = reader
        self._dashboard = dashboard
        self._pace = Pace()

    def add(self, alert: Alert) -> None:
        self._pace.add(alert)

    def look(self, *, last: bool = False) -> None:
        now = time.monotonic()
        for alert in self._pace.take(now, last=last):
            self._print(alert, now)

    def _print(self, alert: Alert, now: float) -> None:
        before = self._pace.shown.get(alert.alert_id)
        seen = before.quoted if before else set()
        quotes = _quotes(self._reader, [post_id for post_id in alert.posts if post_id not in seen])
        quotes = quotes[: MORE_QUOTES if before else FIRST_QUOTES]
        lines = block(
            alert,
            quotes,
            width=self._console.width,
            dashboard=self._dashboard,
            shown=before.alert if before else None,
            now=datetime.now(UTC),
        )
        self._console.print(*lines, "", sep="\n", soft_wrap=True)
        quoted = seen | {quote.post_id for quote in quotes}
        self._pace.shown[alert.alert_id] = Shown(alert, now, quoted)


def _quotes(reader: Reader, post_ids: Sequence[str]) -> list[Quote]:
    """What posts say; alerts carry ids only, and posts may be gone."""
    try:
        return reader.quotes(post_ids)
    except MmsentError:  # an alert without its posts is better than none
        return []
