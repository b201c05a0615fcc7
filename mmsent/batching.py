"""Dynamic batching: many callers with one post each, one engine that likes many posts at once.

There is no timer anywhere: a free engine takes what waits, so an idle machine answers at once and a busy one
batches by itself, since posts gather while it works.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mmsent.errors import EngineError

Item = TypeVar("Item")
Request = TypeVar("Request")
Result = TypeVar("Result")
Request_contra = TypeVar("Request_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True)
class RequestSize:
    """What a post costs the engine: tokens of its text (0 without text) and pictures (0 or 1)."""

    tokens: int
    images: int


class BatchEngine(Protocol[Request_contra, Result_co]):
    """What the batcher needs of an engine; `score` returns one result per request, in order."""

    def size(self, request: Request_contra, /) -> RequestSize: ...

    def score(self, requests: Sequence[Request_contra], /) -> Sequence[Result_co]: ...


class BatchWindow(Generic[Item]):
    """What waits for the engine, and which of it goes next. Pure: no clock, no threads.

    A batch is rectangular, so it costs (posts with text) × (tokens of the longest); that and its pictures are
    kept within budget. The one exception is an item that is over budget by itself: it goes alone.
    """

    def __init__(self, *, max_tokens: int, max_images: int) -> None:
        self._max_tokens = max_tokens
        self._max_images = max_images
        self._waiting: dict[Item, RequestSize] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._waiting)

    def add(self, item: Item, size: RequestSize) -> None:
        """Put `item` (hashable, not in the window yet) at the end."""
        self._waiting[item] = size

    def remove(self, item: Item) -> bool:
        """Take one item out; False if it is not there (any more)."""
        return self._waiting.pop(item, None) is not None

    def take(self) -> list[Item]:
        """The next batch, removed from the window; empty only if nothing waits.

        It holds the oldest item, so nobody starves, and then those nearest to it in length, so that little is
        padded.
        """
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None:
            return []
        near = sorted(self._waiting, key=lambda item: abs(self._waiting[item].tokens - oldest.tokens))
        batch = self._fitting(near)
        for item in batch:
            del self._waiting[item]
        return batch

    def _fitting(self, candidates: Sequence[Item]) -> list[Item]:
        batch: list[Item] = []
        longest = texts = images = 0
        for item in candidates:
            size = self._waiting[item]
            now_longest = max(longest, size.tokens)
            now_texts = texts + (size.tokens > 0)
            now_images = images + size.images
            fits = now_longest * now_texts <= self._max_tokens and now_images <= self._max_images
            if fits or not batch:
                batch.append(item)
                longest, texts, images = now_longest, now_texts, now_images
        return batch


def score_or_split(
    engine: BatchEngine[Request, Result], requests: Sequence[Request]
) -> list[Result | EngineError]:
    """One outcome per request, in order. A batch that fails is halved until the culprits stand alone.

    Never raises, whatever the engine does: the loop that feeds it must outlive any one post.
    """
    outcomes = _attempt(engine, requests)
    if not isinstance(outcomes, EngineError):
        return outcomes
    if len(requests) == 1:
        return [outcomes]
    half = len(requests) // 2
    return score_or_split(engine, requests[:half]) + score_or_split(engine, requests[half:])


def _attempt(
    engine: BatchEngine[Request, Result], requests: Sequence[Request]
) -> list[Result | EngineError] | EngineError:
    try:
        results = engine.score(requests)
        if len(results) == len(requests):
            return list(results)
        return EngineError(f"the engine gave {len(results)} results for {len(requests)} posts")
    except BaseException as error:  # noqa: BLE001  boundary to foreign code: even SystemExit is one post's failure
        return _as_engine_error(error)


def _as_engine_error(error: BaseException) -> EngineError:
    if isinstance(error, EngineError):
        return error
    wrapped = EngineError(f"the engine failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


@dataclass
class BatchStats:
    """Counters since the start. `waited_s` sums over posts the time before their batch began."""

    batches: int = 0
    posts: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    largest_batch: int = 0
    busy_s: float = 0.0
    waited_s: float = 0.0


class EngineThread(Generic[Request, Result]):
    """The one thread in which the engine runs (prepare → forward → decode), and what it has done."""

    def __init__(
        self, engine: BatchEngine[Request, Result], *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.stats = BatchStats()
        self._engine = engine
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def run(self, requests: Sequence[Request]) -> list[Result | EngineError]:
        """One outcome per request, in order; a batch that fails is split (`score_or_split`)."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, requests)

    def _run(self, requests: Sequence[Request]) -> list[Result | EngineError]:
        started = self._clock()
        outcomes = score_or_split(self._engine, requests)
        self._count(outcomes, self._clock() - started)
        return outcomes

    def _count(self, outcomes: Sequence[Result | EngineError], seconds: float) -> None:
        failed = sum(isinstance(outcome, EngineError) for outcome in outcomes)
        stats = self.stats
        stats.batches += 1
        stats.posts += len(outcomes)
        stats.failed += failed
        stats.failed_in_a_row = stats.failed_in_a_row + failed if failed == len(outcomes) else 0
        stats.largest_batch = max(stats.largest_batch, len(outcomes))
        stats.busy_s += seconds

    async def close(self) -> None:
        """Wait for the batch in hand and end the thread."""
        await asyncio.to_thread(self._thread.shutdown)


