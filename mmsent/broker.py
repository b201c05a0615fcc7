"""Kafka, by aiokafka: the workers' consumer, publishing, reading without a group, offsets, topics.

What aiokafka 0.14 must be treated with, each of it seen to go wrong otherwise: `getmany` is never cancelled
(its idle clock would stop for good), no deserializers (a raising one repeats its offset for ever), commits
name their offsets and are bounded (they retry for ever), pauses are re-applied after each rebalance (it
forgets them), one assignor (it sends one JoinGroup each), sends and stops are bounded, and a coordinator that
cannot name committed offsets yet is asked again (it takes that for "nothing committed" and starts over).
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal, Self

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchResponse_v2, OffsetFetchResponse_v3

from mmsent.errors import BrokerUnavailableError, InvalidMessageError, PartitionLostError, SetupError
from mmsent.settings import Settings

TopicName = Literal["posts", "scores", "alerts", "posts.dead"]
Headers = tuple[tuple[str, bytes], ...]
Assigned = Callable[[Collection[int]], None]
Revoked = Callable[[Collection[int]], Awaitable[None]]

MAX_MESSAGE_BYTES = 2 * 1024 * 1024  # a dead letter is its record and headers: brokers take 1 MiB by default
FETCH_MAX_BYTES = 16 * 1024 * 1024
FETCH_WAIT_MS = 100
CANCELLED_WITHIN_S = 1.0
MAX_POLL_INTERVAL_MS = 300_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Record:
    """What stands on Kafka, raw. `timestamp_ms` is since 1970 (−1 = none)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True)
class Message:
    """What is to be published."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes of content, without Kafka's framing."""
        parts = (self.key, self.value, *(part for name, value in self.headers for part in (name, value)))
        return sum(len(part) for part in parts if part is not None)


@dataclass(frozen=True)
class TopicPlan:
    """How a topic is made. Posts and scores outlive a long weekend, alerts a month."""

    partitions: int
    retention: timedelta
    config: Mapping[str, str]


TOPICS: dict[TopicName, TopicPlan] = {
    "posts": TopicPlan(12, timedelta(days=4), {"message.timestamp.type": "LogAppendTime"}),
    "scores": TopicPlan(12, timedelta(days=4), {}),
    "alerts": TopicPlan(1, timedelta(days=30), {}),
    "posts.dead": TopicPlan(1, timedelta(days=14), {"max.message.bytes": str(MAX_MESSAGE_BYTES)}),
}


@contextmanager
def broker_errors(doing: str, servers: str) -> Iterator[None]:
    """aiokafka's errors as ours.

    Raises:
        PartitionLostError: another worker owns the partition now.
        InvalidMessageError: the record is too large; stage `publish`.
        BrokerUnavailableError: everything else.
    """
    try:
        yield
    except (CommitFailedError, IllegalStateError) as error:
        raise PartitionLostError(f"cannot {doing}: another worker owns the partition now") from error
    except MessageSizeTooLargeError as error:
        raise InvalidMessageError(f"cannot {doing}: the record is too large", stage="publish") from error
    except UnknownTopicOrPartitionError as error:
        raise BrokerUnavailableError(
            f"cannot {doing}: there is no such topic; run: mmsent kafka create"
        ) from error
    except (KafkaError, ConsumerStoppedError, TimeoutError, OSError) as error:
        said = str(error) or type(error).__name__
        raise BrokerUnavailableError(
            f"cannot {doing}: Kafka at {servers}: {said}; is it running? (MMSENT_KAFKA_BOOTSTRAP_SERVERS)"
        ) from error


@asynccontextmanager
async def _bounded(doing: str, settings: Settings, *, starting: bool = False) -> AsyncIterator[None]:
    """`broker_errors`, and an end to waiting; a start is left time to clean up after its own time-out."""
    with broker_errors(doing, settings.kafka_bootstrap_servers):
        async with asyncio.timeout(settings.kafka_request_timeout_s * (2 if starting else 1)):
            yield


