"""Tracked topics that a stream brings along."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mmsent.store.edits import add_topic, list_topics
from mmsent.topics import TrackedTopic


def track_missing(database_url: str, topics: Sequence[TrackedTopic]) -> list[str]:
    """Track those of `topics` whose names nobody uses yet; returns them.

    Raises:
        SetupError: the schema is not this version's.
        StoreUnavailableError: the database does not answer.
    """
    there = {topic.name for topic in list_topics(database_url)}
    missing = [topic for topic in topics if topic.name not in there]
    for topic in missing:
        add_topic(database_url, topic, datetime.now(UTC))
    return [topic.name for topic in missing]
