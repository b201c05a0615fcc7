"""Kafka through aiokafka, against librdkafka's mock cluster; topics there have four partitions."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import closing
from typing import Any, Self

import confluent_kafka
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupLoadInProgressError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3

import mmsent.broker
from mmsent.broker import (
    MAX_MESSAGE_BYTES,
    Message,
    OffsetReader,
    PostConsumer,
    Publisher,
    Record,
    TopicReader,
    check_topics,
    create_topics,
)
from mmsent.errors import BrokerUnavailableError, InvalidMessageError, PartitionLostError, SetupError
from mmsent.settings import Settings


@pytest.fixture
def settings() -> Iterator[Settings]:
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    yield Settings(
        kafka_bootstrap_servers=",".join(f"{broker.host}:{broker.port}" for broker in brokers),
        kafka_request_timeout_s=5,
    )
    del cluster


@pytest.fixture
async def publisher(settings: Settings) -> AsyncIterator[Publisher]:
    async with Publisher(settings) as publisher:
        yield publisher


class Group:
    """A consumer with a diary of its rebalances."""

    def __init__(self, settings: Settings) -> None:
        self.assigned: list[set[int]] = []
        self.revoked: list[set[int]] = []
        self.consumer = PostConsumer(settings, on_assigned=self._on_assigned, on_revoked=self._on_revoked)

    def _on_assigned(self, partitions: Collection[int]) -> None:
        self.assigned.append(set(partitions))

    async def _on_revoked(self, partitions: Collection[int]) -> None:
        self.revoked.append(set(partitions))

    async def read(self, count: int) -> list[Record]:
        records: list[Record] = []
        async with asyncio.timeout(20):
            while len(records) < count:
                records += await self.consumer.poll(count - len(records), 0.2)
        return records


async def test_a_group_reads_pauses_commits_and_comes_back(settings: Settings, publisher: Publisher) -> None:
    messages = [Message(str(n).encode(), f"v{n}".encode(), (("h", b"x"),)) for n in range(40)]
    await publisher.send_all("posts", messages)
    group = Group(settings)
    await group.consumer.start()
    records = await group.read(40)
    assert {(record.key, record.value) for record in records} == {(one.key, one.value) for one in messages}
    assert records[0].headers == (("h", b"x"),)
    assert group.assigned == [{0, 1, 2, 3}]

    ends = await group.consumer.end_offsets()
    assert sum(ends.values()) == 40
    group.consumer.pause([0, 1, 2, 3])
    await publisher.send("posts", b"late", b"late")
    assert await group.consumer.poll(10, 0.3) == []
    group.consumer.resume([0, 1, 2, 3])
    (late,) = await group.read(1)
    assert late.value == b"late"

    await group.consumer.commit(ends)
    async with OffsetReader(settings) as offsets:
        assert await offsets.committed_offsets("posts") == ends
        assert sum((await offsets.end_offsets("posts")).values()) == 41
    await group.consumer.stop()

    again = Group(settings)
    await again.consumer.start()
    assert [record.value for record in await again.read(1)] == [b"late"]
    assert await again.consumer.position(late.partition) == late.offset + 1
    again.consumer.rewind(late.partition, late.offset)
    assert [record.value for record in await again.read(1)] == [b"late"]
    with pytest.raises(PartitionLostError):
        await again.consumer.commit({99: 1})
    await again.consumer.stop()


async def test_offsets_that_are_still_being_loaded_are_asked_for_again(
    settings: Settings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publisher.send_all("posts", [Message(str(n).encode(), b"v") for n in range(40)])
    group = Group(settings)
    await group.consumer.start()
    await group.read(40)
    ends = await group.consumer.end_offsets()
    await group.consumer.commit(ends)
    await group.consumer.stop()

    answer, loading = AIOKafkaClient.send, 0

    async def just_started(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
        nonlocal loading
        if loading and isinstance(request, OffsetFetchRequest):
            loading -= 1
            return OffsetFetchResponse_v3(0, [], GroupLoadInProgressError.errno)
        return await answer(client, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", just_started)
    loading = 2
    async with OffsetReader(settings) as offsets:
        assert await offsets.committed_offsets("posts") == ends
    assert loading == 0
    loading = 2
    again = Group(settings)
    await again.consumer.start()
    assert await again.consumer.poll(10, 1.0) == []
    assert {number: await again.consumer.position(number) for number in ends} == ends
    assert loading == 0
    await again.consumer.stop()


async def test_nothing_committed_reads_as_zero(settings: Settings, publisher: Publisher) -> None:
    await publisher.send("posts", b"k", b"v")
    async with OffsetReader(settings) as offsets:
        assert await offsets.committed_offsets("posts") == {0: 0, 1: 0, 2: 0, 3: 0}


async def test_followers_start_at_either_end(settings: Settings, publisher: Publisher) -> None:
    await publisher.send("alerts", b"k", b"old")
    async with (
        TopicReader(settings, "alerts", from_beginning=True) as everything,
        TopicReader(settings, "alerts", from_beginning=False) as news,
    ):
        assert not await everything.at_end()
        await publisher.send("alerts", b"k", b"new")
        async with asyncio.timeout(10):
            async for record in news:
                assert record.value == b"new"
                break
            old = [await anext(aiter(everything)) for _ in range(1)]
        assert old[0].value == b"old"


async def test_reading_to_the_end(settings: Settings, publisher: Publisher) -> None:
    await publisher.send_all("posts.dead", [Message(None, str(n).encode()) for n in range(5)])
    values: list[bytes | None] = []
    async with TopicReader(settings, "posts.dead", from_beginning=True) as reader, asyncio.timeout(10):
        while not await reader.at_end():
            values += [record.value for record in await reader.poll(0.2)]
    assert sorted(filter(None, values)) == [b"0", b"1", b"2", b"3", b"4"]


async def test_empty_records_are_published_as_they_are(settings: Settings, publisher: Publisher) -> None:
    await publisher.send_all("t", [Message(b"k", None), Message(None, None)])
    async with TopicReader(settings, "t", from_beginning=True) as reader, asyncio.timeout(10):
        records: list[Record] = []
        while len(records) < 2:
            records += await reader.poll(0.2)
    assert {(record.key, record.value) for record in records} == {(b"k", None), (None, b"")}


async def test_a_record_beyond_the_limit_is_named_as_such(publisher: Publisher) -> None:
    with pytest.raises(InvalidMessageError, match="too large") as caught:
        await publisher.send("posts", b"k", b"x" * MAX_MESSAGE_BYTES)
    assert caught.value.stage == "publish"
    await publisher.send("posts", b"k", b"small")


async def test_no_broker_is_said_in_one_line_and_in_time() -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: refuses connections
        nobody = Settings(
            kafka_bootstrap_servers=f"127.0.0.1:{reserved.getsockname()[1]}", kafka_request_timeout_s=0.5
        )
        group = Group(nobody)
        async with asyncio.timeout(10):
            for start in (
                Publisher(nobody).start,
                group.consumer.start,
                TopicReader(nobody, "alerts", from_beginning=True).__aenter__,
                OffsetReader(nobody).__aenter__,
                lambda: check_topics(nobody),
            ):
                with pytest.raises(BrokerUnavailableError, match="MMSENT_KAFKA_BOOTSTRAP_SERVERS") as caught:
                    await start()
                assert "\n" not in str(caught.value)


class BrokerThatFallsSilent:
    """A mock cluster in a process of its own, which can be stopped: connections stay, answers do not come."""

    PROGRAM = """
