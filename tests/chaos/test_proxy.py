"""What the proxy does to a connection, and what the store makes of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url, select

from mmsent.errors import StoreUnavailableError
from mmsent.store import writes
from mmsent.store.schema import upgrade
from mmsent.store.tables import progress
from tests.chaos.proxy import Proxy

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture
async def proxy(postgres_schema_url: str) -> AsyncIterator[Proxy]:
    port = make_url(postgres_schema_url).port
    assert port is not None
    async with Proxy(port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy, postgres_schema_url: str) -> AsyncIterator[writes.Store]:
    upgrade(postgres_schema_url)
    url = make_url(postgres_schema_url).set(port=proxy.port)
    store = writes.Store(url.render_as_string(hide_password=False))
    await store.open()
    yield store
    await store.close()


async def next_offset(store: writes.Store) -> int:
    async with store.reading() as connection:
        return int(await connection.scalar(select(progress.c.next_offset)) or 0)


async def test_what_was_committed_stays_though_the_reply_is_lost(proxy: Proxy, store: writes.Store) -> None:
    proxy.replies_to_lose = 1
    with pytest.raises(StoreUnavailableError):
        await store.write([], {0: 6}, NOW)
    assert proxy.replies_to_lose == 0
    assert await next_offset(store) == 6


async def test_a_server_that_never_answers_again_is_left(
    proxy: Proxy, store: writes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of its connections; the one that was not in use must not cost a second wait."""
    async with store.reading(), store.reading():
        pass
    proxy.forget()
    monkeypatch.setattr(writes, "ANSWER_WITHIN_S", 1.0)
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        await store.write([], {0: 7}, NOW)
    await store.write([], {0: 8}, NOW)
    assert await next_offset(store) == 8


async def test_what_was_said_in_silence_is_answered_after_it(proxy: Proxy, store: writes.Store) -> None:
    proxy.silence()
    writing = asyncio.create_task(store.write([], {0: 9}, NOW))
    await asyncio.sleep(0.3)
    assert not writing.done()
    proxy.speak()
    await writing
    assert await next_offset(store) == 9
