"""Everything that runs: three servers, a proxy, a picture host, workers, and one who sends without end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from mmsent.broker import Message, Publisher, create_topics
from mmsent.errors import BrokerUnavailableError
from mmsent.settings import Settings
from mmsent.store.edits import add_topic
from mmsent.store.schema import upgrade
from mmsent.topics import TrackedTopic
from tests.chaos.checker import Checker
from tests.chaos.pictures import PictureHost
from tests.chaos.proxy import Proxy
from tests.chaos.truth import TOPIC, Generator, Sent
from tests.chaos.workers import Workers
from tests.services.servers import Kafka, Postgres, Redis

SENT_AT_ONCE = 100
BACKLOG_S = 20.0  # of sending: with more behind than that the sender waits, lest a slow machine drowns


@dataclass
class Load:
    """Sends what the generator tells, `rate` a second, until `stop`; knows what Kafka has acknowledged."""

    settings: Settings
    generator: Generator
    checker: Checker
    rate: float
    limit: int | None = None  # messages, all told
    sent: int = 0
    records: int = 0  # acknowledged at least
    _sending: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        self._publisher = Publisher(self.settings)
        self._sending = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """What was begun is finished: after this everything that was sent is acknowledged."""
        if self._sending is not None:
            self.limit = self.sent
            await self._sending
        await self._publisher.aclose()

    async def send(self, messages: Sequence[Sent]) -> None:
        """Until Kafka has all of them; some may stand there more than once then."""
        for start in range(0, len(messages), SENT_AT_ONCE):
            some = messages[start : start + SENT_AT_ONCE]
            self.checker.know(some)
            while True:
                try:
                    await self._publisher.send_all(
                        self.settings.topic("posts"), [Message(each.key, each.value) for each in some]
                    )
                except BrokerUnavailableError:
                    await asyncio.sleep(0.5)
                else:
                    break
            self.checker.acknowledge(some)
            self.records += len(some)

    async def _go_on(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while self.limit is None or self.sent < self.limit:
            if self.records - self.checker.committed_records > BACKLOG_S * self.rate:
                await asyncio.sleep(0.1)
                continue
            count = max(1, min(SENT_AT_ONCE, round(self.rate / 10)))
            await self.send(self.generator.take(count))
            self.sent += count
            due = max(due + count / self.rate, clock() - 1)
            await asyncio.sleep(max(0.0, due - clock()))


@dataclass
class Stack:
    kafka: Kafka
    postgres: Postgres
    redis: Redis
    proxy: Proxy
    pictures: PictureHost
    workers: Workers
    load: Load
    checker: Checker
    settings: Settings  # as the workers have it but for the proxy


@asynccontextmanager
async def running(
    folder: Path,
    *,
    seed: int,
    workers: int,
    rate: float,
    session_timeout_s: float,
    engine: Literal["stub", "auto"] = "stub",
) -> AsyncIterator[Stack]:
    """All of it over `folder`, the workers with their partitions and posts on their way.

    Raises:
        MissingServerError: a server's program is not installed.
    """
    async with AsyncExitStack() as stack:
        kafka, postgres, redis = await asyncio.to_thread(_prepared, folder)
        for server in (kafka, postgres, redis):
            stack.push_async_callback(asyncio.to_thread, server.stop)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in (kafka, postgres, redis)))
        proxy = await stack.enter_async_context(Proxy(postgres.port))
        pictures = await stack.enter_async_context(PictureHost())
        settings = Settings.load(
            data_dir=folder,
            database_url=postgres.url(),
            redis_url=redis.url(),
            kafka_bootstrap_servers=kafka.url(),
            kafka_session_timeout_s=session_timeout_s,
            engine=engine,
            health_port=0,
            decode_processes=1,
            fetch_deadline_s=2,
            fetch_allow_private=(pictures.endpoint,),
            lateness_s=5,
            log_level="info",
        )
        await asyncio.to_thread(upgrade, settings.database_url)
        add_topic(settings.database_url, TrackedTopic(TOPIC, (TOPIC,), (), ()), datetime.now(UTC))
        await create_topics(settings)
        through_proxy = postgres.url().replace(f":{postgres.port}/", f":{proxy.port}/")
        team = Workers(settings.model_copy(update={"database_url": through_proxy}), folder)
        checker = await stack.enter_async_context(Checker(settings))
        start = datetime.now(UTC) - timedelta(minutes=5)
        generator = Generator(seed, start, pictures.pictures, stub=engine == "stub")
        load = Load(settings, generator, checker, rate)
        stack.push_async_callback(team.close)
        await team.scale(workers)
        await team.until(lambda: all(map(team.has_partitions, team.slots)), "workers to have partitions")
        load.start()
        yield Stack(kafka, postgres, redis, proxy, pictures, team, load, checker, settings)


def _prepared(folder: Path) -> tuple[Kafka, Postgres, Redis]:
    folder.chmod(0o755)  # PostgreSQL runs as another user
    folders = [folder / name for name in ("kafka", "postgres", "redis")]
    for each in folders:
        each.mkdir()
    kafka, postgres, redis = Kafka(folders[0]), Postgres(folders[1]), Redis(folders[2])
    kafka.prepare()
    postgres.prepare()
    return kafka, postgres, redis
