"""The worker's writer over a real PostgreSQL that refuses single rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mmsent.broker import Message, Record
from mmsent.pipeline import Announcement, Delivery
from mmsent.store import schema
from mmsent.store.tables import posts, progress, rollups
from mmsent.store.writes import Item, Store
from tests.test_writes import NOW, Database, database_at, recount, row
from worker.metrics import Metrics
from worker.partitions import Finished, Partitions
from worker.writer import Writer

COUNT = 64
REFUSED = {5, 6, 41}  # offsets; neighbours, and one in the other half


@pytest.fixture
def database(postgres_schema_url: str) -> Iterator[Database]:
    schema.upgrade(postgres_schema_url)
    yield from database_at(postgres_schema_url)


def item(offset: int) -> Item:
    """A post; a refused one holds NUL, which the contract lets nobody send."""
    good = row(f"p{offset:02}", seconds=offset, topics=("a",))
    if offset not in REFUSED:
        return good
    return replace(good, post=good.post.model_copy(update={"text": "a\0b"}))


class Outside:
    """Everything but the database; `diary` says what came when."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.letters: list[Message] = []
        self.announced: list[str] = []
        self.committed: dict[int, int] = {}

    async def publish(
        self, announcements: Sequence[Announcement], thumbnails: Mapping[str, bytes] | None = None
    ) -> None:
        if thumbnails is None:
            self.announced += [each.post_id for each in announcements]

    async def bury(self, letters: Sequence[Message]) -> None:
        self.diary.append("buried")
        self.letters += letters

    async def commit(self, offsets: Mapping[int, int]) -> None:
        self.diary.append("committed")
        self.committed |= offsets


def writer_of(store: Store, outside: Outside, partitions: Partitions) -> Writer:
    return Writer(
        partitions=partitions,
        delivery=Delivery(store=store, live=outside, publish=outside.publish, now=lambda: NOW),
        store=store,
        publish_dead=outside.bury,
        commit=outside.commit,
        adopted=lambda _: None,
        finished=lambda: None,
        metrics=Metrics(),
        now=lambda: NOW,
        max_rows=COUNT,
    )


def test_rows_that_postgresql_refuses_are_buried_and_the_others_written_once(database: Database) -> None:
    outside, partitions = Outside(), Partitions()
    writer = writer_of(database.store, outside, partitions)
    (partition,) = partitions.assign([3])
    partition.located(0)
    for offset in range(COUNT):
        record = Record("posts", 3, offset, 1, b"key %d" % offset, b"value %d" % offset)
        partition.tracker.start(offset)
        writer.put(Finished(partition, record, item(offset)))
    database.run(writer.round())

    assert [letter.value for letter in outside.letters] == [b"value %d" % each for each in sorted(REFUSED)]
    reasons: list[dict[str, Any]] = [dict(letter.headers) for letter in outside.letters]
    assert {each["mmsent.error.stage"] for each in reasons} == {b"store"}
    assert all(b"NUL" in each["mmsent.error.message"] for each in reasons)
    assert (outside.diary, outside.committed) == (["buried", "committed"], {3: COUNT})
    stored = database.rows(posts)
    kept = [f"p{offset:02}" for offset in range(COUNT) if offset not in REFUSED]
    assert sorted(each["post_id"] for each in stored) == sorted(outside.announced) == kept
    assert database.rows(rollups) == recount(stored), "what is tried again counts once"
    assert [(each["partition"], each["next_offset"]) for each in database.rows(progress)] == [(3, COUNT)]
