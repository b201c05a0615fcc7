"""`mmsent alerts`: follow the alerts topic."""

import asyncio
from datetime import UTC

from pydantic import ValidationError

from mmsent.broker import TopicReader
from mmsent.commands.console import give, printable, say
from mmsent.embedded.record import running_demo
from mmsent.errors import MmsentError
from mmsent.posts import Alert
from mmsent.settings import Settings
from mmsent.store.reads import Reader

TEXT_LENGTH = 80


def follow(settings: Settings, *, as_json: bool, from_start: bool, duration_s: float | None) -> None:
    """Print each revision of each alert until the time is up or Ctrl-C.

    Raises:
        BrokerUnavailableError: no broker answers.
    """
    settings = reachable(settings)
    say(f"following {settings.topic('alerts')} at {settings.kafka_bootstrap_servers}; Ctrl-C ends it")
    try:
        asyncio.run(_follow(settings, as_json=as_json, from_start=from_start, duration_s=duration_s))
    except KeyboardInterrupt:
        return


def reachable(settings: Settings) -> Settings:
    """The settings, with the addresses of the demo that runs in the data folder unless Kafka's is given."""
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        return settings
    demo = running_demo(settings.data_dir)
    if demo is None:
        return settings
    addresses = {
        "kafka_bootstrap_servers": demo.kafka_bootstrap_servers,
        "database_url": demo.database_url,
        "redis_url": demo.redis_url,
        "topic_prefix": "",
    }
    return settings.model_copy(update=addresses)


async def _follow(settings: Settings, *, as_json: bool, from_start: bool, duration_s: float | None) -> None:
    reader = Reader(settings.resolved_database_url)
    try:
        async with (
            TopicReader(settings, settings.topic("alerts"), from_beginning=from_start) as topic,
            asyncio.timeout(duration_s) as limit,
        ):
            async for record in topic:
                _show(record.value or b"", reader, as_json=as_json)
    except TimeoutError:
        if not limit.expired():
            raise
    finally:
        reader.close()


def _show(value: bytes, reader: Reader, *, as_json: bool) -> None:
    try:
        alert = Alert.model_validate_json(value)
    except ValidationError:
        say(f"not an alert: {printable(value.decode(errors='replace'), TEXT_LENGTH)}")
        return
    give(alert.to_json().decode() if as_json else line_of(alert, _text(alert, reader)))


def _text(alert: Alert, reader: Reader) -> str | None:
    """What the first post of the alert says; alerts carry ids only, and posts may be gone."""
    try:
        texts = reader.texts(alert.posts)
    except MmsentError:  # an alert without text is better than none
        return None
    return next((texts[post_id] for post_id in alert.posts if texts.get(post_id)), None)


def line_of(alert: Alert, text: str | None) -> str:
    """One revision in one line."""
    when = alert.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    parts = [
        when,
        alert.kind,
        alert.topic,
        f"severity {alert.severity}",
        f"{alert.count} posts" if alert.count != 1 else "1 post",
        f"revision {alert.revision}" + ("" if alert.state == "open" else f", {alert.state}"),
        alert.title,
    ]
    line = " · ".join(printable(part) for part in parts)
    return f"{line} · “{printable(text, TEXT_LENGTH)}”" if text else line
