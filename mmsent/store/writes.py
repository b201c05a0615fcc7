"""What the workers write: one transaction per batch, and the same end in whatever order messages come.

`posts` changes by one upsert whose guard lets only a greater (version, deleted) in, so a delete wins a tie.
It returns each row's values from before and after, and `rollups` change by the difference: neither a
redelivery nor a commit whose reply was lost counts twice. Locks are taken in one order everywhere: authors,
the mark of pruning, posts, rollups, pending conflicts, progress, each by key.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, bindparam, delete, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mmsent.errors import SetupError
from mmsent.store.rows import (
    CONTENT,
    MEASURES,
    ROLLUP_KEY,
    Author,
    Candidate,
    Deletion,
    Forget,
    Item,
    Outcome,
    Row,
    ScoredRow,
    announcement,
    candidate,
    differences,
    newest,
    outcome,
    tombstone,
)
from mmsent.store.schema import (
    current_revision,
    database_errors,
    insert_into,
    open_async_engine,
    require_head,
    sqlite_file,
)
from mmsent.store.tables import (
    COUNTED,
    forgotten_authors,
    outbox,
    pending_conflicts,
    posts,
    progress,
    pruning,
    rollups,
)

__all__ = ["Deletion", "Forget", "Item", "Outcome", "ScoredRow", "Store", "WriteResult"]

T = TypeVar("T")
ANSWER_WITHIN_S = 45.0  # longer than one statement may take; its server may be gone without a goodbye
ROWS_PER_QUERY = 500  # keeps `IN` lists below the databases' limits on parameters
AUTHOR_LOCKS = 0x6D73  # class of PostgreSQL's two-number advisory locks
AUTHOR_BUCKETS = 64  # bounds the locks of a transaction; PostgreSQL has room for 64 each by default
PRUNING_BUCKET = AUTHOR_BUCKETS  # of the same class: shared by writes, whose mark must not move meanwhile


@dataclass(frozen=True)
class WriteResult:
    outcomes: list[Outcome]  # one per item, in order


class Store:
    """The database, for workers and the detector.

    Methods raise StoreUnavailableError and StoreDataError. Nothing of a call that raised is in the database,
    unless only the reply to its commit was lost; the same call again is right in either case.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._engine = open_async_engine(database_url)

    async def open(self) -> None:
        """Connect, and check the schema.

        Raises:
            SetupError: the schema is missing, older or newer; says what to do.
        """
        file = sqlite_file(self._url)
        if file is not None and not file.exists():
            raise SetupError(f"there is no database at {file}; run: mmsent db upgrade")
        async with self.reading() as connection:
            require_head(await connection.run_sync(current_revision))

    async def close(self) -> None:
        await self._engine.dispose()

    async def ping(self) -> None:
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; on SQLite no other can until it ends."""
        async with self._answering(), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only looks; on SQLite it takes no lock that a writer would wait for."""
        async with self._answering(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """The database's errors as ours, and an end to waiting for a server that never answers."""
        with database_errors():
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    yield
            except TimeoutError:
                await self._engine.dispose()  # the connections that wait to be used are as silent as this one
                raise

    async def write(self, batch: Sequence[Item], progress: Mapping[int, int], now: datetime) -> WriteResult:
        """Write `batch`, in order of arrival, and move partitions' next offsets forward, never back."""
        async with self.transaction() as connection:
            return WriteResult(await _write(connection, batch, progress, now))

    async def reset_progress(self, partition: int, next_offset: int, now: datetime) -> None:
        """Set a partition's next offset, back too."""
        values = {"partition": partition, "next_offset": next_offset, "updated_at": now}
        async with self.transaction() as connection:
            statement = insert_into(connection, progress).values(values)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=[progress.c.partition], set_=values)
            )


async def _write(
    connection: AsyncConnection, batch: Sequence[Item], offsets: Mapping[int, int], now: datetime
) -> list[Outcome]:
    writers = {item.author for item in batch if isinstance(item, ScoredRow) and item.author}
    forgets = {item.author for item in batch if isinstance(item, Forget)}
    await _lock_authors(connection, writers, forgets)
    advanced = await _forget(connection, [item for item in batch if isinstance(item, Forget)])
    forgotten = await _forgotten(connection, writers | forgets)
    pruned_before = await _pruned_before(connection)
    own = {
        place: candidate(item, forgotten)
        for place, item in enumerate(batch)
        if not isinstance(item, Forget) and not _is_pruned(item, pruned_before)
    }
    erased = await _posts_to_erase(connection, forgets, forgotten)

    winners = newest([*own.values(), *erased])
    changed = await _upsert_posts(connection, winners.values())
    await _change_rollups(connection, differences(changed.values()))
    await _note_conflicts(connection, changed.values())
    await _clear_previous(connection, changed.values())
    await _announce(
        connection, [each for each in erased if each is winners[each.post_id] and each.post_id in changed]
    )
    await _move_progress(connection, offsets, now)

    current = await _current(connection, winners, changed)

    def result(place: int, item: Item) -> Outcome:
        if isinstance(item, Forget):
            return _outcome_of_forget(item, forgotten, advanced)
        if place not in own:
            return Outcome("stale", None)
        each = own[place]
        first = each is winners[each.post_id] and each.post_id in changed
        return outcome(each, current[each.post_id], written=first)

    return [result(place, item) for place, item in enumerate(batch)]


