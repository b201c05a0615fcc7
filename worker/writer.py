"""The one task that writes: finished records in batches to database, live feed and Kafka, offsets last.

A batch that meets a system that is down is tried again, whole, until that is up: every step may be repeated.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Protocol

import structlog

from mmsent.broker import Message
from mmsent.errors import (
    BrokerUnavailableError,
    InvalidMessageError,
    PartitionLostError,
    StoreDataError,
    StoreUnavailableError,
    UnavailableError,
)
from mmsent.pipeline import Delivery
from mmsent.store.writes import WriteResult
from worker.dead_letters import Failure, dead_letter, without_value
from worker.metrics import Metrics
from worker.partitions import Finished, Partition, Partitions

TICK_S = 0.5
RESTATE_S = 15.0  # how often progress is written although nothing came
MAX_KEY = 512  # bytes of a record's key that are logged; a post_id is no longer
BACK_OFF_S = (0.1, 10.0)  # first and longest pause after a failure

log = structlog.get_logger(__name__)


class ProgressStore(Protocol):
    """Where each partition's next offset stands, for the detector."""

    async def reset_progress(self, partition: int, next_offset: int, now: datetime, /) -> None: ...


Commit = Callable[[Mapping[int, int]], Awaitable[None]]
PublishDead = Callable[[Sequence[Message]], Awaitable[None]]


