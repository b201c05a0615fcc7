"""What people change: tracked topics."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, delete, select

from mmsent.errors import InputError
from mmsent.store.schema import database_errors, insert_into, open_engine, require_head, schema_revision
from mmsent.store.tables import topics
from mmsent.topics import TrackedTopic


def list_topics(database_url: str) -> list[TrackedTopic]:
    """Tracked topics, by name.

    Raises:
        SetupError: the schema is not this version's.
        StoreUnavailableError: the database does not answer.
    """
    with _connection(database_url) as connection:
        rows = connection.execute(select(topics).order_by(topics.c.name)).all()
    return [TrackedTopic(row.name, tuple(row.any_of), tuple(row.all_of), tuple(row.none_of)) for row in rows]


def add_topic(database_url: str, topic: TrackedTopic, now: datetime) -> None:
    """Track `topic`, in place of one of the same name. Workers follow within `topics_refresh_s`.

    Raises:
        SetupError: the schema is not this version's.
        StoreUnavailableError: the database does not answer.
    """
    with _connection(database_url) as connection:
        statement = insert_into(connection, topics).values(
            name=topic.name,
            any_of=list(topic.any_of),
            all_of=list(topic.all_of),
            none_of=list(topic.none_of),
            updated_at=now,
        )
        new = {column.name: statement.excluded[column.name] for column in topics.c}
        connection.execute(statement.on_conflict_do_update(index_elements=[topics.c.name], set_=new))


def remove_topic(database_url: str, name: str) -> None:
    """Stop tracking a topic. What was counted under it stays.

    Raises:
        InputError: there is no such topic.
        SetupError: the schema is not this version's.
        StoreUnavailableError: the database does not answer.
    """
    with _connection(database_url) as connection:
        if not connection.execute(delete(topics).where(topics.c.name == name)).rowcount:
            raise InputError(f"there is no topic {name!r}; see: mmsent topics list")


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    """A transaction of its own, on a database that has our schema."""
    require_head(schema_revision(database_url))
    engine = open_engine(database_url)
    try:
        with database_errors(), engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
    finally:
        engine.dispose()
