"""The worker's loop over a Kafka in memory, a database that fails on command, and work that hangs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import pytest

from mmsent.broker import Message, Record
from mmsent.errors import (
    BrokerUnavailableError,
    EngineError,
    InvalidMessageError,
    MmsentError,
    PartitionLostError,
    StoreDataError,
    StoreUnavailableError,
)
from mmsent.pipeline import Announcement, Delivery
from mmsent.posts import DeletePost, ScoredDelete
from mmsent.settings import Settings
from mmsent.store.writes import Deletion, Item, Outcome, WriteResult
from worker import consumer as consumer_module
from worker import writer as writer_module
from worker.consumer import Worker
from worker.metrics import Metrics

PATIENCE_S = 30.0


def now() -> datetime:
    return datetime.now(UTC)


class MemoryKafka:
    """The topic `posts` with one member; it rebalances on command. A None in a log is no record: a marker."""

    def __init__(self, *logs: Sequence[bytes | None]) -> None:
        self.logs = {number: list(values) for number, values in enumerate(logs)}
        self.committed: dict[int, int] = dict.fromkeys(self.logs, 0)
        self.commits: list[dict[int, int]] = []
        self.positions: dict[int, int] = {}
        self.paused: set[int] = set()
        self.polls = 0
        self.stopped = False
        self.commit_errors: list[Exception] = []
        self.stuck: set[int] = set()  # fetches of these bring nothing

    def connect(self, settings: Settings, *, on_assigned: Any, on_revoked: Any) -> Self:
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        return self

    async def start(self) -> None:
        self.assign(self.logs)

    def assign(self, numbers: Collection[int]) -> None:
        self.positions = {number: self.committed[number] for number in numbers}
        self.paused.clear()  # as aiokafka does
        self._on_assigned(set(numbers))

    async def rebalance(self, numbers: Collection[int]) -> None:
        revoked = set(self.positions)
        await self._on_revoked(revoked)
        self.assign(numbers)

    async def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        self.polls += 1
        await asyncio.sleep(0.001)
        records: list[Record] = []
        for number, position in self.positions.items():
            if number not in self.paused | self.stuck:
                fresh = self.logs[number][position : position + max_records - len(records)]
                records += [
                    Record("posts", number, position + place, 1, b"key", value)
                    for place, value in enumerate(fresh)
                    if value is not None
                ]
                self.positions[number] += len(fresh)
        return records

    def pause(self, partitions: Collection[int]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Collection[int]) -> None:
        self.paused -= set(partitions)

    async def position(self, partition: int) -> int:
        return self.positions[partition]

    def rewind(self, partition: int, offset: int) -> None:
        self.positions[partition] = offset

    async def end_offsets(self) -> dict[int, int]:
        return {number: len(log) for number, log in self.logs.items()}

    async def commit(self, offsets: Mapping[int, int]) -> None:
        await asyncio.sleep(0.01)
        if self.commit_errors:
            raise self.commit_errors.pop(0)
        self.commits.append(dict(offsets))
        self.committed |= offsets

    async def stop(self) -> None:
        self.stopped = True


class ScriptedIntake:
    """A record's value says what becomes of it."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.in_hand = self.most_in_hand = 0

    async def item(self, record: Record) -> Item:
        self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        try:
            return await self._item((record.value or b"").decode())
        finally:
            self.in_hand -= 1

    async def _item(self, value: str) -> Item:
        await asyncio.sleep(0.001)
        if value == "junk":
            raise InvalidMessageError("not JSON", stage="decode")
        if value == "poison":
            raise EngineError("the engine failed")
        if value == "bug":
            raise KeyError("nobody expected this")
        if value.startswith("hang"):
            await self.release.wait()
        return Deletion(DeletePost(post_id=value, version=0, source="test"))


class MemoryStore:
    """Rows and progress; refuses posts named `refused`, is down while told so."""

    def __init__(self, diary: list[str]) -> None:
        self.rows: set[str] = set()
        self.progress: dict[int, int] = {}
        self.down = False
        self.attempts = 0
        self.largest = 0
        self._diary = diary

    async def write(self, batch: Sequence[Item], progress: Mapping[int, int], now: datetime) -> WriteResult:
        self.attempts += 1
        if self.down:
            raise StoreUnavailableError("down")
        ids = [item.message.post_id for item in batch if isinstance(item, Deletion)]
        if "refused" in ids:
            raise StoreDataError("no such value")
        self._diary.append(f"write {dict(progress)}")
        self.largest = max(self.largest, len(batch))
        outcomes = [
            Outcome(
                "repeat" if name in self.rows else "written",
                ScoredDelete(post_id=name, version=0, source="test"),
            )
            for name in ids
        ]
        self.rows |= set(ids)
        for number, offset in progress.items():
            self.progress[number] = max(offset, self.progress[number])
        return WriteResult(outcomes)

    async def reset_progress(self, partition: int, next_offset: int, now: datetime) -> None:
        if self.down:
            raise StoreUnavailableError("down")
        self.progress[partition] = next_offset