def _record(raw: Any) -> Record:
    headers = tuple((name, value or b"") for name, value in raw.headers)
    return Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, headers)


async def _partitions(consumer: AIOKafkaConsumer, topic: str, settings: Settings) -> list[TopicPartition]:
    """All partitions of `topic`; asking for the end of partition 0 makes the client learn them."""
    if not consumer.partitions_for_topic(topic):
        try:
            async with asyncio.timeout(settings.kafka_request_timeout_s / 2):
                await consumer.end_offsets([TopicPartition(topic, 0)])
        except (TimeoutError, KafkaTimeoutError):
            if topic in await consumer.topics():
                raise
            raise UnknownTopicOrPartitionError from None
    return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]


async def _end_offsets(consumer: AIOKafkaConsumer, topic: str, settings: Settings) -> dict[int, int]:
    ends = await consumer.end_offsets(await _partitions(consumer, topic, settings))
    return {partition.partition: int(offset) for partition, offset in ends.items()}


async def _stop(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Leave the group and close; a broker that does not answer cannot hold us up."""
    leaving = asyncio.ensure_future(
        consumer.stop()
    )  # a task: without a broker, aiokafka cancels itself in it
    try:
        await asyncio.wait([leaving], timeout=timeout_s)
    finally:
        leaving.cancel()
    await asyncio.wait([leaving], timeout=CANCELLED_WITHIN_S)
    if leaving.done() and not leaving.cancelled():
        error = leaving.exception()
        if error is None:
            return
        if not isinstance(error, KafkaError | OSError):
            raise error
    else:
        error = TimeoutError("no answer")
    log.warning("kafka_consumer_not_stopped_cleanly", error=str(error) or type(error).__name__)
    # `stop` was still saying goodbye: hang up without.
    hang_up = asyncio.get_running_loop().create_task(consumer._client.close())  # noqa: SLF001  # no public way
    await asyncio.wait([hang_up], timeout=timeout_s)


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's, but hears an error that stands for a whole answer about committed offsets.

    A broker on its way up answers COORDINATOR_LOAD_IN_PROGRESS and no partitions (OffsetFetch from version 2
    on, KIP-88); aiokafka 0.14 reads the errors of partitions alone. Raised here, it asks again.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._client.send = partial(_send, self._client.send)


async def _send(send: Callable[..., Awaitable[Any]], node: int, request: Any, **options: Any) -> Any:
    answer = await send(node, request, **options)
    if isinstance(answer, OffsetFetchResponse_v2 | OffsetFetchResponse_v3) and answer.error_code:
        raise for_code(answer.error_code)(f"committed offsets: error {answer.error_code}")
    return answer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Hands aiokafka's rebalances on, partitions by number. It would swallow an exception raised here."""

    def __init__(self, on_assigned: Assigned, on_revoked: Revoked) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._on_revoked({partition.partition for partition in revoked})

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._on_assigned({partition.partition for partition in assigned})


class PostConsumer:
    """The group's consumer of `posts`. Partitions are named by number.

    `on_assigned` must be quick: aiokafka sends no heartbeats until it returns. `on_revoked` may take part of
    the rebalance time-out: heartbeats go on, and commits are still taken.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_assigned: Assigned,
        on_revoked: Revoked,
    ) -> None:
        self._settings = settings
        self._topic = settings.topic("posts")
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._paused: set[int] = set()
        self._consumer: AIOKafkaConsumer | None = None

    @property
    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the consumer is not started")
        return self._consumer

    async def start(self) -> None:
        """Connect, check that the topic is there, and ask to join the group; `poll` waits for the outcome.

        Raises:
            BrokerUnavailableError: no broker answers, or the topic is missing.
        """
        consumer = self._build()
        try:
            async with _bounded(f"read topic {self._topic}", self._settings, starting=True):
                await consumer.start()
                await _partitions(consumer, self._topic, self._settings)
        except (BrokerUnavailableError, asyncio.CancelledError):
            await _stop(consumer, self._settings.kafka_request_timeout_s)
            raise
        self._consumer = consumer
        consumer.subscribe([self._topic], listener=_Listener(self._assigned, self._on_revoked))

    def _build(self) -> AIOKafkaConsumer:
        settings = self._settings
        return _Consumer(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            group_id=settings.kafka_group_id,
            client_id="mmsent-worker",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            check_crcs=True,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=_ms(settings.kafka_session_timeout_s),
            heartbeat_interval_ms=min(3000, _ms(settings.kafka_session_timeout_s / 3)),
            rebalance_timeout_ms=_ms(settings.kafka_rebalance_timeout_s),
            # The answer to JoinGroup comes when all members have rejoined, so this must be the longer one.
            request_timeout_ms=_ms(settings.kafka_rebalance_timeout_s + settings.kafka_request_timeout_s),
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES // 2,
            fetch_max_bytes=FETCH_MAX_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    def _assigned(self, partitions: Collection[int]) -> None:
        self._on_assigned(partitions)
        self._apply_pauses()

    async def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """At most `max_records` records of the partitions that are not paused. Must not be cancelled.

        During a rebalance it waits until that is over.

        Raises:
            BrokerUnavailableError: e.g. a batch with a bad checksum, or no permission.
        """
        with broker_errors(f"read topic {self._topic}", self._settings.kafka_bootstrap_servers):
            batches = await self._started.getmany(timeout_ms=_ms(timeout_s), max_records=max_records)
        return [_record(raw) for batch in batches.values() for raw in batch]

    def pause(self, partitions: Collection[int]) -> None:
        """Fetch nothing from these until `resume`, rebalances notwithstanding."""
        self._paused |= set(partitions)
        self._apply_pauses()

    def resume(self, partitions: Collection[int]) -> None:
        again = self._paused & set(partitions)
        self._paused -= again
        self._started.resume(*(self._of(number) for number in again & self._assignment()))

    def _apply_pauses(self) -> None:
        self._started.pause(*(self._of(number) for number in self._paused & self._assignment()))

    def _assignment(self) -> set[int]:
        return {partition.partition for partition in self._started.assignment()}

    def _of(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    async def position(self, partition: int) -> int:
        """Offset that is read next: the committed one, or the first there is.

        Raises:
            PartitionLostError, BrokerUnavailableError
        """
        async with _bounded(f"find the position in {self._topic}", self._settings):
            return int(await self._started.position(self._of(partition)))

    def rewind(self, partition: int, offset: int) -> None:
        """Read `offset` (again) next, if the partition is still ours."""
        if partition in self._assignment():
            self._started.seek(self._of(partition), offset)

    async def end_offsets(self) -> dict[int, int]:
        """The end of every partition of the topic, ours or not."""
        async with _bounded(f"find the ends of {self._topic}", self._settings):
            return await _end_offsets(self._started, self._topic, self._settings)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset of each partition.

        Raises:
            PartitionLostError: another worker owns one of them now.
            BrokerUnavailableError: not committed, as far as we know.
        """
        named = {self._of(partition): offset for partition, offset in offsets.items()}
        async with _bounded("commit offsets", self._settings):
            await self._started.commit(named)

    async def stop(self) -> None:
        """Leave the group. Commits nothing."""
        if self._consumer is not None:
            await _stop(self._consumer, self._settings.kafka_request_timeout_s)


class Publisher:
    """Idempotent publishing that waits for all in-sync replicas.

    A producer that failed is given up with all it still holds and a new one started at the next call: what it
    held may have been delivered or not, so callers send again, and readers must tell repeats by key.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: no broker answers.
        """
        await self._started()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            client_id="mmsent",
            enable_idempotence=True,
            acks="all",
            max_batch_size=256 * 1024,
            max_request_size=MAX_MESSAGE_BYTES,
            # Shorter than our own patience, so that its error, which says more, comes first.
            request_timeout_ms=_ms(self._settings.kafka_request_timeout_s * 0.8),
        )
        try:
            async with _bounded("publish", self._settings, starting=True):
                await producer.start()
        except BrokerUnavailableError:
            await producer.stop()  # nothing was sent: it only closes connections
            raise
        return producer

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Publish one record and wait until it is safe; raises as `send_all` does."""
        await self.send_all(topic, [Message(key, value, headers)])

    async def send_all(self, topic: str, messages: Sequence[Message]) -> None:
        """Publish records, in order within a partition, and wait until all are safe.

        Raises:
            BrokerUnavailableError: not all were acknowledged in time; send them all again.
            InvalidMessageError: one is too large for Kafka; stage `publish`.
        """
        if not messages:
            return
        producer = await self._started()
        try:
            async with _bounded(f"publish to {topic}", self._settings):
                await self._deliver(producer, topic, messages)
        except BrokerUnavailableError:
            self._give_up(producer)
            raise

    async def _deliver(self, producer: AIOKafkaProducer, topic: str, messages: Sequence[Message]) -> None:
        acknowledged = [
            await producer.send(
                topic,
                # aiokafka refuses a record without key and value; an empty value stands for it
                value=b"" if message.key is None and message.value is None else message.value,
                key=message.key,
                headers=list(message.headers),
            )
            for message in messages
        ]
        await asyncio.wait(acknowledged)
        for future in acknowledged:
            future.result()

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            leaving = asyncio.get_running_loop().create_task(self._leave(producer, patience_s=0.0))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, producer: AIOKafkaProducer, patience_s: float) -> None:
        """Stop after at most `patience_s`, plus the request that is on its way."""
        stopping = asyncio.get_running_loop().create_task(producer.stop())
        await asyncio.wait([stopping], timeout=patience_s)
        if not stopping.done():
            # `stop` waits for deliveries, for ever if need be, or for the end of the sender: so we end that.
            producer._sender.sender_task.cancel()  # noqa: SLF001  # no public way to stop without delivering
            await asyncio.wait([stopping], timeout=self._settings.kafka_request_timeout_s)
        if stopping.done() and not stopping.cancelled() and (error := stopping.exception()):
            log.warning("kafka_producer_not_stopped_cleanly", error=str(error) or type(error).__name__)

    async def aclose(self) -> None:
        """Deliver what waits, within the request time-out, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._leave(producer, patience_s=self._settings.kafka_request_timeout_s)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=self._settings.kafka_request_timeout_s)


