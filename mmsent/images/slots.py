"""How many may be at it at once, and how long the others wait for their turn."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mmsent.errors import ImageError

LONGEST_WAIT = 6  # times the patience


class Slots:
    """Lets `capacity` in at once; the others wait in the order they came.

    Nobody waits for ever, and nobody is sent away while things move: whoever waits gives up `patience_s`
    after the last one came out by itself (rather than by a time-out), and after six times that in any case.
    """

    def __init__(self, capacity: int, *, patience_s: float) -> None:
        self.users = 0  # who hold or await one, where somebody counts them
        self._free = capacity
        self._patience_s = patience_s
        self._queue: deque[asyncio.Future[None]] = deque()
        self._moved_at = float("-inf")

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold one of the slots.

        Raises:
            ImageError: `timeout` if none became free.
        """
        await self._enter()
        try:
            yield
        except Exception:
            self._moved_at = asyncio.get_running_loop().time()
            raise
        else:
            self._moved_at = asyncio.get_running_loop().time()
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await self._wait(turn)
        except BaseException:
            if not turn.cancel():
                self._leave()
            raise

    async def _wait(self, turn: asyncio.Future[None]) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        while not turn.done():
            give_up_at = max(started, self._moved_at) + self._patience_s
            left = min(give_up_at, started + LONGEST_WAIT * self._patience_s) - clock()
            if left <= 0:
                raise ImageError("timeout", "no slot became free")
            await asyncio.wait({turn}, timeout=left)

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class SlotsByName:
    """`Slots` for each name, kept only while somebody holds or awaits one."""

    def __init__(self, capacity: int, *, patience_s: float) -> None:
        self._capacity = capacity
        self._patience_s = patience_s
        self._slots: dict[str, Slots] = {}

    @asynccontextmanager
    async def one(self, name: str) -> AsyncIterator[None]:
        """Hold one of `name`'s slots; raises as `Slots.one`."""
        if name not in self._slots:
            self._slots[name] = Slots(self._capacity, patience_s=self._patience_s)
        slots = self._slots[name]
        slots.users += 1
        try:
            async with slots.one():
                yield
        finally:
            slots.users -= 1
            if not slots.users:
                del self._slots[name]
