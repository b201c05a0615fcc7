"""Lowest unfinished offset and stalled partitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsent.offsets import OffsetTracker, StallWatch


def started(position: int, *offsets: int) -> OffsetTracker:
    tracker = OffsetTracker(position)
    for offset in offsets:
        tracker.start(offset)
    return tracker


def test_nothing_started_stays_at_the_position() -> None:
    assert OffsetTracker(7).next_offset == 7


def test_lowest_unfinished_holds_back_what_is_above() -> None:
    tracker = started(0, 0, 1, 2)
    tracker.finish(1)
    tracker.finish(2)
    assert (tracker.next_offset, tracker.unfinished) == (0, 1)
    tracker.finish(0)
    assert (tracker.next_offset, tracker.unfinished) == (3, 0)


def test_gaps_count_as_finished() -> None:
    tracker = started(3, 5, 9)
    assert tracker.next_offset == 5
    tracker.finish(5)
    assert tracker.next_offset == 9
    tracker.finish(9)
    tracker.reach(12)
    assert tracker.next_offset == 12
    tracker.reach(4)
    assert tracker.next_offset == 12


def test_a_gap_after_work_in_hand_changes_nothing_yet() -> None:
    tracker = started(0, 0)
    tracker.reach(5)
    assert tracker.next_offset == 0
    tracker.finish(0)
    assert tracker.next_offset == 5


def test_rewinding_is_refused() -> None:
    tracker = started(0, 0, 1)
    with pytest.raises(ValueError, match="offset 1 after 1"):
        tracker.start(1)


@given(
    offsets=st.lists(st.integers(0, 1000), unique=True, min_size=1).map(sorted),
    data=st.data(),
)
def test_never_past_an_unfinished_offset(offsets: list[int], data: st.DataObject) -> None:
    tracker = started(0, *offsets)
    order = data.draw(st.permutations(offsets))
    cut = data.draw(st.integers(0, len(order)))
    foreseen = tracker.next_offset_if_finished(set(order[:cut]))
    for offset in order[:cut]:
        tracker.finish(offset)
        tracker.finish(offset)
    left = order[cut:]
    assert tracker.next_offset == (min(left) if left else offsets[-1] + 1)
    assert foreseen == tracker.next_offset
    assert tracker.unfinished == len(left)


def test_the_partition_that_has_waited_longest_is_named() -> None:
    watch = StallWatch()
    assert watch.longest == (-1, 0)
    watch.observe(0, 5, lag=1, excused=False, now=0)
    watch.observe(1, 5, lag=1, excused=False, now=2)
    for partition in (0, 1):
        watch.observe(partition, 5, lag=1, excused=False, now=10)
    assert watch.longest == (0, 10)
    watch.observe(0, 6, lag=1, excused=False, now=11)
    assert watch.longest == (1, 8)


def waited(watch: StallWatch, next_offset: int, now: float, *, lag: int = 1, excused: bool = False) -> float:
    watch.observe(0, next_offset, lag=lag, excused=excused, now=now)
    return watch.longest[1]


def test_movement_and_no_lag_restart_the_clock() -> None:
    watch = StallWatch()
    assert waited(watch, 5, 0) == 0
    assert waited(watch, 6, 9) == 0
    assert waited(watch, 6, 18) == 9
    assert waited(watch, 6, 18.5, lag=0) == 0
    assert waited(watch, 6, 28, lag=3) == 9.5


def test_the_clock_stands_still_while_excused() -> None:
    watch = StallWatch()
    waited(watch, 5, 0)
    assert waited(watch, 5, 6) == 6
    assert waited(watch, 5, 1000, excused=True) == 6
    assert waited(watch, 5, 1004) == 10


def test_a_forgotten_partition_starts_afresh() -> None:
    watch = StallWatch()
    waited(watch, 5, 0)
    watch.forget(0)
    assert waited(watch, 5, 50) == 0