class OffsetReader:
    """Ends of topics and offsets that a group has committed; joins no group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        self._consumer = await _connected(
            self._settings, group_id=self._settings.kafka_group_id, enable_auto_commit=False
        )
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await _stop(self._consumer, self._settings.kafka_request_timeout_s)

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """The end of every partition."""
        async with _bounded(f"find the ends of {topic}", self._settings):
            return await _end_offsets(self._consumer, topic, self._settings)

    async def committed_offsets(self, topic: str) -> dict[int, int]:
        """What the workers' group has committed in every partition; 0 where it has nothing."""
        async with _bounded(f"find what is committed in {topic}", self._settings):
            partitions = await _partitions(self._consumer, topic, self._settings)
            return {one.partition: await self._consumer.committed(one) or 0 for one in partitions}


class TopicReader:
    """Follows a whole topic without a group: `mmsent alerts`, dead letters."""

    def __init__(self, settings: Settings, topic: str, *, from_beginning: bool) -> None:
        self._settings = settings
        self._topic = topic
        self._reset = "earliest" if from_beginning else "latest"

    async def __aenter__(self) -> Self:
        self._consumer = await _connected(self._settings, auto_offset_reset=self._reset)
        try:
            await self._begin()
        except BrokerUnavailableError:
            await self.__aexit__()
            raise
        return self

    async def _begin(self) -> None:
        async with _bounded(f"read topic {self._topic}", self._settings):
            partitions = await _partitions(self._consumer, self._topic, self._settings)
            self._consumer.assign(partitions)
            for partition in partitions:  # "latest" means from now on, not from the first poll on
                await self._consumer.position(partition)

    async def __aexit__(self, *_exception: object) -> None:
        await _stop(self._consumer, self._settings.kafka_request_timeout_s)

    async def poll(self, timeout_s: float) -> list[Record]:
        """What has come since the last call; empty if nothing came within `timeout_s`."""
        with broker_errors(f"read topic {self._topic}", self._settings.kafka_bootstrap_servers):
            batches = await self._consumer.getmany(timeout_ms=_ms(timeout_s))
        return [_record(raw) for batch in batches.values() for raw in batch]

    async def __aiter__(self) -> AsyncIterator[Record]:
        while True:
            for record in await self.poll(1.0):
                yield record

    async def until_now(self) -> AsyncGenerator[Record, None]:
        """What is on the topic at this moment, and what comes along with it."""
        ends = await self._ends()
        while not await self._has_reached(ends):
            records = await self.poll(1.0)
            for record in records:
                yield record
            if not records:
                await self._ends()  # a broker that is gone shows here

    async def at_end(self) -> bool:
        """Whether everything that is on the topic now has been read."""
        return await self._has_reached(await self._ends())

    async def _has_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all([await self._consumer.position(partition) >= end for partition, end in ends.items()])

    async def _ends(self) -> dict[TopicPartition, int]:
        async with _bounded(f"find the ends of {self._topic}", self._settings):
            ends: dict[TopicPartition, int] = await self._consumer.end_offsets(
                list(self._consumer.assignment())
            )
            return ends


