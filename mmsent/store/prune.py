"""Deleting old posts for good.

First a mark is set, `pruning.posts_before`: from then on the write neither stores nor counts a post created
before it, so that one that is delivered again counts once. Then the rows go, in small transactions. Rollups
stay unless they are to go too; tombstones, forgotten authors and alerts stay: they hold ids only, and a
tombstone has no time of its own that would tell whether its post may still come.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, exists, func, select, text

from mmsent.errors import SetupError
from mmsent.store.schema import database_errors, insert_into, open_engine, require_head, schema_revision
from mmsent.store.tables import detector, posts, pruning, rollups
from mmsent.store.writes import AUTHOR_LOCKS, PRUNING_BUCKET

ROWS_PER_TRANSACTION = 1000
LOCKED_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0

Report = Callable[[int, datetime], None]


@dataclass(frozen=True)
class Pruned:
    """What is, or would be, deleted: posts created and minutes begun before `before`."""

    before: datetime
    posts: int
    rollups: int


def count_prunable(database_url: str, older_than: timedelta, now: datetime) -> Pruned:
    """What `prune` would delete.

    Raises:
        SetupError: the schema is not this version's, or nothing is known to be complete.
        StoreUnavailableError: the database does not answer.
    """
    with _opened(database_url) as engine, database_errors(), engine.connect() as connection:
        before = _cutoff(connection, older_than, now)
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # counting takes as long as it takes
        old_posts, old_minutes = posts.c.created_at < before, rollups.c.minute < before
        return Pruned(
            before,
            connection.scalar(select(func.count()).select_from(posts).where(old_posts)) or 0,
            connection.scalar(select(func.count()).select_from(rollups).where(old_minutes)) or 0,
        )


def prune(
    database_url: str,
    older_than: timedelta,
    now: datetime,
    *,
    with_rollups: bool = False,
    report: Report = lambda _deleted, _reached: None,
) -> Pruned:
    """Delete posts created more than `older_than` ago, as far as they are complete; done again it goes on.

    Between two transactions it rests as long as the last one took, so that writers come to theirs. `report`
    is told how many posts are gone, and until when.

    Raises:
        SetupError, StoreUnavailableError: as `count_prunable`.
    """
    with _opened(database_url) as engine:
        with _transaction(engine) as connection:
            before = _cutoff(connection, older_than, now)
            _set_mark(connection, before)
        return Pruned(
            before,
            _delete_posts(engine, before, report),
            _delete_rollups(engine, before) if with_rollups else 0,
        )


def _cutoff(connection: Connection, older_than: timedelta, now: datetime) -> datetime:
    """A whole minute, and none that may be incomplete: what waits on Kafka must still be taken."""
    watermark: datetime | None = connection.scalar(select(detector.c.watermark))
    if watermark is None:
        raise SetupError("no worker has caught up with Kafka yet, so nothing is complete; run: mmsent worker")
    return min(now - older_than, watermark).replace(second=0, microsecond=0)


def _set_mark(connection: Connection, before: datetime) -> None:
    """Once this is committed, no transaction is under way that has not seen it. It never moves back."""
    if connection.dialect.name == "postgresql":
        own = {"space": AUTHOR_LOCKS, "bucket": PRUNING_BUCKET}
        connection.execute(text("SELECT pg_advisory_xact_lock(:space, :bucket)"), own)
    statement = insert_into(connection, pruning).values(id=1, posts_before=before)
    new = statement.excluded.posts_before
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[pruning.c.id], set_={"posts_before": new}, where=pruning.c.posts_before < new
        )
    )


def _delete_posts(engine: Engine, before: datetime, report: Report) -> int:
    """All of them: a row that a writer holds is tried again."""
    deleted, reached = 0, None
    while True:
        began = time.monotonic()
        with _transaction(engine) as connection:
            taken = _take_posts(connection, before, reached)
            if not taken and not connection.scalar(select(exists().where(posts.c.created_at < before))):
                return deleted
        deleted += len(taken)
        reached = taken[-1][1] if taken else None
        if reached is not None:
            report(deleted, reached)
        time.sleep(min(max(time.monotonic() - began, LOCKED_PAUSE_S * (not taken)), LONGEST_PAUSE_S))


def _take_posts(
    connection: Connection, before: datetime, reached: datetime | None
) -> list[tuple[str, datetime]]:
    """Delete some of the oldest from `reached` on; those that a writer holds are passed by."""
    created = posts.c.created_at
    oldest = select(posts.c.post_id, created).where(created < before).order_by(created)
    if reached is not None:  # spares it the entries of an index that are dead, not gone
        oldest = oldest.where(created >= reached)
    free = oldest.limit(ROWS_PER_TRANSACTION).with_for_update(skip_locked=True)
    taken = [(row.post_id, row.created_at) for row in connection.execute(free)]
    if taken:
        connection.execute(delete(posts).where(posts.c.post_id.in_([post_id for post_id, _ in taken])))
    return taken


def _delete_rollups(engine: Engine, before: datetime) -> int:
    """Whole minutes. Nobody counts in them any more: the mark stands, and their posts are gone."""
    minute, deleted = rollups.c.minute, 0
    older = select(minute).where(minute < before).order_by(minute)
    while True:
        began = time.monotonic()
        with _transaction(engine) as connection:
            last = connection.scalar(older.offset(ROWS_PER_TRANSACTION).limit(1))
            some = minute < before if last is None else minute <= last
            deleted += connection.execute(delete(rollups).where(some)).rowcount
        if last is None:
            return deleted
        time.sleep(min(time.monotonic() - began, LONGEST_PAUSE_S))


@contextmanager
def _opened(database_url: str) -> Iterator[Engine]:
    require_head(schema_revision(database_url))
    engine = open_engine(database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with database_errors(), engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
