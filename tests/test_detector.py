"""The detector on real databases, with a Kafka that does as it is told."""

import asyncio
import json
import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from mmsent.alerts import conflict_alert_id
from mmsent.detector import Detector
from mmsent.detector.rows import DETECT_LOCK, PUBLISH_LOCK, keep_watermark, try_lock
from mmsent.errors import BrokerUnavailableError, StoreUnavailableError
from mmsent.posts import Alert, DeletePost, Opinion, Post, ScoredPost
from mmsent.settings import Settings
from mmsent.store.schema import open_engine, upgrade
from mmsent.store.tables import alerts, detector, metadata, outbox, pending_conflicts
from mmsent.store.writes import Deletion, ScoredRow, Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = Settings(conflict_threshold=0.5, topic_prefix="test.")
OPINION = Opinion(label="neutral", positive=0.2, neutral=0.6, negative=0.2)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class ObedientBroker:
    """Keeps what it is sent, unless it is down."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes]] = []
        self.ends: dict[int, int] = {}
        self.down = False
        self.asked = 0
        self.refused: bytes | None = None

    async def publish(self, topic: str, key: bytes, value: bytes) -> None:
        await asyncio.sleep(0)
        if self.down or value == self.refused:
            raise BrokerUnavailableError("Kafka does not answer")
        self.records.append((topic, key, value))

    async def end_offsets(self) -> dict[int, int]:
        self.asked += 1
        if self.down:
            raise BrokerUnavailableError("Kafka does not answer")
        return self.ends

    @property
    def alerts(self) -> list[Alert]:
        return [
            Alert.model_validate_json(value) for topic, _, value in self.records if topic == "test.alerts"
        ]

    def newest(self) -> dict[str, Alert]:
        """As a subscriber sees it: the greatest revision of each alert."""
        return {alert.alert_id: alert for alert in sorted(self.alerts, key=lambda alert: alert.revision)}

    def first_sightings(self, alert_id: str) -> list[int]:
        """Revisions of one alert in the order in which they were first met."""
        return list(dict.fromkeys(alert.revision for alert in self.alerts if alert.alert_id == alert_id))


class House:
    """One database, one broker, one clock, and as many detectors as wanted."""

    def __init__(self, store: Store) -> None:
        self.store, self.broker, self.clock = store, ObedientBroker(), Clock()

    def detector(self, **overrides: Any) -> Detector:
        chosen = SETTINGS.model_copy(update=overrides)
        return Detector(self.store, chosen, self.broker.publish, self.broker.end_offsets, self.clock)

    async def flag(
        self, post_id: str, *topics: str, version: int = 0, after_s: float = 0, conflict: float = 0.8
    ) -> None:
        row: dict[str, Any] = {
            "post_id": post_id,
            "version": version,
            "topics": list(topics),
            "conflict": conflict,
        }
        row["created_at"] = NOON + timedelta(seconds=after_s)
        async with self.store.transaction() as connection:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            await connection.execute(dialect.insert(pending_conflicts).on_conflict_do_nothing(), [row])

    async def waiting(self) -> int:
        """Records left in the outbox."""
        async with self.store.transaction() as connection:
            return int(await connection.scalar(select(func.count()).select_from(outbox)) or 0)

    async def announce(self, *keys: str) -> None:
        rows = [{"topic": "scores", "key": key, "value": f'{{"n":{n}}}'} for n, key in enumerate(keys)]
        async with self.store.transaction() as connection:
            await connection.execute(insert(outbox), rows)

    async def stored_alerts(self) -> dict[str, tuple[int, int]]:
        """Revision and count of each."""
        async with self.store.transaction() as connection:
            rows = await connection.execute(select(alerts.c.alert_id, alerts.c.revision, alerts.c.count))
            return {row.alert_id: (row.revision, row.count) for row in rows}

    async def stored_watermark(self) -> datetime | None:
        async with self.store.transaction() as connection:
            return await connection.scalar(select(detector.c.watermark))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database with our schema, of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'mmsent.db'}"
        upgrade(url)
        yield url
        return
    server = request.getfixturevalue("postgres_url")
    name = f"detector_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        url = f"{server.rpartition('/')[0]}/{name}"
        upgrade(url)
        yield url
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[House]:
    store = Store(url)
    try:
        yield House(store)
    finally:
        await store.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with opened(database_url) as house:
        yield house


def only(items: list[Alert]) -> Alert:
    assert len(items) == 1, items
    return items[0]


# -- the rule ------------------------------------------------------------------------------------------------


async def test_the_first_conflict_of_a_topic_alerts_at_once(house: House) -> None:
    await house.flag("a", "weather", after_s=-600)
    assert await house.detector().tick()
    alert = only(house.broker.alerts)
    assert (alert.alert_id, alert.revision, alert.count) == (
        conflict_alert_id("weather", NOON - timedelta(seconds=600), 3600),
        0,
        1,
    )
    assert (alert.created_at, alert.window.start, alert.window.end) == (NOON, NOON - timedelta(hours=1), NOON)
    assert (alert.posts, alert.why["threshold"]) == (("a",), 0.5)
    topic, key, _ = house.broker.records[0]
    assert (topic, key) == ("test.alerts", alert.alert_id.encode())
    assert await house.waiting() == 0


async def test_more_of_them_become_one_revision_each_interval(house: House) -> None:
    watcher = house.detector()
    for number, second in enumerate([0, 1, 1, 3, 1]):
        house.clock.move(second)
        await house.flag(f"post/{number}", "weather", conflict=0.6 + number / 100)
        await watcher.tick()
    assert [(alert.revision, alert.count) for alert in house.broker.alerts] == [(0, 1), (1, 4)]
    house.clock.move(3)
    await watcher.tick()
    last = house.broker.alerts[-1]
    assert (last.revision, last.count, last.created_at) == (2, 5, NOON)
    assert last.posts == tuple(f"post/{number}" for number in (4, 3, 2, 1, 0))
    house.clock.move(60)
    await watcher.tick()
    assert len(house.broker.alerts) == 3


async def test_a_clock_set_back_does_not_hold_revisions_up(house: House) -> None:
    watcher = house.detector()
    await house.flag("a")
    await watcher.tick()
    house.clock.move(-3600)
    await house.flag("b")
    await watcher.tick()
    assert [alert.count for alert in house.broker.alerts] == [1, 2]


async def test_each_topic_and_each_window_is_an_alert_of_its_own(house: House) -> None:
    await house.flag("a", "sports", "weather")
    await house.flag("b")
    await house.flag("c", "weather", after_s=3600)
    await house.detector().tick()
    found = {(alert.topic, alert.window.start): alert.posts for alert in house.broker.alerts}
    assert found == {
        ("sports", NOON): ("a",),
        ("weather", NOON): ("a",),
        ("all", NOON): ("b",),
        ("weather", NOON + timedelta(hours=1)): ("c",),
    }


async def test_a_post_counts_once_however_often_it_comes(house: House) -> None:
    watcher = house.detector()
    await house.flag("a", version=1, conflict=0.7)
    await watcher.tick()
    house.clock.move(10)
    await house.flag("a", version=1, conflict=0.7)
    await house.flag("a", version=2, conflict=0.6)
    await watcher.tick()
    assert only(house.broker.alerts).count == 1
    await house.flag("a", version=3, conflict=0.9)
    await watcher.tick()
    assert [(alert.revision, alert.count) for alert in house.broker.alerts] == [(0, 1), (1, 1)]
    assert house.broker.alerts[-1].why["highest_conflict"] == 0.9


async def test_it_takes_more_than_a_transaction_holds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsent.detector.MAX_CONFLICTS", 3)
    monkeypatch.setattr("mmsent.detector.MAX_REVISIONS", 2)
    for number in range(10):
        await house.flag(f"post/{number}", f"topic-{number % 5}")
    watcher = house.detector()
    await watcher.tick()
    await watcher.flush()
    assert [alert.count for alert in house.broker.newest().values()] == [2] * 5
    assert watcher.counters.conflicts == 10


async def test_an_alert_names_the_ten_posts_that_disagree_most(house: House) -> None:
    for number in range(12):
        await house.flag(f"post/{number:02}", "x", "y", conflict=0.6 + number / 100)
    await house.detector().tick()
    strongest = tuple(f"post/{number:02}" for number in range(11, 1, -1))
    assert [(alert.count, alert.posts) for alert in house.broker.alerts] == [(12, strongest)] * 2


async def test_what_workers_write_becomes_an_alert(house: House) -> None:
    """From the store's own write to Kafka, with the share of the topic's posts that disagree."""
    await house.store.write([scored_row(number, flagged=number == 0) for number in range(4)], {0: 4}, NOON)
    await house.detector().tick()
    alert = only(house.broker.alerts)
    assert (alert.topic, alert.count, alert.posts) == ("weather", 1, ("post/0",))
    assert alert.why == {
        "mean_conflict": 0.8,
        "highest_conflict": 0.8,
        "topic_posts": 4,
        "topic_flagged": 1,
        "flagged_share": 0.25,
        "threshold": 0.5,
    }


async def test_an_alert_does_not_shrink(house: House) -> None:
    watcher = house.detector()
    await house.store.write([scored_row(0, flagged=True)], {}, NOON)
    await watcher.tick()
    house.clock.move(10)
    gone = DeletePost(post_id="post/0", version=1, source="files")
    await house.store.write([Deletion(gone), scored_row(1, flagged=True)], {}, NOON)
    await watcher.tick()
    assert house.broker.alerts[-1].count == 2


def scored_row(number: int, *, flagged: bool) -> ScoredRow:
    post = Post(post_id=f"post/{number}", source="files", created_at=NOON, text="rain")
    conflict = 0.8 if flagged else 0.1
    scored = ScoredPost(
        post_id=post.post_id,
        version=0,
        source="files",
        created_at=NOON,
        scored_at=NOON,
        model="stub",
        fused=OPINION,
        text=OPINION,
        image=OPINION,
        conflict=conflict,
        topics=("weather",),
    )
    return ScoredRow(scored, post, shard=0, flagged=flagged, thumbnail=None)


# -- the outbox ----------------------------------------------------------------------------------------------


async def test_the_outbox_keeps_what_kafka_does_not_take(house: House) -> None:
    watcher = house.detector()
    house.broker.down = True
    for number in range(2):
        await house.flag(f"post/{number}")
        house.clock.move(10)
        with pytest.raises(BrokerUnavailableError):
            await watcher.tick()
    assert await house.waiting() == 2
    house.broker.down = False
    await watcher.tick()
    assert [(alert.revision, alert.count) for alert in house.broker.alerts] == [(0, 1), (1, 2)]
    assert await house.waiting() == 0


async def test_deletes_are_published_though_there_is_no_alert(house: House) -> None:
    await house.announce("a", "b", "a")
    await house.detector().tick()
    assert sorted(house.broker.records) == [
        ("test.scores", b"a", b'{"n":0}'),
        ("test.scores", b"a", b'{"n":2}'),
        ("test.scores", b"b", b'{"n":1}'),
    ]
    assert await house.waiting() == 0


async def test_more_than_a_page_is_published_in_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsent.detector.publishing.PAGE", 4)
    await house.announce(*["a"] * 10)
    watcher = house.detector()
    await watcher.tick()
    assert [json.loads(value)["n"] for _, _, value in house.broker.records] == list(range(10))
    assert watcher.published == 10


async def test_no_record_passes_an_earlier_one_of_its_key(house: House) -> None:
    await house.announce("a", "b", "a", "b")
    house.broker.refused = b'{"n":0}'
    with pytest.raises(BrokerUnavailableError):
        await house.detector().tick()
    assert [(key, json.loads(value)["n"]) for _, key, value in house.broker.records] == [(b"b", 1), (b"b", 3)]
    assert await house.waiting() == 2


async def test_a_record_that_was_sent_but_not_deleted_is_sent_again(house: House) -> None:
    await house.flag("a")
    send, entered = house.broker.publish, asyncio.Event()

    async def send_and_hang(topic: str, key: bytes, value: bytes) -> None:
        await send(topic, key, value)
        entered.set()
        await asyncio.sleep(60)

    house.broker.publish = send_and_hang  # type: ignore[method-assign]  # a broker whose replies are lost
    killed = asyncio.create_task(house.detector().tick())
    await asyncio.wait_for(entered.wait(), 10)
    killed.cancel()
    with suppress(asyncio.CancelledError):
        await killed
    house.broker.publish = send  # type: ignore[method-assign]  # replies come again
    await house.detector().tick()
    first, second = house.broker.alerts
    assert first == second
    assert await house.waiting() == 0


async def test_a_record_that_got_the_id_of_a_sent_one_is_not_deleted(house: House) -> None:
    """SQLite gives the greatest id again, while the detector awaits Kafka's reply."""
    await house.announce("a")
    send = house.broker.publish

    async def replace_meanwhile(topic: str, key: bytes, value: bytes) -> None:
        await send(topic, key, value)
        if value != b"{}":
            async with house.store.transaction() as connection:
                sent_id = await connection.scalar(select(outbox.c.id))
                await connection.execute(outbox.delete())
                row = {"id": sent_id, "topic": "scores", "key": "a", "value": "{}"}
                await connection.execute(insert(outbox), [row])

    house.broker.publish = replace_meanwhile  # type: ignore[method-assign]  # meets the id that is given again
    watcher = house.detector()
    await watcher.tick()
    await watcher.tick()
    assert [value for _, _, value in house.broker.records] == [b'{"n":0}', b"{}"]
    assert await house.waiting() == 0