async def _connected(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    consumer = _Consumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        request_timeout_ms=_ms(settings.kafka_request_timeout_s),
        **options,
    )
    try:
        async with _bounded("connect", settings, starting=True):
            await consumer.start()
    except BrokerUnavailableError:
        await _stop(consumer, settings.kafka_request_timeout_s)
        raise
    return consumer


async def create_topics(settings: Settings, *, replication_factor: int = 1) -> list[str]:
    """Make those of our topics that are missing; returns their names.

    Raises:
        SetupError: the cluster refuses, or is one that makes topics by itself (the demo's).
        BrokerUnavailableError: no broker answers.
    """
    wanted = [
        NewTopic(
            settings.topic(name),
            plan.partitions,
            replication_factor,
            topic_configs={"retention.ms": str(_ms(plan.retention.total_seconds())), **plan.config},
        )
        for name, plan in TOPICS.items()
    ]
    async with _admin(settings) as admin:
        try:
            answer = await admin.create_topics(wanted)
        except AttributeError as error:  # aiokafka's way to say that the cluster names no controller
            raise SetupError("this broker makes its topics by itself; there is nothing to create") from error
    return [name for name, *problem in answer.topic_errors if _was_made(name, *problem)]


def _was_made(topic: str, code: int, detail: str | None = None) -> bool:
    error = for_code(code)
    if code and error is not TopicAlreadyExistsError:
        raise SetupError(f"Kafka refuses to create topic {topic}: {detail or error.__name__}")
    return not code


async def check_topics(settings: Settings) -> list[str]:
    """What is wrong with our topics, one line each; empty if all is well.

    Raises:
        BrokerUnavailableError: no broker answers.
    """
    async with _admin(settings) as admin:
        found = await admin.describe_topics([settings.topic(name) for name in TOPICS])
    counts = {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}
    return [
        f"topic {settings.topic(name)} is missing; run: mmsent kafka create"
        for name in TOPICS
        if not counts.get(settings.topic(name))
    ]


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        request_timeout_ms=_ms(settings.kafka_request_timeout_s),
    )
    try:
        async with _bounded("manage topics", settings, starting=True):
            await admin.start()
            yield admin
    finally:
        await admin.close()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
