"""Putting messages on `posts`: when due, and never far ahead of the workers where the broker forgets."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count

from mmsent.broker import Message
from mmsent.errors import BrokerUnavailableError
from mmsent.posts import DeletePost, ForgetAuthor, Post

CHUNK = 256  # messages sent before the clock and the room are looked at again
RECORD_OVERHEAD_BYTES = 100  # of a record in Kafka's format beside key and value, rounded up
SEND_ATTEMPTS = 3
LONGEST_PAUSE_S = 5.0  # between attempts
LOOK_S = 0.02  # while nothing is due

Offsets = Mapping[int, int]
Timed = tuple[float, Post | DeletePost | ForgetAuthor]  # seconds after the start when it is due, message


def at_rate(messages: Iterable[Post | DeletePost | ForgetAuthor], rate: float) -> Iterator[Timed]:
    """`messages`, evenly, so many a second; 0 = all are due at once."""
    for number, message in enumerate(messages):
        yield number / rate if rate else 0.0, message


class Room:
    """How many bytes stand on `posts` that no worker has committed, and how many may.

    `ends` and `committed` ask the broker for the next offset of each partition.
    """

    def __init__(
        self,
        max_bytes: int,
        ends: Callable[[], Awaitable[Offsets]],
        committed: Callable[[], Awaitable[Offsets]],
    ) -> None:
        self.max_bytes = max_bytes
        self.bytes_ahead = 0
        self._ends = ends
        self._committed = committed
        self._waiting: deque[tuple[Offsets, int]] = deque()

    async def published(self, size: int) -> None:
        """`size` bytes were put there since the last call."""
        self._waiting.append((await self._ends(), size))
        self.bytes_ahead += size

    async def look(self) -> None:
        """Forget what is committed, once half of the room is taken."""
        if self.bytes_ahead <= self.max_bytes // 2:
            return
        committed = await self._committed()
        while self._waiting and _reached(committed, self._waiting[0][0]):
            self.bytes_ahead -= self._waiting.popleft()[1]

    def fits(self, size: int) -> bool:
        """Whether `size` more bytes may go."""
        return self.bytes_ahead + size <= self.max_bytes


class Ingester:
    """Sends messages in order, each when it is due; `sent` counts those that the broker has acknowledged."""

    def __init__(
        self,
        send_all: Callable[[Sequence[Message]], Awaitable[None]],
        *,
        room: Room | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_absence: Callable[[BrokerUnavailableError], object] | None = None,
    ) -> None:
        """`clock` tells seconds; what was due before a run starts is sent as fast as there is room.

        With `on_absence` a broker that is gone is waited for: it hears of each absence once.
        """
        self.sent = 0
        self._send_all = send_all
        self._room = room
        self._clock = clock
        self._on_absence = on_absence
        self._stopping = False

    def stop(self) -> None:
        """Let `run` return after what it is sending."""
        self._stopping = True

    async def run(self, messages: Iterable[Timed]) -> None:
        """Send them all, or those until `stop` is called, then return.

        Raises:
            BrokerUnavailableError: Kafka stayed away; says how many were sent.
            InputError: from `messages`.
        """
        started, records = self._clock(), ((due_s, record_of(message)) for due_s, message in messages)
        waiting: deque[tuple[float, Message]] = deque()
        while not self._stopping:
            now_s = self._clock() - started
            _fill(waiting, records, now_s)
            if not waiting:
                return
            chunk = self._take(waiting, now_s)
            if chunk:
                await self._send(chunk)
            await asyncio.sleep(0 if chunk else LOOK_S)
            if self._room is not None:
                await self._room.look()

    def _take(self, waiting: deque[tuple[float, Message]], now_s: float) -> list[Message]:
        """The next messages that are due and for which there is room; into an empty room one always goes."""
        chunk: list[Message] = []
        size = 0
        while waiting and waiting[0][0] <= now_s:
            size += size_of(waiting[0][1])
            room = self._room
            if room is not None and not room.fits(size) and (chunk or room.bytes_ahead):
                break
            chunk.append(waiting.popleft()[1])
        return chunk

    async def _send(self, chunk: list[Message]) -> None:
        for attempt in count(1):
            try:
                await self._send_all(chunk)
                break
            except BrokerUnavailableError as error:
                if attempt >= SEND_ATTEMPTS and (self._stopping or self._on_absence is None):
                    raise BrokerUnavailableError(f"after {self.sent} posts: {error}") from error
                if attempt == SEND_ATTEMPTS and self._on_absence:
                    self._on_absence(error)
                await asyncio.sleep(min(attempt, LONGEST_PAUSE_S))
        self.sent += len(chunk)
        if self._room is not None:
            await self._room.published(sum(map(size_of, chunk)))


def _fill(
    waiting: deque[tuple[float, Message]], records: Iterator[tuple[float, Message]], now_s: float
) -> None:
    """Take what is due, and the one after it; no more, for records are made as they are taken."""
    while len(waiting) < CHUNK and (not waiting or waiting[-1][0] <= now_s):
        record = next(records, None)
        if record is None:
            return
        waiting.append(record)


def _reached(committed: Offsets, ends: Offsets) -> bool:
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())


def record_of(message: Post | DeletePost | ForgetAuthor) -> Message:
    """The message as a record of `posts`; versions of one post share a key, and so stay in order."""
    key = message.author if isinstance(message, ForgetAuthor) else message.post_id
    return Message(key.encode(), message.to_json())


def size_of(record: Message) -> int:
    """Bytes that a record takes on the broker, at most."""
    return record.size + RECORD_OVERHEAD_BYTES
