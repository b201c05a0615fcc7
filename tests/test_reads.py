"""Reads for people, on SQLite and, where there is one, on PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from mmsent.errors import MmsentError, SetupError, StoreUnavailableError
from mmsent.store import schema, tables
from mmsent.store.reads import Counts, PartitionProgress, Reader

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OPINION = {"label": "positive", "positive": 0.9, "neutral": 0.08, "negative": 0.02}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with our schema."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'mmsent.db'}"
    else:
        address = request.getfixturevalue("postgres_url")
    schema.upgrade(address)
    engine = schema.open_engine(address)
    with engine.begin() as connection:
        for table in tables.metadata.sorted_tables:
            connection.execute(table.delete())
    engine.dispose()
    return address


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    store = Reader(url)
    yield store
    store.close()


def put(url: str, table: Any, *rows: dict[str, Any]) -> None:
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(table), list(rows))
    engine.dispose()


def rollup(minute: datetime, topic: str = "all", **values: Any) -> dict[str, Any]:
    keys = {"source": "test", "lang": "en", "shard": 0}
    counts = dict.fromkeys(Counts.__annotations__, 0)
    row = {"minute": minute, "topic": topic, **keys, **counts, **values}
    row["posts"] = sum(row[name] for name in ("positive", "neutral", "negative", "unscored"))
    return row


def post(post_id: str, created_at: datetime = NOON, **values: Any) -> dict[str, Any]:
    row = {
        "post_id": post_id, "version": 0, "deleted": False, "source": "test", "created_at": created_at,
        "text": post_id.upper(), "topics": [], "flagged": True, "conflict": 0.7, "sensitive": False,
        "text_opinion": OPINION, "image_opinion": OPINION, "thumbnail": b"jpeg",
    }  # fmt: skip
    return row | values


def test_an_empty_database(reader: Reader) -> None:
    reader.check()
    assert reader.is_empty()
    assert reader.topics() == []
    assert reader.span() is None
    assert reader.totals() == Counts(0, 0, 0, 0, 0, 0, 0)
    assert reader.totals().net_sentiment is None
    assert reader.sentiment() == []
    assert reader.flagged() == []
    assert reader.quotes([]) == []
    assert reader.alerts() == []
    assert reader.unscored_languages() == {}
    assert reader.freshness().progress == ()
    assert reader.freshness().watermark is None


def test_sentiment_sums_over_shards_sources_and_languages(url: str, reader: Reader) -> None:
    put(
        url,
        tables.rollups,
        rollup(NOON, positive=1, with_image=1),
        rollup(NOON, positive=2, shard=1),
        rollup(NOON, neutral=3, source="other"),
        rollup(NOON, negative=4, flagged=2, lang="de"),
        rollup(NOON, unscored=5, lang="ja"),
        rollup(NOON, topic="weather", positive=100),
        rollup(NOON + MINUTE, lang="xx"),
    )
    (bucket,) = reader.sentiment()
    assert bucket.start == NOON
    assert bucket.counts == Counts(
        posts=15, positive=3, neutral=3, negative=4, unscored=5, flagged=2, with_image=1
    )
    assert bucket.counts.net_sentiment == pytest.approx(-0.1)
    assert reader.totals() == bucket.counts
    assert reader.totals("weather").posts == 100
    assert reader.totals("unknown").posts == 0


def test_ranges_leave_their_end_out(url: str, reader: Reader) -> None:
    put(url, tables.rollups, *(rollup(NOON + i * MINUTE, positive=1) for i in range(10)))
    buckets = reader.sentiment(start=NOON + 2 * MINUTE, end=NOON + 5 * MINUTE)
    assert [bucket.start for bucket in buckets] == [NOON + i * MINUTE for i in (2, 3, 4)]
    assert reader.totals(start=NOON + 2 * MINUTE, end=NOON + 5 * MINUTE).posts == 3
    assert reader.totals(start=NOON + 7 * MINUTE).posts == 3
    assert reader.span() == (NOON, NOON + 9 * MINUTE)


def test_longer_buckets_begin_on_their_own_edges(url: str, reader: Reader) -> None:
    put(url, tables.rollups, *(rollup(NOON + i * MINUTE, negative=1) for i in (3, 4, 5, 14)))
    buckets = reader.sentiment(step_s=300)
    assert [(bucket.start - NOON, bucket.counts.posts) for bucket in buckets] == [
        (0 * MINUTE, 2), (5 * MINUTE, 1), (10 * MINUTE, 1)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="whole minutes"):
        reader.sentiment(step_s=90)


def test_flagged_posts_are_the_newest_of_the_topic(url: str, reader: Reader) -> None:
    put(
        url,
        tables.posts,
        post("old", NOON - MINUTE),
        post("new", NOON + MINUTE, topics=["rain", "weather"], sensitive=True),
        post("middle", topics=["weathervane"]),
        post("agreeing", flagged=False),
        post("gone", deleted=True),
        post("tombstone", None, deleted=True, flagged=None, text=None, topics=None, conflict=None),
    )
    assert [found.post_id for found in reader.flagged()] == ["new", "middle", "old"]
    assert [found.post_id for found in reader.flagged(limit=1)] == ["new"]
    assert [found.post_id for found in reader.flagged(start=NOON, end=NOON + MINUTE)] == ["middle"]
    (found,) = reader.flagged("weather")
    assert (found.text, found.topics, found.thumbnail, found.sensitive) == (
        "NEW", ("rain", "weather"), b"jpeg", True
    )  # fmt: skip
    assert found.text_opinion.model_dump() == OPINION
    assert not reader.is_empty()


def test_quotes_come_in_the_order_asked_without_deleted_posts(url: str, reader: Reader) -> None:
    gone = post("b", deleted=True, text=None)
    put(url, tables.posts, post("a"), gone, post("c", image_opinion=None, conflict=None))
    unjudged, judged = reader.quotes(["c", "b", "unknown", "a"])
    assert (unjudged.post_id, unjudged.text, unjudged.image_opinion, unjudged.conflict) == (
        "c",
        "C",
        None,
        None,
    )
    assert judged.post_id == "a"
    assert judged.text_opinion is not None
    assert (judged.text_opinion.model_dump(), judged.conflict) == (OPINION, 0.7)


def test_alerts_newest_first_with_the_posts_that_disagree_most(url: str, reader: Reader) -> None:
    put(url, tables.alerts, alert("first", NOON), alert("second", NOON + MINUTE, topic="weather", count=12))
    put(
        url,
        tables.alert_posts,
        *({"alert_id": "second", "post_id": f"p{i:02}", "conflict": i / 20} for i in range(12)),
    )
    newest, oldest = reader.alerts()
    assert (newest.alert_id, newest.count, newest.topic) == ("second", 12, "weather")
    assert newest.posts == tuple(f"p{i:02}" for i in range(11, 1, -1))
    assert (oldest.alert_id, oldest.posts) == ("first", ())
    assert oldest.window.end - oldest.window.start == timedelta(hours=1)
    assert [found.alert_id for found in reader.alerts(limit=1)] == ["second"]
    assert [found.alert_id for found in reader.alerts("weather")] == ["second"]
    window_end = newest.window.end
    assert [found.alert_id for found in reader.alerts(start=window_end - MINUTE)] == ["second", "first"]
    assert reader.alerts(start=window_end) == []


def alert(alert_id: str, created_at: datetime, topic: str = "all", count: int = 1) -> dict[str, Any]:
    return {
        "alert_id": alert_id, "revision": 0, "kind": "conflict", "topic": topic, "severity": 3,
        "state": "open", "title": "t", "count": count, "created_at": created_at, "window_start": NOON,
        "window_end": NOON + timedelta(hours=1), "why": {"mean": 0.5}, "changed": False,
    }  # fmt: skip


def test_languages_of_unscored_posts(url: str, reader: Reader) -> None:
    put(
        url,
        tables.rollups,
        rollup(NOON, positive=9),
        rollup(NOON, lang="de", unscored=1),
        rollup(NOON, lang="ja", unscored=2),
        rollup(NOON, lang="ja", shard=1, unscored=2),
    )
    assert list(reader.unscored_languages().items()) == [("ja", 4), ("de", 1)]


def test_freshness(url: str, reader: Reader) -> None:
    put(url, tables.posts, post("a"), post("b", NOON + MINUTE))
    put(
        url,
        tables.progress,
        {"partition": 1, "next_offset": 7, "updated_at": NOON},
        {"partition": 0, "next_offset": 2**40, "updated_at": NOON - MINUTE},
    )
    put(url, tables.detector, {"id": 1, "watermark": NOON - MINUTE, "updated_at": NOON})
    seen = reader.freshness()
    assert (seen.newest_post_at, seen.written_at, seen.watermark) == (NOON + MINUTE, NOON, NOON - MINUTE)
    assert seen.progress == (PartitionProgress(0, 2**40, NOON - MINUTE), PartitionProgress(1, 7, NOON))


def test_topics_are_sorted(url: str, reader: Reader) -> None:
    query = {"any_of": ["x"], "all_of": [], "none_of": [], "updated_at": NOON}
    put(url, tables.topics, {"name": "weather", **query}, {"name": "football", **query})
    assert reader.topics() == ["football", "weather"]


def test_no_database_no_schema_older_schema(tmp_path: Path) -> None:
    file = tmp_path / "mmsent.db"
    store = Reader(f"sqlite:///{file}")
    with pytest.raises(SetupError, match="run: mmsent db upgrade"):
        store.check()
    assert not file.exists(), "reading made a database"
    file.touch()
    with pytest.raises(SetupError, match="run: mmsent db upgrade"):
        store.check()
    schema.upgrade(f"sqlite:///{file}")
    store.check()
    file.unlink()
    with pytest.raises(SetupError, match="run: mmsent db upgrade"):
        store.check()
    store.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "mmsent.db"
    file.write_bytes(b"not a database" * 1000)
    with pytest.raises(SetupError, match="not a database"):
        Reader(f"sqlite:///{file}").check()


def test_nothing_can_be_written(url: str, reader: Reader) -> None:
    put(url, tables.posts, post("a"))
    with pytest.raises(MmsentError, match="read"), reader._connection() as connection:
        connection.execute(tables.posts.delete())
    assert reader.quotes(["a"])


def test_a_server_that_is_down() -> None:
    with pytest.raises(StoreUnavailableError):
        Reader("postgresql://nobody@127.0.0.1:1/none").check()