# -- several detectors ---------------------------------------------------------------------------------------


async def test_another_detector_at_work_is_not_waited_for(house: House) -> None:
    await house.flag("a")
    await house.announce("b")
    async with house.store.transaction() as connection:
        if connection.dialect.name == "sqlite":
            pytest.skip("SQLite has one lock for all, and it is waited for")
        assert await try_lock(connection, DETECT_LOCK)
        assert await try_lock(connection, PUBLISH_LOCK)
        assert not await asyncio.wait_for(house.detector().tick(), 5)
    assert house.broker.records == []
    assert await house.detector().tick()
    assert len(house.broker.records) == 2


@pytest.mark.parametrize("seed", range(2))
async def test_any_number_of_detectors_find_the_same(house: House, seed: int) -> None:
    chance = random.Random(seed)
    flags = [(f"post/{chance.randrange(25)}", chance.choice(["x", "y", ""])) for _ in range(60)]
    done = asyncio.Event()

    async def write(mine: list[tuple[str, str]], base: int) -> None:
        for number, (post_id, topic) in enumerate(mine):
            await house.flag(post_id, *filter(None, [topic]), version=base + number)
            await asyncio.sleep(chance.random() / 500)

    async def detect() -> None:
        watcher = house.detector(alert_revision_interval_s=0.001)
        while not done.is_set():
            house.clock.move(0.01)
            await watcher.tick()
            await asyncio.sleep(chance.random() / 500)

    watchers = [asyncio.create_task(detect()) for _ in range(3)]
    await asyncio.gather(write(flags[:30], 0), write(flags[30:], 1000))
    done.set()
    await asyncio.gather(*watchers)
    await house.detector().flush()
    expected: dict[str, set[str]] = {}
    for post_id, topic in flags:
        expected.setdefault(conflict_alert_id(topic or "all", NOON, 3600), set()).add(post_id)
    newest = house.broker.newest()
    assert {key: alert.count for key, alert in newest.items()} == {k: len(v) for k, v in expected.items()}
    for alert_id in newest:
        sightings = house.broker.first_sightings(alert_id)
        assert sightings == list(range(len(sightings)))