async def _lock_authors(
    connection: AsyncConnection, writers: Collection[Author], forgets: Collection[Author]
) -> None:
    """Until the transaction ends, nobody else forgets `writers`, nor writes or forgets `forgets`, nor prunes.

    On SQLite nobody else writes anyway.
    """
    if connection.dialect.name == "sqlite":
        return
    exclusive = {_bucket(author) for author in forgets}
    wanted = sorted(exclusive | {_bucket(author) for author in writers} | {PRUNING_BUCKET})
    await connection.execute(
        text(
            "SELECT CASE WHEN exclusive THEN CAST(pg_advisory_xact_lock(:space, bucket) AS text)"
            " ELSE CAST(pg_advisory_xact_lock_shared(:space, bucket) AS text) END"
            " FROM unnest(CAST(:buckets AS int[]), CAST(:exclusive AS bool[])) AS wanted (bucket, exclusive)"
        ),
        {"space": AUTHOR_LOCKS, "buckets": wanted, "exclusive": [bucket in exclusive for bucket in wanted]},
    )


def _bucket(author: Author) -> int:
    return zlib.crc32("\0".join(author).encode()) % AUTHOR_BUCKETS


async def _forget(connection: AsyncConnection, forgets: Iterable[Forget]) -> set[Author]:
    """Keep the greatest time of each author; who was forgotten further than before?"""
    latest: dict[Author, datetime] = {}
    for forget in forgets:
        latest[forget.author] = max(
            forget.message.created_at, latest.get(forget.author, forget.message.created_at)
        )
    if not latest:
        return set()
    statement = insert_into(connection, forgotten_authors)
    new = statement.excluded
    advance = statement.on_conflict_do_update(
        index_elements=list(forgotten_authors.primary_key),
        set_={"created_at": new.created_at},
        where=new.created_at > forgotten_authors.c.created_at,
    ).returning(forgotten_authors.c.source, forgotten_authors.c.author)
    rows = [
        {"source": source, "author": author, "created_at": latest[source, author]}
        for source, author in sorted(latest)
    ]
    return {(row.source, row.author) for row in await connection.execute(advance, rows)}


async def _forgotten(connection: AsyncConnection, authors: Iterable[Author]) -> dict[Author, datetime]:
    """Until when each of `authors` is forgotten; those who are not are missing."""
    table = forgotten_authors.c
    found: dict[Author, datetime] = {}
    for some in _chunks(sorted(authors)):
        query = select(forgotten_authors).where(tuple_(table.source, table.author).in_(some))
        found |= {(row.source, row.author): row.created_at for row in await connection.execute(query)}
    return found


async def _pruned_before(connection: AsyncConnection) -> datetime:
    """Posts created before it are not taken any more: their rows are gone, so nothing tells a repeat."""
    mark: datetime | None = await connection.scalar(select(pruning.c.posts_before))
    return mark or datetime.min.replace(tzinfo=UTC)


def _is_pruned(item: ScoredRow | Deletion, before: datetime) -> bool:
    return isinstance(item, ScoredRow) and item.scored.created_at < before


async def _posts_to_erase(
    connection: AsyncConnection, authors: Iterable[Author], forgotten: Mapping[Author, datetime]
) -> list[Candidate]:
    """Tombstones for what is stored of `authors` up to when they are forgotten."""
    erased: list[Candidate] = []
    for source, author in sorted(authors):
        query = select(posts.c.post_id, posts.c.version, posts.c.source).where(
            posts.c.source == source,
            posts.c.author == author,
            posts.c.created_at <= forgotten[source, author],
        )
        erased += [tombstone(*row) for row in await connection.execute(query)]
    return erased


async def _upsert_posts(connection: AsyncConnection, candidates: Collection[Candidate]) -> dict[str, Row]:
    """Rows that changed, by post_id, with what they hold and what they held."""
    if not candidates:
        return {}
    statement = insert_into(connection, posts)
    new = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=[posts.c.post_id],
        set_={name: new[name] for name in CONTENT} | _values_before(),
        where=_is_newer(new),
    ).returning(
        *(posts.c[name] for name in ("post_id", "version", "deleted", "created_at", "conflict")),
        *(posts.c[prefix + name] for name in COUNTED for prefix in ("", "previous_")),
    )
    result = await connection.execute(upsert, [candidate.values for candidate in candidates])
    return {row["post_id"]: dict(row) for row in result.mappings()}


