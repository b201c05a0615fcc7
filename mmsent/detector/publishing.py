"""Publishing what stands in the outbox.

A record leaves it only after Kafka has it, and no record passes an earlier one of the same key. So
subscribers meet the revisions of an alert in order for the first time, if perhaps some of them again later.
On PostgreSQL one process at a time publishes. On SQLite a lock kept that long would stop the writers, so that
two workers on one file may publish the same record.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from sqlalchemy import Row, and_, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mmsent.detector.rows import PUBLISH_LOCK, try_lock
from mmsent.errors import BrokerUnavailableError
from mmsent.store.tables import outbox
from mmsent.store.writes import Store

PAGE = 500  # records published before they are deleted

Record = Row[Any]


class Publish(Protocol):
    """Sends one record; returns once Kafka has it, else raises `BrokerUnavailableError`."""

    async def __call__(self, topic: str, key: bytes, value: bytes) -> Any: ...


class Outbox:
    """Empties the table `outbox`; `topic_prefix` is put before the topics that stand there."""

    def __init__(self, store: Store, publish: Publish, topic_prefix: str) -> None:
        self._store = store
        self._publish = publish
        self._topic_prefix = topic_prefix
        self.published = 0

    async def empty(self, *, shared: bool) -> bool:
        """Publish what there is; whether this process was the one to do it."""
        full = True
        while full:
            async with self._publishing(shared=shared) as mine:
                if not mine:
                    return False
                full = await self._publish_page() == PAGE
        return True

    @asynccontextmanager
    async def _publishing(self, *, shared: bool) -> AsyncIterator[bool]:
        """Whether this process may publish, for as long as the context lasts."""
        if not shared:
            yield True
            return
        async with self._store.transaction() as connection:
            yield await try_lock(connection, PUBLISH_LOCK)

    async def _publish_page(self) -> int:
        """Publish a page of the outbox, then delete what Kafka has; returns its length.

        Raises:
            BrokerUnavailableError: Kafka has not taken all of it.
        """
        async with self._store.reading() as connection:
            chosen = select(outbox).order_by(outbox.c.id).limit(PAGE)
            records = (await connection.execute(chosen)).all()
        keys: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            keys.setdefault((record.topic, record.key), []).append(record)
        results = await asyncio.gather(*(self._publish_in_order(some) for some in keys.values()))
        sent = [record for acknowledged, _ in results for record in acknowledged]
        if sent:
            async with self._store.transaction() as connection:
                await _delete_records(connection, sent)
        self.published += len(sent)
        for _, error in results:
            if error is not None:
                raise error
        return len(records)

    async def _publish_in_order(
        self, records: Sequence[Record]
    ) -> tuple[list[Record], BrokerUnavailableError | None]:
        """Records of one key, up to the first that Kafka does not take."""
        acknowledged: list[Record] = []
        for record in records:
            topic = self._topic_prefix + record.topic
            try:
                await self._publish(topic, record.key.encode(), record.value.encode())
            except BrokerUnavailableError as error:
                return acknowledged, error
            acknowledged.append(record)
        return acknowledged, None


async def _delete_records(connection: AsyncConnection, records: Sequence[Row[Any]]) -> None:
    """By content too: SQLite gives an id again once the greatest one is deleted."""
    same = and_(
        outbox.c.id == bindparam("sent_id"),
        outbox.c.key == bindparam("sent_key"),
        outbox.c.value == bindparam("sent_value"),
    )
    rows = [{"sent_id": each.id, "sent_key": each.key, "sent_value": each.value} for each in records]
    await connection.execute(delete(outbox).where(same), rows)
