"""What people are shown: the dashboard, `mmsent alerts` and `mmsent doctor` read here. Nothing is written.

Times are UTC, ranges take `start <= time < end`, None leaves an end open. Deleted posts are never shown.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, RowMapping, Select, cast, extract, func, select
from sqlalchemy import true as always

from mmsent.errors import SetupError
from mmsent.posts import Alert, Opinion, Window
from mmsent.store import schema
from mmsent.store.tables import alert_posts, alerts, detector, posts, progress, rollups, topics

ALL_TOPICS = "all"
MAX_ALERT_POSTS = 10  # ids per alert, those that disagree most
MINUTE_S = 60


@dataclass(frozen=True)
class Counts:
    """Posts of a topic; `posts` = positive + neutral + negative + unscored."""

    posts: int
    positive: int
    neutral: int
    negative: int
    unscored: int
    flagged: int
    with_image: int

    @property
    def scored(self) -> int:
        return self.positive + self.neutral + self.negative

    @property
    def net_sentiment(self) -> float | None:
        """(positive − negative) / scored, −1 … 1; None where nothing is scored."""
        return (self.positive - self.negative) / self.scored if self.scored else None

    @property
    def negative_share(self) -> float | None:
        """negative / scored, 0 … 1; None where nothing is scored."""
        return self.negative / self.scored if self.scored else None


@dataclass(frozen=True)
class Bucket:
    """Counts of the posts created in the `step_s` seconds from `start` on."""

    start: datetime
    counts: Counts


@dataclass(frozen=True)
class FlaggedPost:
    """A post whose words and picture disagree; `thumbnail` is our own JPEG."""

    post_id: str
    source: str
    created_at: datetime
    text: str
    sensitive: bool
    topics: tuple[str, ...]
    text_opinion: Opinion
    image_opinion: Opinion
    conflict: float
    thumbnail: bytes | None


@dataclass(frozen=True)
class Quote:
    """What a post says, and what its words and its picture were taken for."""

    post_id: str
    text: str
    text_opinion: Opinion | None
    image_opinion: Opinion | None
    conflict: float | None


@dataclass(frozen=True)
class PartitionProgress:
    """Offsets below `next_offset` of a Kafka partition are in the database, or on `posts.dead`."""

    partition: int
    next_offset: int
    updated_at: datetime


@dataclass(frozen=True)
class Freshness:
    """How far the database is: minutes that end by `watermark` are complete."""

    newest_post_at: datetime | None
    written_at: datetime | None
    watermark: datetime | None
    progress: tuple[PartitionProgress, ...]


class Reader:
    """Reads from one database, over a pool of connections; may be shared by threads.

    Every method raises:
        SetupError: the database has no schema, or another version's; the text says what to run.
        StoreUnavailableError: it does not answer; the same call may succeed later.
    """

    def __init__(self, database_url: str) -> None:
        engine = schema.open_engine(database_url)
        self._engine = engine.execution_options(postgresql_readonly=engine.dialect.name == "postgresql")
        self._file = schema.sqlite_file(database_url)
        self._schema_is_ours = False

    def close(self) -> None:
        self._engine.dispose()

    def check(self) -> None:
        """Only whether the database answers and has our schema."""
        self._rows(select(always()))

    def is_empty(self) -> bool:
        """Whether not one post was ever counted, in no state."""
        return not self._rows(select(posts.c.post_id).limit(1))

    def topics(self) -> list[str]:
        """Names of the tracked topics, sorted; `all` is not among them."""
        return [row["name"] for row in self._rows(select(topics.c.name).order_by(topics.c.name))]

    def span(self, topic: str = ALL_TOPICS) -> tuple[datetime, datetime] | None:
        """First and last minute in which the topic has posts; None without any."""
        minute = rollups.c.minute
        ends = select(func.min(minute).label("first"), func.max(minute).label("last"))
        row = self._rows(ends.where(rollups.c.topic == topic, rollups.c.posts > 0))[0]
        return None if row["first"] is None else (row["first"], row["last"])

    def totals(
        self, topic: str = ALL_TOPICS, start: datetime | None = None, end: datetime | None = None
    ) -> Counts:
        """Counts over a range, to the minute."""
        query = select(*_sums()).where(_in_range(topic, start, end))
        return _counts(self._rows(query)[0])

    def sentiment(
        self,
        topic: str = ALL_TOPICS,
        start: datetime | None = None,
        end: datetime | None = None,
        step_s: int = MINUTE_S,
    ) -> list[Bucket]:
        """Counts per `step_s` seconds (whole minutes) in order of time; empty buckets are left out."""
        if step_s <= 0 or step_s % MINUTE_S:
            raise ValueError(f"step_s={step_s} is not a number of whole minutes")
        seconds = self._seconds(rollups.c.minute)
        query = (
            select((seconds - seconds % step_s).label("bucket"), *_sums())
            .where(_in_range(topic, start, end))
            .group_by("bucket")
            .having(func.sum(rollups.c.posts) > 0)
            .order_by("bucket")
        )
        return [Bucket(datetime.fromtimestamp(row["bucket"], UTC), _counts(row)) for row in self._rows(query)]

    def flagged(
        self,
        topic: str = ALL_TOPICS,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 12,
    ) -> list[FlaggedPost]:
        """Flagged posts, the newest first."""
        query = select(posts).where(posts.c.flagged, ~posts.c.deleted)
        if start is not None:
            query = query.where(posts.c.created_at >= start)
        if end is not None:
            query = query.where(posts.c.created_at < end)
        if topic != ALL_TOPICS:
            query = query.where(self._has_topic(topic))
        newest = query.order_by(posts.c.created_at.desc(), posts.c.post_id).limit(limit)
        return [_flagged_post(row) for row in self._rows(newest)]

    def quotes(self, post_ids: Sequence[str]) -> list[Quote]:
        """Posts by id, in that order; those that are unknown or deleted are left out."""
        columns = (posts.c[name] for name in ("post_id", "text", "text_opinion", "image_opinion", "conflict"))
        query = select(*columns).where(posts.c.post_id.in_(post_ids), ~posts.c.deleted)
        found = {row["post_id"]: _quote(row) for row in self._rows(query)}
        return [found[post_id] for post_id in post_ids if post_id in found]

    def alerts(
        self, topic: str | None = None, limit: int = 100, start: datetime | None = None
    ) -> list[Alert]:
        """Alerts at their last revision, the newest first; `topic` None = of every topic.

        With `start`, those whose window reaches beyond it: one raised before may still be growing.
        """
        query = select(alerts).order_by(alerts.c.created_at.desc(), alerts.c.alert_id).limit(limit)
        if topic is not None:
            query = query.where(alerts.c.topic == topic)
        if start is not None:
            query = query.where(alerts.c.window_end > start)
        rows = self._rows(query)
        named = self._alert_posts([row["alert_id"] for row in rows])
        return [_alert(row, tuple(named.get(row["alert_id"], ()))) for row in rows]

    def unscored_languages(
        self, topic: str = ALL_TOPICS, start: datetime | None = None, end: datetime | None = None
    ) -> dict[str, int]:
        """How many posts went unscored, by the language they name (`und` = none), most first."""
        unscored = func.sum(rollups.c.unscored)
        query = (
            select(rollups.c.lang, unscored.label("unscored"))
            .where(_in_range(topic, start, end))
            .group_by(rollups.c.lang)
            .having(unscored > 0)
            .order_by(unscored.desc(), rollups.c.lang)
        )
        return {row["lang"]: int(row["unscored"]) for row in self._rows(query)}

    def freshness(self) -> Freshness:
        """How new what we show is."""
        partitions = tuple(
            PartitionProgress(row["partition"], row["next_offset"], row["updated_at"])
            for row in self._rows(select(progress).order_by(progress.c.partition))
        )
        newest = self._rows(select(func.max(posts.c.created_at).label("at")))[0]["at"]
        watermark = self._rows(select(detector.c.watermark))
        return Freshness(
            newest_post_at=newest,
            written_at=max((entry.updated_at for entry in partitions), default=None),
            watermark=watermark[0]["watermark"] if watermark else None,
            progress=partitions,
        )

    def _alert_posts(self, alert_ids: Sequence[str]) -> dict[str, list[str]]:
        of_alert = alert_posts.c.alert_id
        rank = func.row_number().over(
            partition_by=of_alert, order_by=(alert_posts.c.conflict.desc(), alert_posts.c.post_id)
        )
        ranked = select(alert_posts, rank.label("rank")).where(of_alert.in_(alert_ids)).subquery()
        query = select(ranked).where(ranked.c.rank <= MAX_ALERT_POSTS)
        named: dict[str, list[str]] = {}
        for row in self._rows(query.order_by(ranked.c.alert_id, ranked.c.rank)):
            named.setdefault(row["alert_id"], []).append(row["post_id"])
        return named

    def _seconds(self, column: ColumnElement[datetime]) -> ColumnElement[int]:
        """Seconds since 1970 of a UTC time."""
        if self._engine.dialect.name == "sqlite":
            return cast(func.strftime("%s", column), BigInteger)
        return cast(extract("epoch", column), BigInteger)

    def _has_topic(self, topic: str) -> ColumnElement[bool]:
        sqlite = self._engine.dialect.name == "sqlite"
        unnest = func.json_each if sqlite else func.json_array_elements_text
        values = unnest(posts.c.topics).table_valued("value")
        return select(values.c.value).where(values.c.value == topic).exists()

    def _rows(self, query: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
        with self._connection() as connection:
            return connection.execute(query).mappings().all()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if self._file is not None and not self._file.exists():  # connecting would create an empty one
            self._schema_is_ours = False
            self._engine.dispose()
            raise SetupError("there is no database yet; run: mmsent db upgrade")
        with schema.database_errors(), self._engine.connect() as connection:
            if self._file is not None:
                connection.exec_driver_sql("PRAGMA query_only=ON")
            if not self._schema_is_ours:
                schema.require_head(schema.current_revision(connection))
                self._schema_is_ours = True
            yield connection


def _in_range(topic: str, start: datetime | None, end: datetime | None) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = rollups.c.topic == topic
    if start is not None:
        condition &= rollups.c.minute >= start
    if end is not None:
        condition &= rollups.c.minute < end
    return condition


def _sums() -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(rollups.c[name]), 0).label(name) for name in Counts.__annotations__]


def _counts(row: RowMapping) -> Counts:
    return Counts(**{name: int(row[name]) for name in Counts.__annotations__})


def _flagged_post(row: RowMapping) -> FlaggedPost:
    return FlaggedPost(
        post_id=row["post_id"],
        source=row["source"],
        created_at=row["created_at"],
        text=row["text"] or "",
        sensitive=bool(row["sensitive"]),
        topics=tuple(row["topics"] or ()),
        text_opinion=Opinion.model_validate(row["text_opinion"]),
        image_opinion=Opinion.model_validate(row["image_opinion"]),
        conflict=row["conflict"],
        thumbnail=row["thumbnail"],
    )


def _quote(row: RowMapping) -> Quote:
    return Quote(
        post_id=row["post_id"],
        text=row["text"] or "",
        text_opinion=_opinion(row["text_opinion"]),
        image_opinion=_opinion(row["image_opinion"]),
        conflict=row["conflict"],
    )


def _opinion(value: Any) -> Opinion | None:
    return None if value is None else Opinion.model_validate(value)


def _alert(row: RowMapping, post_ids: tuple[str, ...]) -> Alert:
    return Alert(
        alert_id=row["alert_id"],
        revision=row["revision"],
        kind=row["kind"],
        severity=row["severity"],
        created_at=row["created_at"],
        topic=row["topic"],
        title=row["title"],
        count=row["count"],
        window=Window(start=row["window_start"], end=row["window_end"]),
        why=row["why"],
        posts=post_ids,
        state=row["state"],
    )