class NobodyWatches:
    async def publish(self, posts: Sequence[Announcement], thumbnails: Mapping[str, bytes]) -> None: ...


class MemoryTopics:
    """Topics we publish to; `down` refuses everything."""

    def __init__(self, diary: list[str]) -> None:
        self.dead: list[Message] = []
        self.scores: list[str] = []
        self.down = False
        self._diary = diary

    async def send_all(self, topic: str, messages: Sequence[Message]) -> None:
        if self.down:
            raise BrokerUnavailableError("down")
        self._diary.append(f"dead {len(messages)}")
        self.dead += messages

    async def publish_scores(self, posts: Sequence[Announcement]) -> None:
        if self.down:
            raise BrokerUnavailableError("down")
        self.scores += [post.post_id for post in posts]

    def stages(self) -> list[str]:
        return [dict(letter.headers)["mmsent.error.stage"].decode() for letter in self.dead]


@dataclass
class Bench:
    """A worker and everything around it."""

    kafka: MemoryKafka
    settings: Settings = field(
        default_factory=lambda: Settings(drain_timeout_s=PATIENCE_S, kafka_rebalance_timeout_s=PATIENCE_S)
    )
    diary: list[str] = field(default_factory=list)
    engine_failures: int = 0
    intake: ScriptedIntake = field(default_factory=ScriptedIntake)

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.diary)
        self.topics = MemoryTopics(self.diary)
        self.metrics = Metrics()
        self.worker = Worker(
            self.settings,
            intake=self.intake,
            delivery=Delivery(
                store=self.store, live=NobodyWatches(), publish=self.topics.publish_scores, now=now
            ),
            store=self.store,
            publisher=self.topics,
            metrics=self.metrics,
            now=now,
            engine_failures=lambda: self.engine_failures,
            connect=self.kafka.connect,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.worker.run())
        try:
            yield task
            self.worker.stop()
            async with asyncio.timeout(PATIENCE_S):
                await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  # conditions over several parts
                await asyncio.sleep(0.005)

    async def until_done(self) -> None:
        ends = {number: len(log) for number, log in self.kafka.logs.items()}
        await self.until(lambda: self.kafka.committed == ends and self.store.progress == ends)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "TICK_S", 0.02)
    monkeypatch.setattr(writer_module, "BACK_OFF_S", (0.01, 0.02))
    monkeypatch.setattr(consumer_module, "ROOM_S", 0.02)
    monkeypatch.setattr(consumer_module, "RETRY_S", 0.02)


def values(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]


async def test_every_record_ends_stored_or_dead_and_everything_is_committed() -> None:
    log = [*values("a", 20), b"junk", b"poison", *values("b", 20), b"bug", b"refused"]
    bench = Bench(MemoryKafka(log, values("c", 30), []))
    async with bench.running():
        await bench.until_done()
    assert bench.store.rows == {f"a{n}" for n in range(20)} | {f"b{n}" for n in range(20)} | {
        f"c{n}" for n in range(30)
    }
    assert sorted(bench.topics.stages()) == ["bug", "decode", "score", "store"]
    assert set(bench.topics.scores) == bench.store.rows
    assert bench.kafka.stopped
    assert bench.count("mmsent_posts_total", outcome="dead") == 4
    written = bench.count("mmsent_posts_total", outcome="written")
    assert written + bench.count("mmsent_posts_total", outcome="repeat") == 70
    assert bench.count("mmsent_dead_letters_total", stage="score") == 1


