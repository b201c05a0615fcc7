"""`mmsent db`, `mmsent topics`, `mmsent kafka`: what stands ready before posts come."""

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mmsent.commands.console import give, give_table, say
from mmsent.settings import Settings

if TYPE_CHECKING:
    from mmsent.topics import TrackedTopic


def upgrade(settings: Settings) -> None:
    """Bring the database to this version's schema."""
    from mmsent.store.schema import head_revision, upgrade  # noqa: PLC0415  # alembic is slow to import

    upgrade(settings.resolved_database_url)
    say(f"the database is at schema {head_revision()}")


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
