"""What the pages show, read in one go and shared by all viewers for a moment."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import streamlit as st

from mmsent.errors import LiveUnavailableError, MmsentError, StoreUnavailableError
from mmsent.live import Heartbeat, LiveReader
from mmsent.posts import Alert
from mmsent.store.reads import ALL_TOPICS, Bucket, Counts, FlaggedPost, Freshness, Reader

CACHE_S = 2.0
MAX_FLAGGED = 12
MAX_ALERTS = 50  # on the charts
MAX_BUCKETS = 120
# Lengths that divide an hour or a day, so that buckets begin where people expect them.
STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
ALL_TIME = "all"
PERIODS: dict[str, timedelta | None] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    ALL_TIME: None,
}


@dataclass(frozen=True)
class Comparison:
    """Two stretches of complete minutes, as long as the period and next to each other."""

    recent: Counts
    before: Counts


@dataclass(frozen=True)
class LiveView:
    """One topic over one period."""

    start: datetime
    end: datetime
    step_s: int
    buckets: list[Bucket]
    totals: Counts
    comparison: Comparison | None
    languages: dict[str, int]
    flagged: list[FlaggedPost]
    alerts: list[Alert]
    freshness: Freshness
    read_at: datetime


@dataclass(frozen=True)
class Problem:
    """Why there is nothing to show, and what to do."""

    title: str
    detail: str
    command: str | None = None


NO_POSTS = Problem(
    title="No posts yet",
    detail="The database waits for a worker to write the first post. Made-up posts come with the demo.",
    command="mmsent demo",
)


def as_problem(error: MmsentError) -> Problem:
    """An error in a viewer's words; what to run is split off from `…; run: <command>`."""
    if isinstance(error, StoreUnavailableError):
        detail = str(error).removeprefix("the database does not answer: ")
        return Problem("The database does not answer", detail, "mmsent doctor")
    detail, _, command = str(error).partition("; run: ")
    return Problem("The dashboard is not set up", detail, command or None)


def step_seconds(start: datetime, end: datetime) -> int:
    """The finest bucket that cuts the range into at most `MAX_BUCKETS`; whole days beyond the ladder."""
    seconds = (end - start).total_seconds()
    fitting = (step for step in STEPS_S if seconds <= step * MAX_BUCKETS)
    return next(fitting, STEPS_S[-1] * -(-int(seconds) // (STEPS_S[-1] * MAX_BUCKETS)))


def period_bounds(
    period: str, span: tuple[datetime, datetime], now: datetime
) -> tuple[datetime, datetime, int]:
    """(start, end, step in seconds), both on a bucket's edge; a period ends with the running minute."""
    length = PERIODS[period]
    start = span[0] if length is None else now - length
    last = span[1] if length is None else now
    step_s = step_seconds(start, last)
    end = _floor(last, step_s) + timedelta(seconds=step_s)
    return (_floor(start, step_s) if length is None else end - length), end, step_s


def _floor(time: datetime, step_s: int) -> datetime:
    return datetime.fromtimestamp(time.timestamp() // step_s * step_s, UTC)


@st.cache_resource(show_spinner=False, max_entries=4, on_release=Reader.close)
def reader(database_url: str) -> Reader:
    return Reader(database_url)


@st.cache_resource(show_spinner=False, max_entries=4, on_release=LiveReader.close)
def live_reader(redis_url: str, timeout_s: float) -> LiveReader:
    return LiveReader(redis_url, timeout_s)


def topics(database_url: str) -> list[str]:
    """`all` and the tracked topics."""
    return [ALL_TOPICS, *reader(database_url).topics()]


@st.cache_data(show_spinner=False, ttl=CACHE_S, max_entries=4)
def workers(redis_url: str, timeout_s: float) -> list[Heartbeat] | None:
    """The workers that live now; None while Redis does not say, which nothing else depends on."""
    try:
        return live_reader(redis_url, timeout_s).workers()
    except LiveUnavailableError:
        return None


@st.cache_data(show_spinner=False, ttl=CACHE_S, max_entries=100)
def live_view(database_url: str, topic: str, period: str) -> LiveView | None:
    """What the page Live shows now; None while the database holds no post at all."""
    return read_live_view(reader(database_url), topic, period, datetime.now(UTC))


def read_live_view(store: Reader, topic: str, period: str, now: datetime) -> LiveView | None:
    """`live_view` without the cache."""
    if store.is_empty():
        return None
    start, end, step_s = period_bounds(period, store.span(topic) or (now, now), now)
    freshness = store.freshness()
    return LiveView(
        start=start,
        end=end,
        step_s=step_s,
        buckets=store.sentiment(topic, start, end, step_s),
        totals=store.totals(topic, start, end),
        comparison=_compare(store, topic, end - start, start, freshness.watermark)
        if period != ALL_TIME
        else None,
        languages=store.unscored_languages(topic, start, end),
        flagged=store.flagged(topic, start, end, MAX_FLAGGED),
        alerts=store.alerts(None if topic == ALL_TOPICS else topic, MAX_ALERTS, start),
        freshness=freshness,
        read_at=now,
    )


def _compare(
    store: Reader, topic: str, length: timedelta, start: datetime, watermark: datetime | None
) -> Comparison | None:
    """The last complete minutes and those before; None unless all of them were watched.

    A stream that began a while ago, or that lags, would else look like a rise or a fall.
    """
    watched = store.span()
    if watermark is None or watched is None:
        return None
    middle = _floor(watermark, 60) - length
    if watermark <= start or watched[0] > middle - length:
        return None
    return Comparison(
        recent=store.totals(topic, middle, middle + length),
        before=store.totals(topic, middle - length, middle),
    )