Flags = dict[tuple[str, int], tuple[tuple[str, ...], float, float]]
flagged_versions = st.dictionaries(
    st.tuples(st.sampled_from("abcdefghijklmno"), st.integers(0, 2)),
    st.tuples(
        st.sampled_from([(), ("x",), ("x", "y")]),
        st.sampled_from([0.0, 1800.0, 3599.0, 3600.0]),
        st.sampled_from([0.5, 0.75, 1.0]),
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=12, deadline=None)
@given(flagged_versions, st.randoms(use_true_random=False))
def test_order_batches_and_repetition_end_in_the_same_alerts(seen: Flags, chance: random.Random) -> None:
    again = [*seen, *chance.choices(list(seen), k=5)]
    chance.shuffle(again)
    assert asyncio.run(outcome(seen, again, chance)) == asyncio.run(outcome(seen, list(seen), None))


async def outcome(
    seen: Flags, order: list[tuple[str, int]], chance: random.Random | None
) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Final count and posts of each alert, as published; in random batches, or all at once."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/mmsent.db"
        engine = open_engine(url)
        metadata.create_all(engine)
        engine.dispose()
        async with opened(url) as house:
            watcher = house.detector()
            for post_id, version in order:
                topics, after_s, conflict = seen[post_id, version]
                await house.flag(post_id, *topics, version=version, after_s=after_s, conflict=conflict)
                if chance is not None and chance.random() < 0.3:
                    house.clock.move(chance.choice([0, 1, 5]))
                    await watcher.tick()
            await watcher.flush()
            newest = house.broker.newest()
            assert await house.stored_alerts() == {
                key: (alert.revision, alert.count) for key, alert in newest.items()
            }
            return {key: (alert.count, alert.posts) for key, alert in newest.items()}


# -- the watermark -------------------------------------------------------------------------------------------


async def test_the_watermark_follows_what_is_read(house: House) -> None:
    watcher = house.detector()
    house.broker.ends = {0: 5, 1: 3, 2: 0}
    await house.store.write([], {0: 5, 1: 2}, NOON)
    for _ in range(2):
        await watcher.tick()
    assert watcher.watermark is None
    await house.store.write([], {1: 3}, NOON)  # a dead letter at the tail: no row, but progress
    await watcher.tick()
    assert watcher.watermark == await house.stored_watermark() == NOON - timedelta(minutes=2)


async def test_a_killed_worker_with_lag_holds_it(house: House) -> None:
    house.broker.ends = {0: 5, 1: 5}
    await house.store.write([], {0: 5, 1: 5}, NOON)
    watcher = house.detector()
    for minute in range(10):
        await house.store.write([], {0: 5 + minute}, NOON)
        await watcher.tick()
        house.broker.ends = {0: 6 + minute, 1: 5 + minute}
        house.clock.move(60)
    assert await house.stored_watermark() == NOON - timedelta(minutes=1)


async def test_a_post_from_the_future_closes_no_minute(house: House) -> None:
    house.broker.ends = {0: 2}
    post = Post(post_id="a", source="files", created_at=NOON + timedelta(hours=5), text="rain")
    row = scored_row(0, flagged=True)
    scored = row.scored.model_copy(update={"post_id": "a", "created_at": post.created_at})
    await house.store.write([ScoredRow(scored, post, 0, True, None)], {0: 1}, NOON)  # noqa: FBT003  # flagged
    watcher = house.detector()
    for _ in range(3):
        await watcher.tick()
    assert await house.stored_watermark() is None
    await house.store.write([], {0: 2}, NOON)
    await watcher.tick()
    assert await house.stored_watermark() == NOON - timedelta(minutes=2)


async def test_a_broker_that_is_down_holds_it(house: House) -> None:
    watcher = house.detector()
    house.broker.ends = {0: 0}
    for _ in range(2):
        await watcher.tick()
    house.broker.down = True
    house.clock.move(600)
    for _ in range(3):
        with pytest.raises(BrokerUnavailableError):
            await watcher.tick()
    assert await house.stored_watermark() == NOON - timedelta(minutes=2)


async def test_a_restart_moves_it_not_back(house: House) -> None:
    house.broker.ends = {0: 0}
    first = house.detector()
    for _ in range(2):
        await first.tick()
    house.clock.move(-3600)
    second = house.detector()
    for _ in range(3):
        await second.tick()
    assert second.watermark == await house.stored_watermark() == NOON - timedelta(minutes=2)
    house.clock.move(3660)
    for _ in range(2):
        await second.tick()
    assert await house.stored_watermark() == NOON - timedelta(minutes=1)


async def test_a_detector_that_knows_less_moves_it_not_back(house: House) -> None:
    for minutes in (5, 3):
        async with house.store.transaction() as connection:
            await keep_watermark(connection, NOON + timedelta(minutes=minutes), NOON)
    assert await house.stored_watermark() == NOON + timedelta(minutes=5)


async def test_the_broker_is_asked_once_a_minute_when_nothing_happens(house: House) -> None:
    house.broker.ends = {0: 0}
    watcher = house.detector()
    for _ in range(120):
        await watcher.tick()
        house.clock.move(1)
    assert house.broker.asked == 3


# -- the loop ------------------------------------------------------------------------------------------------


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not happen within 10 s")


async def test_the_loop_survives_what_is_down_and_ends_when_told(house: House) -> None:
    house.broker.down = True
    await house.flag("a")
    watcher = house.detector(detector_interval_s=0.01)
    running = asyncio.create_task(watcher.run())
    await eventually(lambda: watcher.counters.failures >= 3)
    house.broker.down = False
    await eventually(lambda: len(house.broker.alerts) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 1)


async def test_the_loop_survives_a_database_that_is_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def down() -> AsyncIterator[None]:
        raise StoreUnavailableError("the database does not answer")
        yield

    await house.flag("a")
    watcher = house.detector(detector_interval_s=0.01)
    with monkeypatch.context() as patch:
        for name in ("transaction", "reading"):
            patch.setattr(house.store, name, down, raising=False)
        running = asyncio.create_task(watcher.run())
        await eventually(lambda: watcher.counters.failures >= 3)
    await eventually(lambda: len(house.broker.alerts) == 1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_the_last_revisions_are_published_on_shutdown(house: House) -> None:
    watcher = house.detector(detector_interval_s=0.01)
    running = asyncio.create_task(watcher.run())
    await house.flag("a")
    await eventually(lambda: len(house.broker.alerts) == 1)
    await house.flag("b")
    await asyncio.sleep(0.05)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert [alert.count for alert in house.broker.alerts] == [1]
    await watcher.flush()
    assert [alert.count for alert in house.broker.alerts] == [1, 2]


async def test_a_detector_with_nothing_to_do_does_not_lock_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "mmsent.db"
    upgrade(f"sqlite:///{path}")
    async with opened(f"sqlite:///{path}") as house:
        writer = sqlite3.connect(path, isolation_level=None)
        try:
            writer.execute("BEGIN IMMEDIATE")
            assert await asyncio.wait_for(house.detector().tick(), 2)
        finally:
            writer.close()
