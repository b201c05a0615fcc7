"""`mmsent db`, `mmsent topics`, `mmsent kafka`: what stands ready before posts come."""

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mmsent.commands.console import give, give_table, say
from mmsent.errors import SettingsError
from mmsent.settings import Settings

if TYPE_CHECKING:
    from mmsent.store.prune import Pruned
    from mmsent.topics import TrackedTopic

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
LEAST_AGE = timedelta(hours=1)  # the hour that runs is what people look at
REPORT_S = 2.0


def upgrade(settings: Settings) -> None:
    """Bring the database to this version's schema."""
    from mmsent.store.schema import head_revision, upgrade  # noqa: PLC0415  # alembic is slow to import

    upgrade(settings.resolved_database_url)
    say(f"the database is at schema {head_revision()}")


def prune(settings: Settings, older_than: str, *, with_rollups: bool, dry_run: bool) -> None:
    """Delete old posts, and say how far it is and what went.

    Raises:
        SettingsError: `older_than` is no duration, or too short a one.
        SetupError, StoreUnavailableError: see `store.prune`.
    """
    from mmsent.store import prune as pruning  # noqa: PLC0415  # SQLAlchemy is slow to import

    now, url = datetime.now(UTC), settings.resolved_database_url
    age = parse_age(older_than, now)
    if dry_run:
        _say_pruned(pruning.count_prunable(url, age, now), now - age, with_rollups, "would be deleted")
        return
    said_at = time.monotonic()

    def report(deleted: int, reached: datetime) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= REPORT_S:
            said_at = time.monotonic()
            say(f"{deleted:,} posts deleted, up to {reached:%Y-%m-%d %H:%M}")

    done = pruning.prune(url, age, now, with_rollups=with_rollups, report=report)
    _say_pruned(done, now - age, with_rollups, "deleted")


def _say_pruned(pruned: "Pruned", wanted: datetime, with_rollups: bool, what: str) -> None:
    counted = f"{pruned.rollups:,} rows of minute counts" if with_rollups else "no minute counts"
    say(f"{pruned.posts:,} posts and {counted} from before {pruned.before:%Y-%m-%d %H:%M} UTC {what}")
    if pruned.before < wanted - timedelta(minutes=1):
        say("no further: workers are behind, and what still waits on Kafka must find its place")


def parse_age(text: str, now: datetime) -> timedelta:
    """`12h`, `30d`, `8w`; at least an hour.

    Raises:
        SettingsError: says what it takes.
    """
    match = re.fullmatch(r"([0-9]+)([hdw])", text)
    try:
        age = int(match[1]) * UNITS[match[2]] if match else timedelta()
        _ = now - age
    except (OverflowError, ValueError):
        age = timedelta()
    if age < LEAST_AGE:
        raise SettingsError(f"--older-than {text!r}: give hours, days or weeks, at least 1h, e.g. 12h or 30d")
    return age


def create_kafka_topics(settings: Settings, replication_factor: int) -> None:
    """Create Kafka's topics that are missing, and name those that were made."""
    from mmsent.broker import create_topics  # noqa: PLC0415  # aiokafka is slow to import

    made = asyncio.run(create_topics(settings, replication_factor=replication_factor))
    for name in made:
        give(name)
    say(f"{len(made)} made, the others were there" if made else "all topics were there")


def show_topics(settings: Settings, *, as_json: bool) -> None:
    """Tracked topics, by name."""
    from mmsent.store.edits import list_topics  # noqa: PLC0415  # SQLAlchemy is slow to import

    topics = list_topics(settings.resolved_database_url)
    if as_json:
        for topic in topics:
            give(json.dumps({"name": topic.name, **_terms(topic)}, ensure_ascii=False))
    elif topics:
        give_table(
            ("topic", "any of", "all of", "none of"),
            ((topic.name, *(", ".join(terms) for terms in _terms(topic).values())) for topic in topics),
        )
    else:
        say("no tracked topics yet; add one: mmsent topics add weather --any rain --any sun")


def add_topic(
    settings: Settings, name: str, any_of: list[str], all_of: list[str], none_of: list[str]
) -> None:
    """Track a topic, in place of one of the same name."""
    from mmsent.store import edits  # noqa: PLC0415  # SQLAlchemy is slow to import
    from mmsent.topics import TrackedTopic  # noqa: PLC0415

    topic = TrackedTopic(name, tuple(any_of), tuple(all_of), tuple(none_of))
    edits.add_topic(settings.resolved_database_url, topic, datetime.now(UTC))
    say(f"posts are matched against {name!r} within {settings.topics_refresh_s:g} s")


def remove_topic(settings: Settings, name: str) -> None:
    """Stop tracking a topic."""
    from mmsent.store import edits  # noqa: PLC0415  # SQLAlchemy is slow to import

    edits.remove_topic(settings.resolved_database_url, name)
    say(f"{name!r} is no longer tracked; what was counted under it stays")


def _terms(topic: "TrackedTopic") -> dict[str, list[str]]:
    return {"any_of": list(topic.any_of), "all_of": list(topic.all_of), "none_of": list(topic.none_of)}
