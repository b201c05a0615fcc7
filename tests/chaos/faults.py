"""What goes wrong, each by name: done to a running stack, and healed when the function returns.

A fault may return the moment from which recovery counts, if that is not its end.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import create_engine, make_url, text

from tests.chaos.stack import Stack
from tests.chaos.worker import POINTS

QUIET_S = 5.0  # without an assignment, and the group has settled
MEMORY_MIB = 48  # what a worker may take more while the database is away: what is in hand, and no more


@dataclass
class Circumstances:
    """What a fault may use and tell."""

    stack: Stack
    random: random.Random
    long: bool  # the long form: faults of full length
    told: dict[str, float] = field(default_factory=dict)

    def seconds(self, shortest: float, longest: float) -> float:
        """How long it lasts; in the short form as short as it goes."""
        return self.random.uniform(shortest, longest) if self.long else shortest


Fault = Callable[[Circumstances], Awaitable[float | None]]


async def killed_at(point: str, now: Circumstances) -> float:
    slot = now.random.choice(now.stack.workers.running)
    return await now.stack.workers.kill_at(slot, point, now.random.randint(1, 5))


async def killed_from_outside(now: Circumstances) -> None:
    await asyncio.sleep(now.random.uniform(0, 1))
    await now.stack.workers.kill(now.random.choice(now.stack.workers.running))


async def all_killed(now: Circumstances) -> None:
    for slot in now.stack.workers.running:
        await now.stack.workers.kill(slot)


async def terminated(now: Circumstances) -> None:
    """SIGTERM under load; exit code 0 within the drain time-out."""
    workers = now.stack.workers
    count = len(workers.running)
    slot = now.random.choice(workers.running)
    await workers.until(lambda: workers.has_partitions(slot), "a worker to have partitions")
    begun = time.monotonic()
    code = await workers.leave(slot)
    now.told["drain_s"] = time.monotonic() - begun
    assert code == 0, f"exit code {code} after SIGTERM"
    await workers.scale(count)


async def kafka_restarted(now: Circumstances) -> None:
    await asyncio.to_thread(now.stack.kafka.stop)
    await asyncio.sleep(now.seconds(0, 10))
    await asyncio.to_thread(now.stack.kafka.start)


async def kafka_killed(now: Circumstances) -> None:
    await asyncio.to_thread(now.stack.kafka.kill)
    await asyncio.to_thread(now.stack.kafka.start)


async def kafka_frozen(now: Circumstances) -> None:
    now.stack.kafka.freeze()
    try:
        await asyncio.sleep(now.seconds(10, 20))
    finally:
        now.stack.kafka.thaw()


async def postgres_restarted(now: Circumstances) -> None:
    """Gone for a while: nobody loses partitions, nobody's memory grows."""
    await _settled(now)
    await asyncio.to_thread(now.stack.postgres.stop)
    try:
        await _group_undisturbed(now, now.seconds(5, 60))
    finally:
        await asyncio.to_thread(now.stack.postgres.start)


