"""The worker's consumer on a real Kafka: records that are gone, rebalances, a broker that dies."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from structlog.testing import capture_logs

from mmsent.broker import OffsetReader, Record, TopicReader
from mmsent.posts import DeletePost
from mmsent.settings import Settings
from mmsent.store.writes import Deletion, Item
from tests import kafka_bench
from tests.kafka_bench import PATIENCE_S, Notebook, delete_records, offsets, publish, until, until_committed
from tests.services.servers import Kafka
from tests.test_broker import Group
from worker import consumer as consumer_module
from worker import writer as writer_module

Lines = Sequence[Mapping[str, Any]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "WATCH_S", 0.3)
    monkeypatch.setattr(writer_module, "TICK_S", 0.1)


@pytest.fixture
async def settings(kafka_url: str) -> Settings:
    return await kafka_bench.new_settings(kafka_url)


async def work_until_committed(settings: Settings) -> tuple[Notebook, float]:
    """A worker's life until everything is committed: what it was given, and how many it counted as lost."""
    notebook = Notebook()
    bench = kafka_bench.bench(settings, notebook)
    async with bench.running():
        await until(lambda: bench.count("mmsent_last_commit_timestamp_seconds") > 0)
        await until_committed(settings)
    return notebook, bench.count("mmsent_lost_records_total")


def losses(lines: Lines) -> list[tuple[int, int, int, int]]:
    told = [line for line in lines if line["event"] == "records_lost"]
    assert all(line["log_level"] == "error" for line in told)
    return [(line["partition"], line["first"], line["next"], line["count"]) for line in told]


async def full_partition(settings: Settings) -> int:
    _, ends = await offsets(settings)
    (partition,) = (number for number, end in ends.items() if end)
    return partition


@pytest.mark.parametrize("left", [3, 0])
@pytest.mark.parametrize("read_before", [10, 0])
async def test_records_that_left_kafka_while_nobody_worked_are_named(
    settings: Settings, read_before: int, left: int
) -> None:
    await publish(settings, read_before)
    await work_until_committed(settings)
    await publish(settings, 10)
    partition, gone = await full_partition(settings), read_before + 10 - left
    await delete_records(settings, partition, gone)
    with capture_logs() as lines:
        notebook, lost = await work_until_committed(settings)
        _, lost_afterwards = await work_until_committed(settings)
    assert losses(lines) == [(partition, read_before, gone, 10 - left)]
    assert (lost, lost_afterwards) == (10 - left, 0)
    assert notebook.taken == [(partition, gone + n) for n in range(left)]


async def test_records_that_leave_kafka_before_a_slow_worker_comes_to_them_are_named(
    kafka_url: str,
) -> None:
    settings = await kafka_bench.new_settings(kafka_url, max_in_flight=4)
    await publish(settings, 20)
    partition, notebook = await full_partition(settings), Notebook()
    notebook.go_on.clear()
    bench = kafka_bench.bench(settings, notebook)
    with capture_logs() as lines:
        async with bench.running():
            await until(lambda: bench.worker.in_hand == 4)
            await publish(settings, 20)
            await delete_records(settings, partition, 30)
            notebook.go_on.set()
            await until_committed(settings)
    missed = {(partition, offset) for offset in range(40)} - set(notebook.taken)
    (loss,) = losses(lines)
    assert {(partition, offset) for offset in range(loss[1], loss[2])} == missed
    assert bench.count("mmsent_lost_records_total") == loss[3] == len(missed) > 0


async def test_ends_of_transactions_are_no_loss(settings: Settings) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id=settings.kafka_group_id
    ) as producer:
        for _ in range(3):
            async with producer.transaction():
                await producer.send_and_wait(settings.topic("posts"), b"v", key=b"k")
    with capture_logs() as lines:
        notebook, lost = await work_until_committed(settings)
    assert [offset for _, offset in notebook.taken] == [0, 2, 4]
    assert (losses(lines), lost) == ([], 0)


