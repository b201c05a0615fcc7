"""What the tests on a real Kafka share: topics of their own, records in a known place, an honest notebook."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import TopicPartition

from mmsent.broker import Message, OffsetReader, PostConsumer, Publisher, Record, create_topics
from mmsent.posts import DeletePost
from mmsent.settings import Settings
from mmsent.store.writes import Deletion, Item
from tests.test_consumer import Bench

PATIENCE_S = 120.0


async def new_settings(kafka_url: str, **others: Any) -> Settings:
    """Topics and a group that nobody has used yet."""
    name = f"test-{secrets.token_hex(4)}"
    settings = Settings(
        kafka_bootstrap_servers=kafka_url, topic_prefix=f"{name}.", kafka_group_id=name, **others
    )
    await create_topics(settings)
    return settings


class Notebook:
    """The worker's intake; it notes every record it is given, and can be held up."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def item(self, record: Record) -> Item:
        self.taken.append((record.partition, record.offset))
        await self.go_on.wait()
        name = f"{record.partition}:{record.offset}"
        return Deletion(DeletePost(post_id=name, version=0, source="test"))


class RealKafka:
    """In the bench's place for Kafka: the worker makes its own consumer."""

    connect = staticmethod(PostConsumer)


def bench(settings: Settings, intake: Any) -> Bench:
    """A worker on the real Kafka, over a database in memory."""
    return Bench(RealKafka(), settings, intake=intake)  # type: ignore[arg-type]  # all the worker needs of it


async def publish(settings: Settings, count: int, key: bytes = b"one partition") -> None:
    async with Publisher(settings) as publisher:
        await publisher.send_all(settings.topic("posts"), [Message(key, b"value")] * count)


async def offsets(settings: Settings) -> tuple[dict[int, int], dict[int, int]]:
    """Committed, and the ends."""
    topic = settings.topic("posts")
    async with OffsetReader(settings) as reader:
        return await reader.committed_offsets(topic), await reader.end_offsets(topic)


async def until_committed(settings: Settings) -> dict[int, int]:
    """Until committed offsets stand at the ends; these."""
    topic = settings.topic("posts")
    async with OffsetReader(settings) as reader, asyncio.timeout(PATIENCE_S):
        while True:
            ends = await reader.end_offsets(topic)
            if await reader.committed_offsets(topic) == ends:
                return ends
            await asyncio.sleep(0.1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # conditions over several parts
            await asyncio.sleep(0.01)


@asynccontextmanager
async def administrator(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def delete_records(settings: Settings, partition: int, before: int) -> None:
    """What retention does, now."""
    async with administrator(settings) as admin:
        place = TopicPartition(settings.topic("posts"), partition)
        await admin.delete_records({place: RecordsToDelete(before)})


async def owners(settings: Settings) -> Mapping[str, list[int]]:
    """Whom Kafka has given which partitions, by the member's id; empty during a rebalance."""
    async with administrator(settings) as admin:
        try:
            (answer,) = await admin.describe_consumer_groups([settings.kafka_group_id])
        except GroupCoordinatorNotAvailableError:  # the cluster's first group makes it wait for a topic
            return {}
    ((_error, _group, state, _type, _protocol, members, *_),) = answer.groups
    if state != "Stable":
        return {}
    return {
        member: [
            number
            for _topic, numbers in ConsumerProtocol.ASSIGNMENT.decode(assignment).assignment
            for number in numbers
        ]
        for member, _client, _host, _metadata, assignment, *_ in members
    }
