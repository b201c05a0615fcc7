from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsent.trends import Watermark, floor_minute, window_bounds, window_index

START = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)
LATENESS = timedelta(seconds=90)
SECOND = timedelta(seconds=1)


def minute(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-20T{text}:00+00:00")


def observed(ends: dict[int, int], at: datetime = START) -> Watermark:
    watermark = Watermark(LATENESS)
    watermark.observe(at, ends, {})
    return watermark


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 10**6))
def test_a_window_holds_its_time(time: datetime, seconds: int) -> None:
    length = timedelta(seconds=seconds)
    start, end = window_bounds(window_index(time, length), length)
    assert start <= time
    assert time < end or end == datetime.max.replace(tzinfo=UTC)
    assert end - start <= length


def test_minutes() -> None:
    assert floor_minute(START) == minute("12:00")


def test_minutes_that_ended_before_the_lateness_are_complete_once_all_is_read() -> None:
    watermark = observed({0: 10, 1: 20})
    assert not watermark.advance({0: 10, 1: 19})
    assert watermark.value is None
    assert watermark.advance({0: 10, 1: 20})
    assert watermark.value == minute("11:59")


def test_an_empty_partition_holds_nothing_back() -> None:
    assert observed({0: 5, 1: 0}).advance({0: 5})


def test_a_partition_nobody_has_read_holds_everything_back() -> None:
    assert not observed({0: 5, 1: 1}).advance({0: 5})


def test_the_goal_stands_still_under_load() -> None:
    watermark = observed({0: 10})
    watermark.observe(START + 60 * SECOND, {0: 1000}, {})
    assert not watermark.wants_snapshot(START + 60 * SECOND)
    assert watermark.advance({0: 500})
    assert watermark.value == minute("11:59")
    watermark.observe(START + 120 * SECOND, {0: 1000}, {0: 500})
    assert not watermark.advance({0: 999})


def test_a_broker_that_knows_no_partition_tells_nothing() -> None:
    watermark = observed({})
    assert not watermark.advance({})
    assert watermark.value is None


def test_progress_of_an_earlier_topic_tells_nothing() -> None:
    watermark = Watermark(LATENESS)
    watermark.observe(START, {0: 10}, {0: 5000})
    assert not watermark.advance({0: 5000})
    watermark.observe(START, {0: 10}, {0: 3})
    assert watermark.advance({0: 10})


def test_nobody_asks_the_broker_before_a_minute_more_can_be_complete() -> None:
    watermark = observed({0: 0})
    assert watermark.advance({})
    assert not watermark.wants_snapshot(START + 29 * SECOND)
    assert watermark.wants_snapshot(START + 60 * SECOND)


def test_a_clock_set_back_moves_nothing_back() -> None:
    watermark = observed({0: 0})
    watermark.advance({})
    watermark.observe(START - timedelta(hours=1), {0: 0}, {})
    assert not watermark.advance({})
    assert watermark.value == minute("11:59")


@pytest.mark.parametrize(("found", "moved"), [("11:58", False), ("11:59", False), ("12:05", True)])
def test_what_others_found_counts_if_it_is_later(found: str, moved: bool) -> None:
    watermark = Watermark(LATENESS, minute("11:59"))
    assert watermark.adopt(minute(found)) is moved
    assert watermark.value == max(minute(found), minute("11:59"))


events = st.lists(st.tuples(st.integers(-100, 200), st.integers(0, 20), st.integers(0, 20)), max_size=40)


@given(events)
def test_it_never_falls(seen: list[tuple[int, int, int]]) -> None:
    watermark, at, before = Watermark(LATENESS), START, None
    for step, end, progress in seen:
        at += step * SECOND
        watermark.observe(at, {0: end}, {})
        watermark.advance({0: progress})
        assert before is None or (watermark.value is not None and watermark.value >= before)
        before = watermark.value