async def test_dead_letters_carry_the_raw_record_and_the_reason() -> None:
    bench = Bench(MemoryKafka([b"fine", b"junk"]))
    async with bench.running():
        await bench.until_done()
    (letter,) = bench.topics.dead
    assert (letter.key, letter.value) == (b"key", b"junk")
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers == {
        "mmsent.error.stage": "decode",
        "mmsent.error.class": "InvalidMessageError",
        "mmsent.error.message": "not JSON",
        "mmsent.error.topic": "posts",
        "mmsent.error.partition": "0",
        "mmsent.error.offset": "1",
        "mmsent.error.timestamp_ms": "1",
        "__connect.errors.topic": "posts",
        "__connect.errors.partition": "0",
        "__connect.errors.offset": "1",
        "__connect.errors.connector.name": "mmsent",
        "__connect.errors.stage": "decode",
        "__connect.errors.class.name": "mmsent.posts",
        "__connect.errors.exception.class.name": "InvalidMessageError",
        "__connect.errors.exception.message": "not JSON",
    }


async def test_a_dead_letter_is_safe_before_any_offset_passes_it() -> None:
    bench = Bench(MemoryKafka([b"junk"]))
    async with bench.running():
        await bench.until_done()
    assert bench.diary.index("dead 1") < bench.diary.index("write {0: 1}")


async def test_without_posts_dead_nothing_passes() -> None:
    bench = Bench(MemoryKafka([b"junk", b"fine"]))
    bench.topics.down = True
    async with bench.running():
        await bench.until(lambda: bench.count("mmsent_broker_retries_total") > 3)
        assert bench.kafka.committed == {0: 0}
        assert bench.store.progress == {0: 0}
        bench.topics.down = False
        await bench.until_done()
    assert bench.topics.stages() == ["decode"]


async def test_the_lowest_unfinished_offset_holds_commits_and_progress_back() -> None:
    bench = Bench(MemoryKafka([b"a", b"hang", b"b"]))
    async with bench.running():
        await bench.until(lambda: {"a", "b"} <= bench.store.rows and bench.kafka.committed == {0: 1})
        assert bench.store.progress == {0: 1}
        bench.intake.release.set()
        await bench.until_done()


async def test_no_more_in_hand_than_allowed_and_no_batch_larger() -> None:
    kafka = MemoryKafka(values("a", 300), values("b", 300))
    bench = Bench(kafka, Settings(max_in_flight=16, write_max_rows=5))
    async with bench.running():
        await bench.until_done()
    assert bench.intake.most_in_hand <= 16
    assert bench.store.largest <= 5
    assert len(bench.store.rows) == 600


async def test_a_full_worker_pauses_and_polls_on() -> None:
    kafka = MemoryKafka(values("hang", 50))
    bench = Bench(kafka, Settings(max_in_flight=8))
    async with bench.running():
        await bench.until(lambda: kafka.paused == {0})
        polls = kafka.polls
        await bench.until(lambda: kafka.polls > polls + 3)
        assert bench.worker.in_hand == 8
        bench.intake.release.set()
        await bench.until_done()
    assert kafka.paused == set()


async def test_a_database_that_is_down_costs_nothing_but_time() -> None:
    kafka = MemoryKafka(values("a", 100), values("b", 100))
    bench = Bench(kafka, Settings(write_max_rows=20))
    bench.store.down = True
    async with bench.running():
        await bench.until(lambda: bench.worker.database_down)
        assert not bench.worker.ready
        bench.store.down = False
        await bench.until(lambda: len(bench.store.rows) > 50)
        bench.store.down = True
        attempts = bench.store.attempts
        await bench.until(lambda: bench.worker.database_down and bench.store.attempts > attempts + 3)
        commits, polls = len(kafka.commits), kafka.polls
        await bench.until(lambda: kafka.polls > polls + 5)
        assert len(kafka.commits) == commits
        assert kafka.paused == {0, 1}
        bench.store.down = False
        await bench.until_done()
        assert not bench.worker.database_down
    assert len(bench.store.rows) == 200
    assert bench.topics.dead == []
    assert bench.count("mmsent_database_retries_total") > 3


async def test_scores_that_could_not_be_published_are_published_later() -> None:
    bench = Bench(MemoryKafka(values("a", 10)))
    bench.topics.down = True
    async with bench.running():
        await bench.until(lambda: bench.count("mmsent_broker_retries_total") > 2)
        assert bench.kafka.committed == {0: 0}
        bench.topics.down = False
        await bench.until_done()
    assert set(bench.topics.scores) == {f"a{n}" for n in range(10)}


