"""Workers that share a real Kafka's partitions, come, leave and die under load."""

import asyncio
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

from mmsent.broker import Message, OffsetReader, Publisher
from mmsent.settings import Settings
from tests import kafka_bench
from tests.chaos.workers import Workers
from tests.kafka_bench import PATIENCE_S, owners, until_committed
from tests.test_worker import everything_on, headers, post, rows, settings_for

PER_BATCH = 40
BACKLOG = 400  # records; with more than that to be done the sender waits, be the machine ever so slow


class Sender:
    """Sends posts, and one in forty that is none, until told to stop; all that is sent is acknowledged."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.posts = 0
        self.junk = 0
        self.enough = asyncio.Event()

    async def run(self) -> None:
        topic = self._settings.topic("posts")
        async with Publisher(self._settings) as publisher, OffsetReader(self._settings) as offsets:
            for batch in self._batches():
                await publisher.send_all(topic, batch)
                if self.enough.is_set():
                    return
                while self.sent - sum((await offsets.committed_offsets(topic)).values()) > BACKLOG:  # noqa: ASYNC110  # Kafka tells nobody
                    await asyncio.sleep(0.1)
                await asyncio.sleep(0.1)

    @property
    def sent(self) -> int:
        return self.posts + self.junk

    def _batches(self) -> Iterator[list[Message]]:
        for start in itertools.count(step=PER_BATCH):
            names = [f"test/{number}" for number in range(start, start + PER_BATCH)]
            self.posts, self.junk = self.posts + PER_BATCH, self.junk + 1
            yield [*(Message(name.encode(), post(name)) for name in names), Message(b"junk", b"{")]


async def until_shared(settings: Settings, members: int) -> None:
    """Until so many members have all the partitions, each one."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            shares = (await owners(settings)).values()
            if len(shares) == members and all(shares):
                assert sorted(itertools.chain(*shares)) == list(range(12))
                return
            await asyncio.sleep(0.3)


async def test_workers_come_leave_and_die_and_every_record_still_counts_once(
    kafka_url: str, redis_url: str, postgres_schema_url: str, tmp_path: Path
) -> None:
    fresh = await kafka_bench.new_settings(kafka_url)
    settings = await asyncio.to_thread(
        lambda: settings_for(
            tmp_path,
            **fresh.model_dump(include={"kafka_bootstrap_servers", "kafka_group_id", "topic_prefix"}),
            kafka_session_timeout_s=6,
            write_max_rows=8,  # so that there is always more in hand than what is being written
            redis_url=redis_url,
            database_url=postgres_schema_url,
        )
    )
    workers, sender = Workers(settings, tmp_path), Sender(settings)
    sending = asyncio.create_task(sender.run())
    try:
        await workers.scale(2)
        await until_shared(settings, 2)
        await workers.scale(3)
        await until_shared(settings, 3)
        await workers.kill_at(workers.slots[0], "before_commit", 3)  # a successor follows
        assert await workers.leave(workers.slots[1]) == 0
        sender.enough.set()
        await sending
        ends = await until_committed(settings)
        await until_shared(settings, 2)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await workers.close()

    assert sum(ends.values()) == sender.sent
    assert rows(settings, "SELECT count(*), count(DISTINCT post_id) FROM posts") == [(sender.posts,) * 2]
    assert rows(settings, "SELECT sum(posts) FROM rollups WHERE topic = 'all'") == [(sender.posts,)]
    dead = [headers(record) for record in await everything_on(settings, settings.topic("posts.dead"))]
    assert (
        len({(each["mmsent.error.partition"], each["mmsent.error.offset"]) for each in dead}) == sender.junk
    )
    assert set(workers.surprises) <= {-signal.SIGKILL}
    assert workers.tracebacks() == 0
