"""What of Kafka's partitions is in this worker's hands."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from mmsent.broker import Record
from mmsent.offsets import OffsetTracker
from mmsent.store.writes import Item
from worker.dead_letters import Failure


@dataclass(eq=False)
class Partition:
    """One assignment of one partition; another assignment of it is another object.

    That is the fence: what was begun under one assignment is never finished under the next.
    """

    number: int
    tracker: OffsetTracker | None = None  # None until its position is known
    adopted: bool = False  # its progress in the database starts at our position
    stored: int = -1  # next_offset in the database
    committed: int = -1  # next_offset that we have committed; the first time too, lest a loss there go unseen
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def located(self, position: int) -> None:
        self.tracker = OffsetTracker(position)

    @property
    def in_hand(self) -> int:
        return self.tracker.unfinished if self.tracker else 0


@dataclass(eq=False)
class Finished:
    """A record that went through steps 1–4: it is to be written, or to be buried."""

    partition: Partition
    record: Record
    item: Item | None = None
    failure: Failure | None = None
    buried: bool = False

    def fail(self, failure: Failure) -> None:
        self.item, self.failure = None, failure


class Partitions:
    """The current assignment."""

    def __init__(self) -> None:
        self._current: dict[int, Partition] = {}

    def __iter__(self) -> Iterator[Partition]:
        return iter(list(self._current.values()))

    def __len__(self) -> int:
        return len(self._current)

    @property
    def in_hand(self) -> int:
        """Records started and not finished."""
        return sum(partition.in_hand for partition in self._current.values())

    @property
    def adopted(self) -> bool:
        return all(partition.adopted for partition in self._current.values())

    def get(self, number: int) -> Partition | None:
        return self._current.get(number)

    def owns(self, partition: Partition) -> bool:
        """Whether this very assignment is still ours."""
        return self._current.get(partition.number) is partition

    def assign(self, numbers: Collection[int]) -> list[Partition]:
        fresh = [Partition(number) for number in sorted(numbers)]
        for partition in fresh:
            self.drop(partition.number)
            self._current[partition.number] = partition
        return fresh

    def drop(self, number: int) -> None:
        """Give a partition up: its unfinished work is cancelled, the rest is fenced."""
        dropped = self._current.pop(number, None)
        for task in list(dropped.tasks) if dropped else ():
            task.cancel()