@dataclass(eq=False)
class _Seat(Generic[Request, Result]):
    request: Request
    size: RequestSize
    since: float
    outcome: "asyncio.Future[Result]"

    def resolve(self, outcome: Result | EngineError) -> None:
        if self.outcome.done():
            return
        if isinstance(outcome, EngineError):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class MicroBatcher(Generic[Request, Result]):
    """Turns single posts into batches. Everything but the engine's own work happens on the event loop.

    At most `max_waiting` posts are looked over for the next batch; callers beyond that queue in order before
    the window, so `score` is the back-pressure: it returns when the post is scored, not before.
    """

    def __init__(
        self,
        engine: BatchEngine[Request, Result],
        *,
        max_tokens: int,
        max_images: int,
        max_waiting: int,
    ) -> None:
        self._engine = engine
        self._max_waiting = max_waiting
        self._window = BatchWindow[_Seat[Request, Result]](max_tokens=max_tokens, max_images=max_images)
        self._outside: dict[_Seat[Request, Result], None] = {}
        self._thread = EngineThread(engine)
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def stats(self) -> BatchStats:
        """Counters since the start."""
        return self._thread.stats

    @property
    def waiting(self) -> int:
        """Posts that wait for the engine now."""
        return len(self._window) + len(self._outside)

    def start(self) -> None:
        """Begin to batch; needs a running event loop."""
        self._runner = asyncio.get_running_loop().create_task(self._run(), name="micro-batcher")

    async def score(self, request: Request) -> Result:
        """The engine's result for one post.

        Raises:
            EngineError: this post cannot be scored; it is never the error of another post in its batch.
            asyncio.CancelledError: also when the batcher is closed first.
        """
        if self._closed or self._runner is None or self._runner.done():
            raise RuntimeError("the batcher is not running: score() before start() or after close()")
        seat = self._seat(request)
        self._outside[seat] = None
        self._admit()
        try:
            return await seat.outcome
        finally:
            self._leave(seat)

    def _seat(self, request: Request) -> _Seat[Request, Result]:
        loop = asyncio.get_running_loop()
        try:
            size = self._engine.size(request)
        except Exception as error:
            raise _as_engine_error(error) from error
        return _Seat(request, size, loop.time(), loop.create_future())

    def _admit(self) -> None:
        while self._outside and len(self._window) < self._max_waiting:
            seat = next(iter(self._outside))
            del self._outside[seat]
            self._window.add(seat, seat.size)
            self._arrived.set()

    def _leave(self, seat: _Seat[Request, Result]) -> None:
        self._outside.pop(seat, None)
        if self._window.remove(seat):
            self._admit()

    async def _run(self) -> None:
        try:
            while not self._closed:
                await self._arrived.wait()
                await self._run_batch()
        finally:
            self._cancel_waiting()

    async def _run_batch(self) -> None:
        seats = self._window.take()
        self._admit()
        if not len(self._window):
            self._arrived.clear()
        now = asyncio.get_running_loop().time()
        self.stats.waited_s += sum(now - seat.since for seat in seats)
        try:
            outcomes = await self._thread.run([seat.request for seat in seats]) if seats else []
            for seat, outcome in zip(seats, outcomes, strict=True):
                seat.resolve(outcome)
        finally:
            for seat in seats:
                seat.outcome.cancel()

    def _cancel_waiting(self) -> None:
        waiting = [*self._window, *self._outside]
        self._outside.clear()
        for seat in waiting:
            self._window.remove(seat)
            seat.outcome.cancel()

    async def close(self) -> None:
        """Cancel what waits, let the batch in hand finish, end the thread. Closing twice is harmless.

        Cancelled, not failed: a post that was not scored because we leave must come again, not go to the dead
        letters.
        """
        self._closed = True
        self._cancel_waiting()
        self._arrived.set()
        if self._runner is not None:
            await asyncio.wait([self._runner])
        await self._thread.close()