import sys, confluent_kafka
cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1})
(broker,) = cluster.list_topics(timeout=10).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        return self

    def fall_silent(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def speak(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()


async def test_a_broker_that_falls_silent_holds_us_up_for_the_time_out_only() -> None:
    with BrokerThatFallsSilent() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, kafka_request_timeout_s=1)
        async with Publisher(settings) as publisher, asyncio.timeout(30):
            await publisher.send("posts", b"k", b"1")
            group = Group(settings)
            await group.consumer.start()
            (first,) = await group.read(1)
            broker.fall_silent()
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(BrokerUnavailableError):
                await publisher.send("posts", b"k", b"2")
            with pytest.raises(BrokerUnavailableError):
                await publisher.send("posts", b"k", b"2")
            with pytest.raises(BrokerUnavailableError):
                await group.consumer.commit({first.partition: 1})
            with pytest.raises(BrokerUnavailableError):
                await group.consumer.end_offsets()
            assert loop.time() - started < 8
            broker.speak()
            await publisher.send("posts", b"k", b"3")
            await group.consumer.commit({first.partition: 1})
            values = [record.value for record in await group.read(1)]
            assert set(values) <= {b"2", b"3"}
            await group.consumer.stop()


async def test_leaving_a_silent_broker_takes_no_longer_than_the_time_outs() -> None:
    with BrokerThatFallsSilent() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, kafka_request_timeout_s=0.5)
        publisher = Publisher(settings)
        await publisher.start()
        group = Group(settings)
        await group.consumer.start()
        broker.fall_silent()
        with pytest.raises(BrokerUnavailableError):
            await publisher.send("posts", b"k", b"2")
        async with asyncio.timeout(5):
            await group.consumer.stop()
            await publisher.aclose()


class ConsumerThatCancelsItself:
    """As aiokafka's does while it closes its fetcher without a broker."""

    def __init__(self) -> None:
        self._client = self
        self.hung_up = False

    async def stop(self) -> None:
        raise asyncio.CancelledError

    async def close(self) -> None:
        self.hung_up = True


async def test_a_consumer_that_cancels_itself_cancels_nobody_else() -> None:
    consumer = ConsumerThatCancelsItself()
    await mmsent.broker._stop(consumer, 1)
    assert consumer.hung_up


async def test_a_cluster_without_controller_makes_topics_by_itself(settings: Settings) -> None:
    with pytest.raises(SetupError, match="by itself"):
        await create_topics(settings)


async def test_missing_topics_are_named(settings: Settings) -> None:
    assert await check_topics(settings) == []  # asking makes them, there