def _is_newer(new: Any) -> ColumnElement[bool]:
    """The guard: what comes late, or again, changes nothing."""
    return tuple_(posts.c.version, posts.c.deleted) < tuple_(new.version, new.deleted)


def _values_before() -> dict[str, ColumnElement[Any]]:
    """The previous values: read in the statement that overwrites them, so nobody comes in between."""
    return {f"previous_{name}": posts.c[name] for name in COUNTED}


async def _change_rollups(connection: AsyncConnection, changes: Sequence[dict[str, Any]]) -> None:
    """Add `changes`; rows that count nothing any more are removed."""
    if not changes:
        return
    statement = insert_into(connection, rollups)
    added = {name: rollups.c[name] + statement.excluded[name] for name in MEASURES}
    upsert = statement.on_conflict_do_update(index_elements=list(rollups.primary_key), set_=added)
    result = await connection.execute(upsert.returning(*rollups.primary_key, rollups.c.posts), changes)
    empty = [
        {f"key_{name}": row[name] for name in ROLLUP_KEY} for row in result.mappings() if row["posts"] == 0
    ]
    if empty:
        same = (rollups.c[name] == bindparam(f"key_{name}") for name in ROLLUP_KEY)
        await connection.execute(delete(rollups).where(*same), empty)


async def _note_conflicts(connection: AsyncConnection, changed: Iterable[Row]) -> None:
    """`pending_conflicts` gets what has just become flagged, and follows what it still holds."""
    rows = list(changed)
    waiting: set[str] = set()
    for some in _chunks([row["post_id"] for row in rows if row["previous_flagged"]]):
        gone = delete(pending_conflicts).where(pending_conflicts.c.post_id.in_(some))
        waiting |= set(await connection.scalars(gone.returning(pending_conflicts.c.post_id)))
    names = [column.name for column in pending_conflicts.c]
    flagged = [
        {name: row[name] for name in names}
        for row in rows
        if row["flagged"] and (not row["previous_flagged"] or row["post_id"] in waiting)
    ]
    if flagged:
        await connection.execute(insert_into(connection, pending_conflicts).on_conflict_do_nothing(), flagged)


async def _clear_previous(connection: AsyncConnection, changed: Iterable[Row]) -> None:
    """A tombstone does not remember what it counted as."""
    ids = [row["post_id"] for row in changed if row["deleted"] and row["previous_source"] is not None]
    for some in _chunks(ids):
        nothing = {f"previous_{name}": None for name in COUNTED}
        await connection.execute(update(posts).where(posts.c.post_id.in_(some)).values(nothing))


async def _announce(connection: AsyncConnection, erased: Iterable[Candidate]) -> None:
    rows = [
        {"topic": "scores", "key": each.post_id, "value": each.announce.model_dump_json()} for each in erased
    ]
    if rows:
        await connection.execute(outbox.insert(), rows)


async def _move_progress(connection: AsyncConnection, offsets: Mapping[int, int], now: datetime) -> None:
    if not offsets:
        return
    statement = insert_into(connection, progress)
    new = statement.excluded
    forward = statement.on_conflict_do_update(
        index_elements=[progress.c.partition],
        set_={"next_offset": new.next_offset, "updated_at": new.updated_at},
        where=new.next_offset >= progress.c.next_offset,
    )
    await connection.execute(
        forward,
        [
            {"partition": partition, "next_offset": offset, "updated_at": now}
            for partition, offset in sorted(offsets.items())
        ],
    )


async def _current(
    connection: AsyncConnection, winners: Mapping[str, Candidate], changed: Collection[str]
) -> dict[str, Candidate]:
    """What the rows of `winners` hold now: those that did not change are read."""
    current = {post_id: winners[post_id] for post_id in changed}
    for some in _chunks([post_id for post_id in winners if post_id not in changed]):
        result = await connection.execute(select(posts).where(posts.c.post_id.in_(some)))
        for row in result.mappings():
            current[row["post_id"]] = Candidate(dict(row), announcement(dict(row)))
    return current


def _outcome_of_forget(item: Forget, forgotten: Mapping[Author, datetime], advanced: set[Author]) -> Outcome:
    if item.message.created_at < forgotten[item.author]:
        return Outcome("stale", None)
    if item.author in advanced:
        advanced.remove(item.author)  # the same forget again in one batch is a repeat
        return Outcome("written", None)
    return Outcome("repeat", None)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), ROWS_PER_QUERY):
        yield items[start : start + ROWS_PER_QUERY]