class Writer:
    """Takes what waits, at most `max_rows` at a time, and delivers it."""

    def __init__(
        self,
        *,
        partitions: Partitions,
        delivery: Delivery,
        store: ProgressStore,
        publish_dead: PublishDead,
        commit: Commit,
        adopted: Callable[[Partition], None],
        finished: Callable[[], None],
        metrics: Metrics,
        now: Callable[[], datetime],
        max_rows: int,
    ) -> None:
        self._partitions = partitions
        self._delivery = delivery
        self._store = store
        self._publish_dead = publish_dead
        self._commit_offsets = commit
        self._adopted = adopted
        self._finished = finished
        self._metrics = metrics
        self._now = now
        self._max_rows = max_rows
        self._waiting: deque[Finished] = deque()
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._failures = 0
        self._restated_at = 0.0
        self.database_down = False

    @property
    def waiting(self) -> int:
        """Finished records that wait to be written."""
        return len(self._waiting)

    def put(self, finished: Finished) -> None:
        self._waiting.append(finished)
        self._wake.set()

    def wake(self) -> None:
        """There are partitions to adopt."""
        self._wake.set()

    async def settle(self) -> None:
        """Wait until what is being written is written and its offsets committed."""
        async with self._busy:
            pass

    async def run(self) -> None:
        """For ever; an error that trying again cannot mend ends it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            async with self._busy:
                await self.round()

    async def round(self) -> None:
        """Adopt new partitions, deliver one batch, commit."""
        self._wake.clear()
        try:
            await self._adopt()
            await self._restate()
            self._recovered()
        except UnavailableError as error:
            await self._back_off(error)
            return
        await self._deliver(self._take())
        await self._commit()
        if self._waiting:
            self._wake.set()

    def _take(self) -> list[Finished]:
        count = min(len(self._waiting), self._max_rows)
        batch = [self._waiting.popleft() for _ in range(count)]
        return sorted(batch, key=lambda each: (each.partition.number, each.record.offset))

    async def _adopt(self) -> None:
        """Let the database's progress start where we do: the broker may not be the one of last time."""
        for partition in self._partitions:
            if partition.tracker is not None and not partition.adopted:
                position = partition.tracker.next_offset
                await self._store.reset_progress(partition.number, position, self._now())
                partition.stored, partition.adopted = position, True
                self._adopted(partition)

    async def _restate(self) -> None:
        """Write progress that no batch carried: gaps, and again now and then, lest a late hand undid it."""
        if self._waiting:
            return
        overdue = time.monotonic() - self._restated_at >= RESTATE_S
        behind = {
            partition: partition.tracker.next_offset
            for partition in self._partitions
            if partition.adopted and partition.tracker
            if overdue or partition.tracker.next_offset > partition.stored
        }
        if behind:
            await self._delivery.write([], _numbered(behind))
            _note_stored(behind)
        if overdue:
            self._restated_at = time.monotonic()

    async def _deliver(self, batch: list[Finished]) -> None:
        """Try until it is done, or nothing of it is ours any more."""
        while batch := [each for each in batch if self._partitions.owns(each.partition)]:
            try:
                if await self._attempt_or_convict(batch):
                    self._recovered()
                    return
            except UnavailableError as error:
                await self._back_off(error)

    async def _attempt_or_convict(self, batch: Sequence[Finished]) -> bool:
        try:
            await self._attempt(batch)
        except StoreDataError as refusal:
            await self._convict(batch, refusal)
            return False
        return True

    async def _attempt(self, batch: Sequence[Finished]) -> None:
        await self._bury([each for each in batch if each.failure and not each.buried])
        items = [each.item for each in batch if each.item]
        progress = _progress_after(batch)
        with self._timed("write"):  # 5
            result = await self._delivery.write(items, _numbered(progress))
        self.database_down = False
        _note_stored(progress)
        with self._timed("live"):  # 6
            await self._delivery.show(items, result)
        with self._timed("publish"):  # 7
            await self._delivery.announce(result)
        self._finish(batch, result)

    async def _bury(self, dead: Sequence[Finished]) -> None:
        """To `posts.dead`, acknowledged, before any offset passes them."""
        letters = [(each, each.failure) for each in dead if each.failure]
        if not letters:
            return
        try:
            await self._publish_dead([dead_letter(each.record, failure) for each, failure in letters])
        except InvalidMessageError:  # larger than the topic takes: what matters is where they stand
            await self._publish_dead([without_value(each.record, failure) for each, failure in letters])
        for each, failure in letters:
            each.buried = True
            self._metrics.dead_letters.labels(failure.stage).inc()
            log.warning(
                "dead_letter",
                stage=failure.stage,
                error=failure.kind,  # its words may quote the post; they are on posts.dead
                post_id=(each.record.key or b"")[:MAX_KEY].decode(errors="backslashreplace"),
                partition=each.record.partition,
                offset=each.record.offset,
            )

    async def _convict(self, batch: Sequence[Finished], refusal: StoreDataError) -> None:
        """Find what the database refuses; it is buried at the batch's next try.

        Raises:
            StoreDataError: it takes each alone, so the next try would fail like this one.
        """
        culprits = await self._culprits([each for each in batch if each.item])
        if not culprits:
            raise refusal
        for culprit, error in culprits:
            culprit.fail(Failure.of("store", error))

    async def _culprits(self, suspects: Sequence[Finished]) -> list[tuple[Finished, StoreDataError]]:
        """By halves; who is innocent is written on the way, which does no harm."""
        try:
            await self._delivery.write([each.item for each in suspects if each.item], {})
        except StoreDataError as error:
            if len(suspects) == 1:
                return [(suspects[0], error)]
            half = len(suspects) // 2
            return await self._culprits(suspects[:half]) + await self._culprits(suspects[half:])
        return []

    def _finish(self, batch: Sequence[Finished], result: WriteResult) -> None:
        """Every record has reached its end: its offset may be committed."""
        now = self._now().timestamp()
        self._metrics.write_rows.observe(len(batch))
        for outcome in result.outcomes:
            self._metrics.posts.labels(outcome.kind).inc()
        for each in batch:
            if each.failure:
                self._metrics.posts.labels("dead").inc()
            elif each.record.timestamp_ms > 0:
                self._metrics.latency.observe(max(0.0, now - each.record.timestamp_ms / 1000))
            if each.partition.tracker:
                each.partition.tracker.finish(each.record.offset)
        self._finished()

    async def _commit(self) -> None:
        """The lowest unfinished offset of each partition that has moved. What fails is tried next time."""
        moved = {
            partition: partition.tracker.next_offset
            for partition in self._partitions
            if partition.adopted and partition.tracker
            if partition.tracker.next_offset > partition.committed
        }
        if not moved:
            return
        try:
            with self._timed("commit"):
                await self._commit_offsets(_numbered(moved))
        except (
            PartitionLostError
        ) as error:  # a rebalance is under way, its new owner starts where we committed
            self._metrics.commits_failed.labels("lost").inc()
            log.info("commit_refused", error=str(error))
        except BrokerUnavailableError as error:
            self._metrics.commits_failed.labels("unavailable").inc()
            log.warning("commit_failed", error=str(error))
        else:
            self._metrics.committed.set(self._now().timestamp())
            for partition, offset in moved.items():
                partition.committed = offset

    async def _back_off(self, error: UnavailableError) -> None:
        """Wait, longer each time, with jitter. Work in hand fills up meanwhile, and polling goes on."""
        if isinstance(error, StoreUnavailableError):
            self.database_down = True
            self._metrics.database_retries.inc()
        else:
            self._metrics.broker_retries.inc()
        first, longest = BACK_OFF_S
        pause = min(first * 2**self._failures, longest) * random.uniform(0.5, 1)  # noqa: S311  # jitter
        if self._failures == 0:
            log.warning("writing_waits", error=str(error))
        self._failures += 1
        await asyncio.sleep(pause)

    def _recovered(self) -> None:
        if self._failures:
            log.info("writing_goes_on", failures=self._failures)
        self._failures = 0
        self.database_down = False

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._metrics.stage_took(stage, time.perf_counter() - started)


def _progress_after(batch: Iterable[Finished]) -> dict[Partition, int]:
    """Where each partition's progress stands once `batch` is written."""
    done: dict[Partition, set[int]] = {}
    for each in batch:
        done.setdefault(each.partition, set()).add(each.record.offset)
    return {
        partition: partition.tracker.next_offset_if_finished(offsets)
        for partition, offsets in done.items()
        if partition.tracker
    }


def _numbered(offsets: Mapping[Partition, int]) -> dict[int, int]:
    return {partition.number: offset for partition, offset in offsets.items()}


def _note_stored(progress: Mapping[Partition, int]) -> None:
    for partition, offset in progress.items():
        partition.stored = max(partition.stored, offset)