@pytest.mark.parametrize("error", [PartitionLostError("lost"), BrokerUnavailableError("down")])
async def test_a_commit_that_fails_is_made_later(error: Exception) -> None:
    bench = Bench(MemoryKafka(values("a", 3)))
    bench.kafka.commit_errors = [error]
    async with bench.running():
        await bench.until_done()
    reason = "lost" if isinstance(error, PartitionLostError) else "unavailable"
    assert bench.count("mmsent_commits_failed_total", reason=reason) == 1


async def test_an_idle_worker_writes_nothing() -> None:
    bench = Bench(MemoryKafka(values("a", 3)))
    async with bench.running():
        await bench.until_done()
        attempts, commits = bench.store.attempts, len(bench.kafka.commits)
        await asyncio.sleep(0.2)
        assert (bench.store.attempts, len(bench.kafka.commits)) == (attempts, commits)


async def test_positions_reset_the_databases_progress_also_backwards() -> None:
    kafka = MemoryKafka(values("a", 5), [])
    bench = Bench(kafka)
    bench.store.progress = {0: 900, 1: 700}
    async with bench.running():
        await bench.until_done()


async def test_in_hand_work_is_finished_before_a_partition_is_given_up() -> None:
    kafka = MemoryKafka(values("hang", 5), values("hang", 5))
    bench = Bench(kafka)
    async with bench.running():
        await bench.until(lambda: bench.worker.in_hand == 10)
        rebalance = asyncio.create_task(kafka.rebalance({1}))
        await asyncio.sleep(0.05)
        assert not rebalance.done()
        assert not bench.worker.ready
        bench.intake.release.set()
        await rebalance
        assert kafka.committed == {0: 5, 1: 5}
        assert bench.worker.assignment == [1]
        await bench.until(lambda: bench.worker.ready)
    assert bench.topics.dead == []


async def test_what_cannot_finish_in_time_is_left_to_the_next_owner() -> None:
    kafka = MemoryKafka([b"a", b"hang", b"b"], [])
    bench = Bench(kafka, Settings(kafka_rebalance_timeout_s=0.3))
    async with bench.running():
        await bench.until(lambda: kafka.committed == {0: 1, 1: 0} and "b" in bench.store.rows)
        await kafka.rebalance({1})
        await bench.until(lambda: bench.intake.in_hand == 0)  # not worked on any more either
        assert bench.worker.in_hand == 0
        bench.intake.release.set()
        await asyncio.sleep(0.05)
        assert "hang" not in bench.store.rows
        assert kafka.committed == {0: 1, 1: 0}
        await kafka.rebalance({0, 1})  # it comes back, and everything after the commit again
        await bench.until_done()
    assert {"a", "hang", "b"} <= bench.store.rows


async def test_a_database_that_is_down_does_not_hold_up_a_rebalance() -> None:
    kafka = MemoryKafka(values("a", 5), [])
    bench = Bench(kafka)
    async with bench.running():
        await bench.until_done()
        bench.store.down = True
        kafka.logs[0] += values("b", 5)
        await bench.until(lambda: bench.worker.database_down)
        async with asyncio.timeout(5):
            await kafka.rebalance({1})
        bench.store.down = False
        await bench.until(lambda: bench.worker.ready and not bench.worker.database_down)
        assert bench.store.rows == {f"a{n}" for n in range(5)}  # the rest is another worker's now
        assert bench.store.progress[0] == kafka.committed[0] == 5
        await kafka.rebalance({0})
        await bench.until_done()
    assert len(bench.store.rows) == 10


async def test_pauses_survive_a_rebalance() -> None:
    kafka = MemoryKafka(values("hang", 50))
    bench = Bench(kafka, Settings(max_in_flight=8, kafka_rebalance_timeout_s=0.1))
    async with bench.running():
        await bench.until(lambda: kafka.paused == {0})
        await kafka.rebalance({0})
        await bench.until(lambda: bench.worker.in_hand == 8 and kafka.paused == {0})
        bench.intake.release.set()
        await bench.until_done()


async def test_a_topic_made_anew_is_read_from_its_start() -> None:
    kafka = MemoryKafka(values("old", 10))
    bench = Bench(kafka)
    async with bench.running():
        await bench.until_done()
        kafka.logs[0] = values("new", 4)
        kafka.positions[0] = 0
        await bench.until_done()
        assert kafka.committed == bench.store.progress == {0: 4}
    assert {f"new{n}" for n in range(4)} <= bench.store.rows


