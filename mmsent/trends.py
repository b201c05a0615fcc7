"""Arithmetic of minutes and windows, and which minutes are complete. Pure: times come as arguments."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def window_index(time: datetime, length: timedelta) -> int:
    """Which window of `length` holds `time`, counted from 1970-01-01 UTC; negative before."""
    return (time - EPOCH) // length


def window_bounds(index: int, length: timedelta) -> tuple[datetime, datetime]:
    """Start and end (excluded) of a window, cut to what a datetime can hold."""
    first, last = (_EARLIEST - EPOCH) // length, (_LATEST - EPOCH) // length
    start = EPOCH + index * length if index > first else _EARLIEST
    end = EPOCH + (index + 1) * length if index < last else _LATEST
    return start, end


def floor_minute(time: datetime) -> datetime:
    """The minute that `time` lies in, by its start."""
    return window_bounds(window_index(time, MINUTE), MINUTE)[0]


class Watermark:
    """Up to when every minute is complete.

    `observe` holds the broker's end offsets E as they stood at some time t. Once each partition's progress
    has reached its E, everything that was sent by t is in the database, so that all minutes that end by
    t − lateness are complete. The snapshot is held until then: taking newer ones under steady load would
    put the goal off for ever. What posts say about their own time plays no part.
    """

    def __init__(self, lateness: timedelta, value: datetime | None = None) -> None:
        self._lateness = lateness
        self._snapshot: tuple[datetime, dict[int, int]] | None = None
        self.value = value

    def _complete_by(self, taken_at: datetime) -> datetime:
        return floor_minute(taken_at - self._lateness)

    @property
    def waiting(self) -> bool:
        """Whether a snapshot is held that progress has not reached yet."""
        return self._snapshot is not None

    def wants_snapshot(self, at: datetime) -> bool:
        """Whether end offsets read at `at` could move the watermark; false while a snapshot is held."""
        return not self.waiting and (self.value is None or self._complete_by(at) > self.value)

    def observe(self, taken_at: datetime, ends: Mapping[int, int], progress: Mapping[int, int]) -> None:
        """Hold `ends`, offset by partition, read at or after `taken_at`, unless they tell nothing.

        So they do where the broker knows no partition, and where `progress`, read before them, is already
        beyond them: it is of an earlier topic of that name, until a worker has taken the partition over.
        """
        foreign = any(progress.get(partition, 0) > end for partition, end in ends.items())
        if ends and not foreign and self.wants_snapshot(taken_at):
            self._snapshot = (taken_at, dict(ends))

    def advance(self, progress: Mapping[int, int]) -> bool:
        """Whether `progress` (next offset by partition, a missing one counts as 0) moved the watermark."""
        if self._snapshot is None:
            return False
        taken_at, ends = self._snapshot
        if any(progress.get(partition, 0) < end for partition, end in ends.items()):
            return False
        self._snapshot = None
        return self.adopt(self._complete_by(taken_at))

    def adopt(self, value: datetime | None) -> bool:
        """Take over what another detector found, if it is later; whether it was."""
        if value is None or (self.value is not None and value <= self.value):
            return False
        self.value = value
        return True