class LateIntake:
    """Deaf to being cancelled once: it answers when the gate opens that stood there when it was asked."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.taken: list[str] = []
        self.answered: list[str] = []

    async def item(self, record: Record) -> Item:
        gate, place = self.gate, f"{record.partition}:{record.offset}"
        name = f"{place}#{sum(each.startswith(f'{place}#') for each in self.taken)}"
        self.taken.append(name)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await gate.wait()
        self.answered.append(name)
        return Deletion(DeletePost(post_id=name, version=0, source="test"))


async def test_what_was_begun_before_a_partition_went_and_came_back_is_nowhere_written_or_committed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "REVOKE_SHARE", 0.02)  # it would not finish anyhow
    for key in (b"a", b"b", b"c", b"d"):
        await publish(settings, 5, key)
    intake, other = LateIntake(), Group(settings)
    bench = kafka_bench.bench(settings, intake)
    before = intake.gate
    async with bench.running():
        await until(lambda: bench.worker.in_hand == 20)
        await other.consumer.start()
        await until(lambda: len(bench.worker.assignment) == 6)
        intake.gate = asyncio.Event()
        late = list(intake.taken)
        await other.consumer.stop()
        await until(lambda: len(bench.worker.assignment) == 12 and bench.worker.in_hand == 20)
        before.set()
        await until(lambda: len(intake.answered) >= len(late))
        await asyncio.sleep(1)
        committed, ends = await offsets(settings)
        assert set(committed.values()) == {0}
        assert bench.store.rows == set()
        intake.gate.set()
        assert await until_committed(settings) == ends
    assert bench.store.rows == set(intake.taken[-20:])
    assert bench.count("mmsent_posts_total", outcome="written") == 20


async def test_paused_partitions_bring_nothing_through_rebalances_until_resumed(settings: Settings) -> None:
    first, second = Group(settings), Group(settings)
    await first.consumer.start()
    await until(lambda: first.assigned == [set(range(12))])
    first.consumer.pause(range(12))
    for key in range(30):
        await publish(settings, 1, bytes([key]))

    async def nothing_comes(assigned: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(first.assigned[-1]) != assigned:
                assert await first.consumer.poll(100, 0.2) == []
        for _ in range(5):
            assert await first.consumer.poll(100, 0.2) == []

    await nothing_comes(12)
    await second.consumer.start()
    await nothing_comes(6)
    await second.consumer.stop()
    await nothing_comes(12)
    first.consumer.resume(range(12))
    assert len(await first.read(30)) == 30
    await first.consumer.stop()


@pytest.fixture
def mortal_kafka(kafka_url: str, tmp_path: Path) -> Iterator[Kafka]:
    """One that may be killed; `kafka_url` decides whether there is one at all."""
    with Kafka(tmp_path) as server:
        yield server


async def weigh_down(settings: Settings) -> None:
    """Repeat the group's offsets in Kafka's own topic until a starting broker takes seconds to load them."""
    async with TopicReader(settings, "__consumer_offsets", from_beginning=True) as reader:
        kept = [each async for each in reader.until_now() if settings.topic("posts").encode() in each.key]
    refused: list[Any] = []
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "client.id": "__admin_client",  # the only one that may write there
            "queue.buffering.max.messages": 1_000_000,
            "on_delivery": lambda error, _message: refused.append(error) if error else None,
        }
    )
    for _ in range(300_000 // len(kept)):
        for each in kept:
            producer.produce("__consumer_offsets", each.value, each.key, each.partition)
    assert (await asyncio.to_thread(producer.flush, PATIENCE_S), refused) == (0, [])


async def test_committed_offsets_never_go_back_while_kafka_dies_and_returns(mortal_kafka: Kafka) -> None:
    settings = await kafka_bench.new_settings(mortal_kafka.url())
    for key in range(40):
        await publish(settings, 25, bytes([key]))
    notebook = Notebook()
    bench = kafka_bench.bench(settings, notebook)
    async with bench.running():
        ends = await until_committed(settings)
        await weigh_down(settings)
        asking = asyncio.create_task(watch_committed(settings, ends))
        for _ in range(2):
            await asyncio.to_thread(mortal_kafka.kill)
            await asyncio.to_thread(mortal_kafka.start)
            await asyncio.sleep(1)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await publish(settings, 25)
        ends = await until_committed(settings)
    assert len(notebook.taken) == len(set(notebook.taken)) == sum(ends.values())


async def watch_committed(settings: Settings, least: Mapping[int, int]) -> None:
    """Ask without pause, each time with a new client too; an answer below `least` is an error."""
    while True:
        with suppress(consumer_module.BrokerUnavailableError):
            async with OffsetReader(settings) as reader:
                for _ in range(20):
                    assert await reader.committed_offsets(settings.topic("posts")) == least