async def postgres_killed(now: Circumstances) -> None:
    await asyncio.to_thread(now.stack.postgres.kill)
    (now.stack.postgres.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
    await asyncio.to_thread(now.stack.postgres.start)


async def postgres_silent(now: Circumstances) -> None:
    """It takes what it is told and answers nothing; then it answers everything."""
    await _settled(now)
    now.stack.proxy.silence()
    try:
        await _group_undisturbed(now, now.seconds(8, 20))
    finally:
        now.stack.proxy.speak()


async def postgres_forgotten(now: Circumstances) -> None:
    """Connections whose server never answers again, while new ones work."""
    now.stack.proxy.forget()


async def postgres_refusing(now: Circumstances) -> None:
    await _settled(now)
    now.stack.proxy.refuse(refusing=True)
    try:
        await _group_undisturbed(now, now.seconds(3, 10))
    finally:
        now.stack.proxy.refuse(refusing=False)


async def commit_reply_lost(now: Circumstances) -> None:
    now.stack.proxy.replies_to_lose = 5
    await now.stack.workers.until(lambda: not now.stack.proxy.replies_to_lose, "commits to lose replies of")


async def posts_locked(now: Circumstances) -> None:
    await asyncio.to_thread(_hold_lock, now.stack.settings.database_url, now.seconds(5, 10))


async def redis_killed(now: Circumstances) -> None:
    await asyncio.to_thread(now.stack.redis.kill)
    await asyncio.sleep(now.seconds(3, 10))
    await asyncio.to_thread(now.stack.redis.start)


async def redis_frozen(now: Circumstances) -> None:
    now.stack.redis.freeze()
    try:
        await asyncio.sleep(now.seconds(3, 10))
    finally:
        now.stack.redis.thaw()


async def redis_flushed(now: Circumstances) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", now.stack.redis.port)
    writer.write(b"FLUSHALL\r\n")
    assert await reader.readline() == b"+OK\r\n"
    writer.close()


async def pictures(manner: Any, now: Circumstances) -> None:
    now.stack.pictures.manner = manner
    await asyncio.sleep(now.seconds(3, 8))
    now.stack.pictures.manner = "normal"


async def rebalance_storm(now: Circumstances) -> None:
    """Workers come and go faster than the group settles."""
    workers = now.stack.workers
    before = len(workers.running)
    for count in (4, 1, 3, 1, 4, before) if now.long else (3, 1, before):
        await workers.scale(count)
        await asyncio.sleep(now.seconds(2, 5))


async def poison_burst(now: Circumstances) -> None:
    await now.stack.load.send(now.stack.load.generator.poison(300))


async def duplicates(now: Circumstances) -> None:
    messages = now.stack.load.generator.take(200)
    for _ in range(10):
        await now.stack.load.send(messages)


async def out_of_order(now: Circumstances) -> None:
    await now.stack.load.send(now.stack.load.generator.shuffled(150))


async def rewound(now: Circumstances) -> None:
    """The group is put back by a third of what it has done; that works only while nobody is in it."""
    stack = now.stack
    count = len(stack.workers.running)
    await stack.workers.scale(0)
    committed = await stack.checker.committed()
    stack.checker.expect_rewind()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stack.settings.kafka_bootstrap_servers,
        group_id=stack.settings.kafka_group_id,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        topic = stack.settings.topic("posts")
        back = {
            TopicPartition(topic, number): max(0, offset - min(offset // 3, 300))
            for number, offset in committed.items()
        }
        consumer.assign(list(back))
        await consumer.commit(back)
    finally:
        await consumer.stop()
    stack.checker.expect_rewind()
    await stack.workers.scale(count)


FAULTS: Mapping[str, Fault] = {
    **{f"worker killed: {point}": partial(killed_at, point) for point in POINTS},
    "worker killed from outside": killed_from_outside,
    "all workers killed": all_killed,
    "worker terminated": terminated,
    "Kafka restarted": kafka_restarted,
    "Kafka killed": kafka_killed,
    "Kafka frozen": kafka_frozen,
    "PostgreSQL restarted": postgres_restarted,
    "PostgreSQL killed": postgres_killed,
    "PostgreSQL silent": postgres_silent,
    "PostgreSQL connections forgotten": postgres_forgotten,
    "PostgreSQL refusing": postgres_refusing,
    "commit replies lost": commit_reply_lost,
    "table posts locked": posts_locked,
    "Redis killed": redis_killed,
    "Redis frozen": redis_frozen,
    "Redis flushed": redis_flushed,
    "picture host slow": partial(pictures, "slow"),
    "picture host endless": partial(pictures, "endless"),
    "rebalance storm": rebalance_storm,
    "poison burst": poison_burst,
    "duplicates ×10": duplicates,
    "versions and deletes out of order": out_of_order,
    "offsets rewound": rewound,
}


async def _settled(now: Circumstances) -> None:
    """Until the rebalances of earlier faults are over: every worker has partitions, and keeps them."""
    workers = now.stack.workers
    seen, since = -1, time.monotonic()

    def quiet() -> bool:
        nonlocal seen, since
        if (assignments := workers.journal()[1]) != seen:
            seen, since = assignments, time.monotonic()
        return all(map(workers.has_partitions, workers.running)) and time.monotonic() - since > QUIET_S

    await workers.until(quiet, "the group to settle")


async def _group_undisturbed(now: Circumstances, seconds: float) -> None:
    """Wait; no rebalance meanwhile, and flat memory."""
    workers = now.stack.workers
    _, assignments = workers.journal()
    memory = workers.memory()
    await asyncio.sleep(seconds)
    grown = {pid: after - memory[pid] for pid, after in workers.memory().items() if pid in memory}
    now.told["rebalances"] = workers.journal()[1] - assignments
    now.told["memory_grown_mib"] = max(grown.values(), default=0)
    assert now.told["rebalances"] == 0, f"{now.told['rebalances']} assignments while the database was away"
    assert now.told["memory_grown_mib"] <= MEMORY_MIB, f"memory grew by {grown} MiB"


def _hold_lock(database_url: str, seconds: float) -> None:
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE"))
        time.sleep(seconds)
    engine.dispose()
