"""Which offsets of a Kafka partition are finished, and whether a partition has stopped moving. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from operator import itemgetter


class OffsetTracker:
    """Records of one partition are started in order and finished in any order.

    Offsets may have gaps (compaction, transaction markers); a gap counts as finished.
    """

    def __init__(self, position: int) -> None:
        """`position`: the offset from which the partition is read."""
        self._end = position
        self._unfinished: dict[int, None] = {}  # in order, since records start in order

    @property
    def unfinished(self) -> int:
        """How many records are in hand."""
        return len(self._unfinished)

    @property
    def end(self) -> int:
        """One past the last offset that was started, or that is known to be a gap."""
        return self._end

    @property
    def next_offset(self) -> int:
        """The lowest unfinished offset, or `end`: what may be committed."""
        return next(iter(self._unfinished), self._end)

    def next_offset_if_finished(self, offsets: Collection[int]) -> int:
        """What `next_offset` will be once `offsets` are finished too."""
        return next((offset for offset in self._unfinished if offset not in offsets), self._end)

    def start(self, offset: int) -> None:
        """Take `offset` in hand.

        Raises:
            ValueError: it lies below `end`: the partition was rewound, its tracker must be a new one.
        """
        if offset < self._end:
            raise ValueError(f"offset {offset} after {self._end - 1}")
        self._unfinished[offset] = None
        self._end = offset + 1

    def finish(self, offset: int) -> None:
        """`offset` is stored or dead-lettered; finishing twice is harmless."""
        self._unfinished.pop(offset, None)

    def reach(self, position: int) -> None:
        """The consumer stands at `position`: everything below that was not started is a gap."""
        self._end = max(self._end, position)


@dataclass
class _Clock:
    next_offset: int
    seen_at: float
    waited_s: float = 0.0


class StallWatch:
    """How long each partition has had lag without moving, not counting the time it was excused."""

    def __init__(self) -> None:
        self._clocks: dict[int, _Clock] = {}

    @property
    def longest(self) -> tuple[int, float]:
        """The partition that has waited longest, and for how many seconds; (−1, 0) if there is none."""
        waits = ((partition, clock.waited_s) for partition, clock in self._clocks.items())
        return max(waits, key=itemgetter(1), default=(-1, 0.0))

    def observe(self, partition: int, next_offset: int, *, lag: int, excused: bool, now: float) -> None:
        """Note where the partition stands; `now` is monotonic seconds.

        While `excused` (paused on purpose, database down) the clock stands still.
        """
        clock = self._clocks.setdefault(partition, _Clock(next_offset, now))
        if next_offset != clock.next_offset or lag <= 0:
            clock.next_offset, clock.waited_s = next_offset, 0.0
        elif not excused:
            clock.waited_s += now - clock.seen_at
        clock.seen_at = now

    def forget(self, partition: int) -> None:
        """The partition is someone else's now."""
        self._clocks.pop(partition, None)