async def test_offsets_that_bring_no_record_are_passed() -> None:
    kafka = MemoryKafka([b"a", None, b"b", None], [None])
    bench = Bench(kafka, Settings(stall_timeout_s=4, lateness_s=1))
    async with bench.running():
        await bench.until_done()
    assert bench.store.rows == {"a", "b"}
    assert bench.count("mmsent_lost_records_total") == 0


async def test_stopping_finishes_and_commits_what_is_in_hand() -> None:
    kafka = MemoryKafka(values("hang", 5))
    bench = Bench(kafka)
    async with bench.running() as task:
        await bench.until(lambda: bench.worker.in_hand == 5)
        bench.worker.stop()
        kafka.logs[0] += values("late", 5)
        await asyncio.sleep(0.05)
        assert not bench.worker.ready
        assert not task.done()
        bench.intake.release.set()
        await bench.until(task.done)
    assert kafka.committed == {0: 5}
    assert kafka.stopped


async def test_stopping_takes_no_longer_than_it_may() -> None:
    kafka = MemoryKafka([b"a", b"hang"])
    bench = Bench(kafka, Settings(drain_timeout_s=0.3))
    async with bench.running() as task:
        await bench.until(lambda: "a" in bench.store.rows)
        bench.worker.stop()
        await bench.until(task.done)
    assert kafka.committed == {0: 1}
    assert kafka.stopped


async def test_a_last_round_follows_the_drain() -> None:
    bench = Bench(MemoryKafka(values("a", 3)))

    async def last() -> None:
        bench.diary.append("last round")

    task = asyncio.create_task(bench.worker.run(last=last))
    await bench.until_done()
    bench.worker.stop()
    await task
    assert bench.diary[-1] == "last round"


async def test_a_companion_that_fails_ends_the_worker() -> None:
    bench = Bench(MemoryKafka([]))

    async def fails() -> None:
        raise EngineError("broken")

    with pytest.raises(EngineError, match="broken"):
        await bench.worker.run(fails)
    assert bench.kafka.stopped


async def test_a_partition_that_does_not_move_ends_the_worker() -> None:
    kafka = MemoryKafka(values("a", 5), values("b", 5))
    kafka.stuck = {1}
    bench = Bench(kafka, Settings(stall_timeout_s=0.2))
    task = asyncio.create_task(bench.worker.run())
    with pytest.raises(MmsentError, match="partition 1 has records waiting and has not moved"):
        async with asyncio.timeout(PATIENCE_S):
            await task


async def test_a_partition_that_does_not_move_is_named_half_way_to_that_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer_module, "WATCH_S", 0.1)
    kafka = MemoryKafka(values("a", 5), values("b", 5))
    kafka.stuck = {1}
    bench = Bench(kafka, Settings(stall_timeout_s=6))
    async with bench.running() as task:
        await bench.until(lambda: bench.worker.trouble != "")
        assert bench.worker.trouble.startswith("partition 1 has records waiting and has not moved for ")
        kafka.stuck = set()
        await bench.until(lambda: bench.worker.trouble == "")
        assert not task.done()


async def test_work_that_hangs_ends_the_worker() -> None:
    bench = Bench(MemoryKafka(values("hang", 50)), Settings(stall_timeout_s=0.2, max_in_flight=8))
    task = asyncio.create_task(bench.worker.run())
    with pytest.raises(MmsentError, match="partition 0"):
        async with asyncio.timeout(PATIENCE_S):
            await task


async def test_a_partition_whose_turn_has_not_come_is_not_stuck() -> None:
    kafka = MemoryKafka(values("a", 200), values("b", 5))
    bench = Bench(kafka, Settings(stall_timeout_s=0.1, max_in_flight=2, write_max_rows=1))
    async with bench.running():
        await bench.until_done()


async def test_a_database_that_is_down_is_not_a_stuck_partition() -> None:
    bench = Bench(MemoryKafka(values("a", 5)), Settings(stall_timeout_s=0.1))
    async with bench.running() as task:
        await bench.until_done()
        bench.store.down = True
        bench.kafka.logs[0] += values("b", 5)
        await bench.until(lambda: bench.worker.database_down)
        await asyncio.sleep(0.5)
        assert not task.done()
        bench.store.down = False
        await bench.until_done()


async def test_an_engine_that_fails_on_everything_ends_the_worker() -> None:
    bench = Bench(MemoryKafka([]), Settings(stall_timeout_s=0.1))
    bench.engine_failures = 100
    with pytest.raises(EngineError, match="in a row"):
        await bench.worker.run()
