"""The worker's loop: partitions, back-pressure, rebalances, drain and watchdog.

Every started record ends in exactly one of: stored, dead-lettered, not committed.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

import structlog

from mmsent.broker import Message, PostConsumer, Record
from mmsent.errors import (
    BrokerUnavailableError,
    EngineError,
    InvalidMessageError,
    MmsentError,
    PartitionLostError,
    UnavailableError,
)
from mmsent.offsets import StallWatch
from mmsent.pipeline import Delivery
from mmsent.settings import Settings
from worker.dead_letters import Failure
from worker.metrics import Metrics
from worker.partitions import Finished, Partition, Partitions
from worker.writer import ProgressStore, Writer

POLL_S = 0.2
ROOM_S = 1.0  # how long a full worker waits for room before it polls on, with everything paused
RETRY_S = 1.0
WATCH_S = 5.0
REVOKE_SHARE = 0.7  # of the rebalance time-out, for finishing what is in hand
DRAIN_SHARE = 0.6  # of the drain time-out, for the same; the rest is for saying goodbye
LAST_SHARE = 0.2  # of it, for the last alerts
ENGINE_FAILURES = 100  # posts in a row that the engine fails on, after which it is the engine
TROUBLE_SHARE = 0.5  # of the stall time-out: unhealthy for so long before the watchdog ends the worker
NO_PARTITION = -1  # what the watchdog calls having no assignment

log = structlog.get_logger(__name__)


class Consumer(Protocol):
    """What the loop needs of `broker.PostConsumer`."""

    async def start(self) -> None: ...

    async def poll(self, max_records: int, timeout_s: float, /) -> list[Record]: ...

    def pause(self, partitions: Collection[int], /) -> None: ...

    def resume(self, partitions: Collection[int], /) -> None: ...

    async def position(self, partition: int, /) -> int: ...

    def rewind(self, partition: int, offset: int, /) -> None: ...

    async def end_offsets(self) -> dict[int, int]: ...

    async def commit(self, offsets: Mapping[int, int], /) -> None: ...

    async def stop(self) -> None: ...


class Intake(Protocol):
    """Steps 1–4: a record becomes what is to be written."""

    async def item(self, record: Record, /) -> Any: ...


class DeadLetterPublisher(Protocol):
    async def send_all(self, topic: str, messages: Sequence[Message], /) -> None: ...


class Worker:
    """Keeps at most `max_in_flight` records in hand, from Kafka to database and back."""

    def __init__(
        self,
        settings: Settings,
        *,
        intake: Intake,
        delivery: Delivery,
        store: ProgressStore,
        publisher: DeadLetterPublisher,
        metrics: Metrics,
        now: Callable[[], datetime],
        engine_failures: Callable[[], int] = lambda: 0,
        connect: Callable[..., Consumer] = PostConsumer,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._metrics = metrics
        self._engine_failures = engine_failures
        self._partitions = Partitions()
        self._moved = asyncio.Event()
        self._consumer = connect(settings, on_assigned=self._on_assigned, on_revoked=self._on_revoked)
        self._writer = Writer(
            partitions=self._partitions,
            delivery=delivery,
            store=store,
            publish_dead=lambda letters: publisher.send_all(settings.topic("posts.dead"), letters),
            commit=self._consumer.commit,
            adopted=self._on_adopted,
            finished=self._moved.set,
            metrics=metrics,
            now=now,
            max_rows=settings.write_max_rows,
        )
        self._watch = StallWatch()
        self._ends: dict[int, int] = {}
        self._assigned = False
        self._holding = False  # everything is paused on purpose
        self._full = False  # the last poll brought as much as it was asked for
        self._locating: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def ready(self) -> bool:
        """It has its partitions, knows where they stand, and is not about to leave."""
        return self._assigned and self._partitions.adopted and not self._stopping.is_set()

    @property
    def database_down(self) -> bool:
        """Whether the last write failed for that reason."""
        return self._writer.database_down

    @property
    def in_hand(self) -> int:
        return self._partitions.in_hand

    @property
    def waiting(self) -> int:
        """Scored, not written yet."""
        return self._writer.waiting

    @property
    def assignment(self) -> list[int]:
        return [partition.number for partition in self._partitions]

    @property
    def trouble(self) -> str:
        """What has stood still, without excuse, for half the time after which the watchdog ends us, or ''."""
        return self._stands_still(self._settings.stall_timeout_s * TROUBLE_SHARE)

    async def end_offsets(self) -> dict[int, int]:
        """The broker's end of every partition of `posts`; raises BrokerUnavailableError."""
        return await self._consumer.end_offsets()

    def stop(self) -> None:
        """Finish what is in hand, commit, leave; `run` returns then."""
        self._stopping.set()

    async def run(
        self,
        *companions: Callable[[], Coroutine[Any, Any, Any]],
        last: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Work until `stop` or until one of `companions`, which run beside, ends; `last` follows the drain.

        Raises:
            MmsentError: one line that says why the worker cannot go on.
        """
        await self._consumer.start()
        polling, writing = asyncio.create_task(self._poll()), asyncio.create_task(self._writer.run())
        beside = [asyncio.create_task(each()) for each in (self._guard, self._stopping.wait, *companions)]
        try:
            await asyncio.wait([polling, writing, *beside], return_when=asyncio.FIRST_COMPLETED)
            _raise_first([polling, writing, *beside])
            await self._drain(polling, writing)
            if last is not None:
                await _cancel(beside)
                await self._last_round(last)
        finally:
            self._stopping.set()
            await _cancel([polling, writing, *beside, *([self._locating] if self._locating else [])])
            for number in self.assignment:
                self._partitions.drop(number)
            await self._consumer.stop()

    async def _drain(self, polling: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """Poll no more; finish and commit what is in hand, unless that takes too long."""
        self._stopping.set()
        log.info("draining", records=self.in_hand)
        finishing = asyncio.create_task(self._finish(polling))
        patience = self._settings.drain_timeout_s * DRAIN_SHARE
        await asyncio.wait([finishing, writing], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not finishing.done():
            log.warning("left_with_work_in_hand", records=self.in_hand)
        await _cancel([finishing])
        _raise_first([polling, writing])

    async def _last_round(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.timeout(self._settings.drain_timeout_s * LAST_SHARE):
                await last()
        except (UnavailableError, TimeoutError) as error:
            log.warning("last_round_incomplete", error=str(error) or type(error).__name__)

    async def _finish(self, polling: asyncio.Task[None]) -> None:
        while self._assigned and not polling.done():
            await asyncio.wait([polling], timeout=POLL_S)
        while self.in_hand:
            await self._wait_for_movement()
        await self._writer.settle()

    async def _wait_for_movement(self) -> None:
        """Until records are finished or a moment has passed."""
        self._moved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(ROOM_S):
                await self._moved.wait()

    # Taking records

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            room = self._settings.max_in_flight - self.in_hand
            if room <= 0:
                await self._wait_for_movement()
                room = self._settings.max_in_flight - self.in_hand
            self._hold(room <= 0 or self._writer.database_down)
            try:
                records = await self._consumer.poll(max(room, 1), POLL_S)
            except BrokerUnavailableError as error:
                log.warning("polling_failed", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            self._full = self._holding or len(records) >= room
            if not self._stopping.is_set():
                self._take_all(records)

    def _hold(self, hold: bool) -> None:
        """Pause everything, or all but what is not adopted yet. Polling goes on either way."""
        if hold == self._holding:
            return
        self._holding = hold
        if hold:
            self._consumer.pause(self.assignment)
        else:
            self._consumer.resume([each.number for each in self._partitions if each.adopted])

    def _take_all(self, records: Sequence[Record]) -> None:
        rewinds: dict[int, int] = {}
        for record in records:
            partition = self._partitions.get(record.partition)
            if partition is None:
                continue  # lost meanwhile: its new owner reads it
            if partition.tracker and record.offset < partition.tracker.end:
                partition = self._start_over(record)
            if not partition.adopted:
                rewinds.setdefault(record.partition, record.offset)
            else:
                self._take(partition, record)
        for number, offset in rewinds.items():
            self._consumer.rewind(number, offset)

    def _take(self, partition: Partition, record: Record) -> None:
        tracker = partition.tracker
        assert tracker is not None  # noqa: S101  # only what has one is adopted
        self._note_gap(partition.number, tracker.end, record.offset)
        tracker.start(record.offset)
        task = asyncio.create_task(self._process(partition, record))
        partition.tasks.add(task)
        task.add_done_callback(partition.tasks.discard)

    def _note_gap(self, partition: int, first: int, after: int) -> None:
        """Say what we came too late for: offsets from `first` up to `after` bring no record.

        One alone is the marker that ends a transaction; more were deleted from Kafka.
        """
        if after > first + 1:
            self._metrics.lost.inc(after - first)
            log.error("records_lost", partition=partition, first=first, next=after, count=after - first)

    def _start_over(self, record: Record) -> Partition:
        """The broker gave an offset again: the topic was made anew, so what we know of it is void."""
        log.warning("partition_rewound", partition=record.partition, to=record.offset)
        (fresh,) = self._partitions.assign([record.partition])
        fresh.located(record.offset)
        self._consumer.pause([record.partition])
        self._writer.wake()
        return fresh

    async def _process(self, partition: Partition, record: Record) -> None:
        finished = Finished(partition, record)
        try:
            finished.item = await self._intake.item(record)
        except InvalidMessageError as error:
            finished.fail(Failure.of(error.stage, error))
        except EngineError as error:
            finished.fail(Failure.of("score", error))
        except Exception as error:
            # A bug of ours costs the record that meets it, kept on posts.dead, and never the loop.
            log.exception("bug", partition=record.partition, offset=record.offset)
            finished.fail(Failure.of("bug", error))
        self._writer.put(finished)

    # Rebalances

    def _on_assigned(self, numbers: Collection[int]) -> None:
        """Until their position is known and stands in the database, nothing is read from `numbers`."""
        self._metrics.rebalances.inc()
        log.info("assigned", partitions=sorted(numbers))
        fresh = self._partitions.assign(numbers)
        self._consumer.pause(numbers)
        self._assigned = True
        if self._locating:
            self._locating.cancel()
        self._locating = asyncio.create_task(self._locate(fresh))

    async def _locate(self, fresh: Sequence[Partition]) -> None:
        for partition in fresh:
            while self._partitions.owns(partition) and partition.tracker is None:
                try:
                    partition.located(await self._consumer.position(partition.number))
                except PartitionLostError:
                    return
                except BrokerUnavailableError as error:
                    log.warning("position_unknown", partition=partition.number, error=str(error))
                    await asyncio.sleep(RETRY_S)
        self._writer.wake()

    def _on_adopted(self, partition: Partition) -> None:
        if not self._holding:
            self._consumer.resume([partition.number])

    async def _on_revoked(self, numbers: Collection[int]) -> None:
        """Finish what is in hand if it can be finished in time; the rest is cancelled and fenced."""
        self._assigned = False
        try:
            async with asyncio.timeout(self._settings.kafka_rebalance_timeout_s * REVOKE_SHARE):
                while self.in_hand and not self._writer.database_down:
                    await self._wait_for_movement()
                if not self._writer.database_down:
                    await self._writer.settle()
        except TimeoutError:
            log.warning("revoked_with_work_in_hand", records=self.in_hand)
        finally:
            for number in numbers:
                self._partitions.drop(number)
                self._watch.forget(number)
                self._metrics.lag.remove(str(number))

    # Watchdog

    async def _guard(self) -> None:
        """Look at every partition now and then.

        Raises:
            MmsentError: one does not move although nothing excuses it, or the engine fails on everything.
        """
        while not self._stopping.is_set():
            await asyncio.sleep(min(WATCH_S, self._settings.stall_timeout_s / 4))
            with suppress(BrokerUnavailableError):
                self._ends = await self._consumer.end_offsets()
                await self._skip_gaps()
            self._check(asyncio.get_running_loop().time())

    async def _skip_gaps(self) -> None:
        """Offsets at a partition's end may bring no record, ever: only the position tells."""
        for partition in self._partitions:
            if partition.adopted and partition.tracker and not partition.in_hand and self._lag(partition):
                position = await self._consumer.position(partition.number)
                if self._partitions.owns(partition) and not self._stopping.is_set():
                    self._note_gap(partition.number, partition.tracker.end, position)
                    partition.tracker.reach(position)

    def _check(self, now: float) -> None:
        self._watch.observe(NO_PARTITION, 0, lag=not self._assigned, excused=False, now=now)
        for partition in self._partitions:
            lag = self._lag(partition)
            self._metrics.lag.labels(str(partition.number)).set(lag)
            next_offset = partition.tracker.next_offset if partition.tracker else -1
            excused = self._writer.database_down or self._paused_on_purpose(partition)
            self._watch.observe(partition.number, next_offset, lag=lag, excused=excused, now=now)
        if trouble := self._stands_still(self._settings.stall_timeout_s):
            raise MmsentError(f"{trouble} (MMSENT_STALL_TIMEOUT_S); the worker leaves, to be started again")
        if self._engine_failures() >= ENGINE_FAILURES:
            raise EngineError(f"the engine failed on {ENGINE_FAILURES} posts in a row; see the log above")

    def _lag(self, partition: Partition) -> int:
        if partition.tracker is None:
            return 1  # unknown, and to be found out
        return max(0, self._ends.get(partition.number, 0) - partition.tracker.next_offset)

    def _paused_on_purpose(self, partition: Partition) -> bool:
        """The others take all the room there is; this one's turn will come."""
        return partition.adopted and not partition.in_hand and self._full

    def _stands_still(self, patience_s: float) -> str:
        number, waited_s = self._watch.longest
        if waited_s < patience_s:
            return ""
        if number == NO_PARTITION:
            return f"the worker has had no assignment for {waited_s:.0f} s"
        return f"partition {number} has records waiting and has not moved for {waited_s:.0f} s"


def _raise_first(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
