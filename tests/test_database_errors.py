"""The databases' errors as ours: those that may pass by themselves, and those that never do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from mmsent.errors import MmsentError, StoreDataError, StoreUnavailableError
from mmsent.store import schema
from mmsent.store.writes import Store
from tests.test_writes import NOW, row

# SQLSTATEs, PostgreSQL's appendix A
PASSING = """
08000 08001 08003 08006 08P01 25006 25P03 40001 40002 40P01 53000 53100 53200 53300 53400 55P03
57014 57P01 57P02 57P03 57P05 58000 58030 72000 XX000
"""
LASTING = "22000 22001 22003 22021 22P02 22P05 23502 23505 23514 54000"

Act = Callable[[AsyncConnection], Awaitable[object]]


@pytest.fixture
async def store(postgres_schema_url: str) -> AsyncIterator[Store]:
    await asyncio.to_thread(schema.upgrade, postgres_schema_url)
    store = Store(postgres_schema_url)
    yield store
    await store.close()


async def error_of(store: Store, act: Act) -> MmsentError | None:
    try:
        async with store.transaction() as connection:
            await act(connection)
    except MmsentError as error:
        return error
    return None


def sql(statement: str) -> Act:
    return lambda connection: connection.exec_driver_sql(statement)


async def test_what_the_server_says_decides(store: Store) -> None:
    async def kind(sqlstate: str) -> type:
        raising = sql(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")
        return type(await error_of(store, raising))

    passing, lasting = PASSING.split(), LASTING.split()
    kinds = {sqlstate: await kind(sqlstate) for sqlstate in [*passing, *lasting]}
    assert kinds == dict.fromkeys(passing, StoreUnavailableError) | dict.fromkeys(lasting, StoreDataError)
    assert (await store.write([row()], {}, NOW)).outcomes[0].kind == "written"


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("reset"), OSError(28, "full"), TimeoutError(), PoolTimeoutError("none free")],
)
def test_what_the_system_says_may_pass(error: Exception) -> None:
    with (
        pytest.raises(StoreUnavailableError, match=r"does not answer: .") as caught,
        schema.database_errors(),
    ):
        raise error
    assert caught.value.retriable


async def test_a_deadlock_may_be_tried_again(store: Store, postgres_schema_url: str) -> None:
    """One of the two goes through, the other is told to try again."""
    other, met = Store(postgres_schema_url), asyncio.Barrier(2)

    def locking(first: int, second: int) -> Act:
        async def lock(connection: AsyncConnection) -> None:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": first})
            await met.wait()
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": second})

        return lock

    ends = await asyncio.gather(error_of(store, locking(1, 2)), error_of(other, locking(2, 1)))
    (victim,) = [each for each in ends if each]
    assert isinstance(victim, StoreUnavailableError)
    assert "deadlock" in str(victim)
    await other.close()


async def test_a_lost_race_and_a_held_row_may_be_tried_again(store: Store, postgres_schema_url: str) -> None:
    other = Store(postgres_schema_url)
    await store.write([row()], {}, NOW)
    update = "UPDATE posts SET version = version"

    async def overtaken(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await connection.exec_driver_sql("SELECT 1 FROM posts")
        assert await error_of(other, sql(update)) is None
        await connection.exec_driver_sql(update)

    async def held(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(update)
        impatient = await error_of(other, sql(f"SET LOCAL lock_timeout = 20; {update}"))
        assert isinstance(impatient, StoreUnavailableError)
        assert "lock timeout" in str(impatient)

    late = await error_of(store, overtaken)
    assert isinstance(late, StoreUnavailableError)
    assert "serialize" in str(late)
    assert await error_of(store, held) is None
    await other.close()


async def test_a_server_that_only_reads_is_left(store: Store) -> None:
    """As after a failover: the old server still answers, but another one takes the writes."""
    await error_of(store, sql("SET SESSION default_transaction_read_only = on"))
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await store.write([row()], {}, NOW)
    assert (await store.write([row()], {}, NOW)).outcomes[0].kind == "written", "over a new connection"


async def test_a_server_that_is_down_may_come_back() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    store = Store(f"postgresql://nobody@127.0.0.1:{port}/none")
    for call in (store.open(), store.ping(), store.write([row()], {}, NOW)):
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            await call
    await store.close()


async def test_a_connection_that_is_killed_is_opened_again(store: Store, postgres_schema_url: str) -> None:
    other = Store(postgres_schema_url)

    async def kill(process: int | None) -> None:
        assert await error_of(other, sql(f"SELECT pg_terminate_backend({process})")) is None

    async def own_process(connection: AsyncConnection) -> int | None:
        return await connection.scalar(text("SELECT pg_backend_pid()"))

    async def killed(connection: AsyncConnection) -> None:
        await kill(await own_process(connection))
        await connection.exec_driver_sql("SELECT 1")

    assert isinstance(await error_of(store, killed), StoreUnavailableError)
    async with store.transaction() as connection:
        idle = await own_process(connection)
    await kill(idle)
    await store.write([row()], {}, NOW)  # the pool finds out by itself
    await other.close()


async def test_a_statement_that_takes_too_long_may_be_tried_again(store: Store) -> None:
    late = await error_of(store, sql("SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)"))
    assert isinstance(late, StoreUnavailableError)
    assert "timeout" in str(late)
