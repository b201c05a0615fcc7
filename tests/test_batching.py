"""The batcher: budgets, fairness, back-pressure, and that no caller ever hangs."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsent.batching import BatchWindow, EngineThread, MicroBatcher, RequestSize, score_or_split
from mmsent.engine.base import Prediction, ScoringRequest
from mmsent.engine.stub import NOT_A_NUMBER, POISON, StubEngine
from mmsent.errors import EngineError

sizes = st.lists(st.builds(RequestSize, tokens=st.integers(0, 80), images=st.integers(0, 1)), max_size=60)


class RecordingEngine:
    """Doubles its numbers and remembers its batches; the thread can be held, and numbers made to raise."""

    def __init__(self, failures: dict[int, BaseException] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[threading.Thread] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.failures = failures or {}

    def size(self, request: int) -> RequestSize:
        return RequestSize(tokens=1, images=0)

    def score(self, requests: Sequence[int]) -> list[int]:
        self.batches.append(list(requests))
        self.threads.add(threading.current_thread())
        assert self.gate.wait(timeout=10)
        for request in requests:
            if request in self.failures:
                raise self.failures[request]
        return [2 * request for request in requests]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  it watches threads too
            await asyncio.sleep(0.001)


def batcher_for(
    engine: RecordingEngine, max_waiting: int = 100, max_tokens: int = 50
) -> MicroBatcher[int, int]:
    return MicroBatcher(engine, max_tokens=max_tokens, max_images=4, max_waiting=max_waiting)


def padded_tokens(batch: Sequence[RequestSize]) -> int:
    texts = [size.tokens for size in batch if size.tokens]
    return max(texts, default=0) * len(texts)


@given(sizes, st.integers(1, 200), st.integers(1, 5))
def test_window_keeps_to_its_budgets_loses_nothing_and_starves_nobody(
    waiting: list[RequestSize], max_tokens: int, max_images: int
) -> None:
    window = BatchWindow[int](max_tokens=max_tokens, max_images=max_images)
    for item, size in enumerate(waiting):
        window.add(item, size)
    left = list(range(len(waiting)))
    while left:
        batch = window.take()
        costs = [waiting[item] for item in batch]
        assert left[0] in batch
        assert len(batch) == 1 or padded_tokens(costs) <= max_tokens
        assert sum(size.images for size in costs) <= max_images
        left = [item for item in left if item not in batch]
        assert list(window) == left
    assert window.take() == []


@given(sizes.filter(bool), st.integers(1, 200))
def test_window_leaves_out_only_what_does_not_fit(waiting: list[RequestSize], max_tokens: int) -> None:
    window = BatchWindow[int](max_tokens=max_tokens, max_images=3)
    for item, size in enumerate(waiting):
        window.add(item, size)
    batch = [waiting[item] for item in window.take()]
    for item in window:
        more = [*batch, waiting[item]]
        assert padded_tokens(more) > max_tokens or sum(size.images for size in more) > 3


def test_window_prefers_the_lengths_nearest_to_the_oldest() -> None:
    window = BatchWindow[str](max_tokens=30, max_images=9)
    for name, tokens in [("oldest", 10), ("long", 60), ("near", 9), ("short", 2), ("same", 10)]:
        window.add(name, RequestSize(tokens, 0))
    assert window.take() == ["oldest", "same", "near"]
    assert window.take() == ["long"]


def test_window_lets_pictures_without_text_ride_for_free() -> None:
    window = BatchWindow[str](max_tokens=20, max_images=2)
    for name, size in [("text", RequestSize(20, 0)), ("a", RequestSize(0, 1)), ("b", RequestSize(0, 1))]:
        window.add(name, size)
    assert window.take() == ["text", "a", "b"]


@given(st.lists(st.sampled_from([0, 1, 7]), max_size=40))
def test_splitting_leaves_only_the_culprits_with_an_error(requests: list[int]) -> None:
    outcomes = score_or_split(RecordingEngine({7: ValueError("seven")}), requests)
    assert len(outcomes) == len(requests)
    for request, outcome in zip(requests, outcomes, strict=True):
        assert isinstance(outcome, EngineError) if request == 7 else outcome == 2 * request


@pytest.mark.parametrize(
    "error", [ValueError("x"), MemoryError(), SystemExit(3), KeyboardInterrupt(), StopIteration()]
)
def test_every_exception_of_the_engine_becomes_an_engine_error(error: BaseException) -> None:
    good, bad = score_or_split(RecordingEngine({1: error}), [0, 1])
    assert good == 0
    assert isinstance(bad, EngineError)
    assert bad.__cause__ is error
    assert type(error).__name__ in str(bad)


def test_results_that_are_too_few_are_an_error() -> None:
    class Forgetful(RecordingEngine):
        def score(self, requests: Sequence[int]) -> list[int]:
            return [2 * request for request in requests if request != 3]

    outcomes = score_or_split(Forgetful(), [1, 2, 3, 4])
    assert [outcome for outcome in outcomes if not isinstance(outcome, EngineError)] == [2, 4, 8]
    assert isinstance(outcomes[2], EngineError)


async def test_an_idle_engine_takes_a_lone_post_at_once_and_a_busy_one_finds_a_batch() -> None:
    engine = RecordingEngine()
    batcher = batcher_for(engine)
    batcher.start()
    engine.gate.clear()
    first = asyncio.create_task(batcher.score(1))
    await until(lambda: engine.batches == [[1]])
    rest = [asyncio.create_task(batcher.score(number)) for number in range(2, 12)]
    await until(lambda: batcher.waiting == 10)
    engine.gate.set()
    assert await asyncio.gather(first, *rest) == [2 * number for number in range(1, 12)]
    assert engine.batches == [[1], list(range(2, 12))]
    assert len(engine.threads) == 1
    stats = batcher.stats
    assert (stats.batches, stats.posts, stats.failed, stats.largest_batch) == (2, 11, 0, 10)
    assert stats.busy_s > 0
    assert stats.waited_s > 0
    await batcher.close()


async def test_posts_beyond_the_window_wait_in_order_and_none_is_lost() -> None:
    engine = RecordingEngine()
    batcher = batcher_for(engine, max_waiting=3)
    batcher.start()
    engine.gate.clear()
    first = asyncio.create_task(batcher.score(0))
    await until(lambda: len(engine.batches) == 1)
    rest = [asyncio.create_task(batcher.score(number)) for number in range(1, 9)]
    await until(lambda: batcher.waiting == 8)
    engine.gate.set()
    await asyncio.gather(first, *rest)
    assert engine.batches == [[0], [1, 2, 3], [4, 5, 6], [7, 8]]
    await batcher.close()


async def test_a_poisoned_post_fails_alone_and_the_loop_lives_on() -> None:
    engine = StubEngine()
    batcher = MicroBatcher(engine, max_tokens=4096, max_images=16, max_waiting=512)
    batcher.start()
    texts = ["good", POISON, "bad", f"{NOT_A_NUMBER} good", "love", "hate"]
    outcomes = await asyncio.gather(
        *(batcher.score(ScoringRequest(text, None)) for text in texts), return_exceptions=True
    )
    labels = [
        outcome.text.label if isinstance(outcome, Prediction) and outcome.text else type(outcome)
        for outcome in outcomes
    ]
    assert labels == ["positive", EngineError, "negative", EngineError, "positive", "negative"]
    assert batcher.stats.failed == 2
    assert (await batcher.score(ScoringRequest("good", None))).text is not None
    await batcher.close()


async def test_failures_in_a_row_count_until_something_succeeds() -> None:
    batcher = batcher_for(RecordingEngine({7: ValueError()}))
    batcher.start()
    for expected in (1, 2):
        with pytest.raises(EngineError):
            await batcher.score(7)
        assert batcher.stats.failed_in_a_row == expected
    await batcher.score(1)
    assert batcher.stats.failed_in_a_row == 0
    await batcher.close()


async def test_a_request_whose_size_cannot_be_told_fails_alone() -> None:
    class Unmeasurable(RecordingEngine):
        def size(self, request: int) -> RequestSize:
            if request == 7:
                raise ValueError("how long?")
            return RequestSize(1, 0)

    batcher = batcher_for(Unmeasurable())
    batcher.start()
    with pytest.raises(EngineError, match="how long"):
        await batcher.score(7)
    assert await batcher.score(1) == 2
    await batcher.close()


async def test_cancelled_posts_leave_the_queue_and_are_never_scored() -> None:
    engine = RecordingEngine()
    batcher = batcher_for(engine, max_waiting=2)
    batcher.start()
    engine.gate.clear()
    running = asyncio.create_task(batcher.score(0))
    await until(lambda: len(engine.batches) == 1)
    tasks = [asyncio.create_task(batcher.score(number)) for number in range(1, 6)]
    await until(lambda: batcher.waiting == 5)
    for task in (running, tasks[0], tasks[4]):
        task.cancel()
    await until(lambda: batcher.waiting == 3)
    engine.gate.set()
    assert await asyncio.gather(*tasks[1:4]) == [4, 6, 8]
    assert engine.batches == [[0], [2, 3], [4]]
    assert running.cancelled()
    await batcher.close()


async def test_close_finishes_the_batch_in_hand_and_cancels_what_waits() -> None:
    engine = RecordingEngine()
    batcher = batcher_for(engine, max_waiting=2)
    batcher.start()
    engine.gate.clear()
    running = asyncio.create_task(batcher.score(1))
    await until(lambda: len(engine.batches) == 1)
    waiting = [asyncio.create_task(batcher.score(number)) for number in (2, 3, 4)]
    await until(lambda: batcher.waiting == 3)
    closing = asyncio.create_task(batcher.close())
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert not closing.done()
    engine.gate.set()
    await closing
    assert await running == 2
    assert engine.batches == [[1]]
    assert not any(thread.is_alive() for thread in engine.threads)
    await batcher.close()
    with pytest.raises(RuntimeError, match="not running"):
        await batcher.score(5)


async def test_score_before_start_says_so() -> None:
    batcher = batcher_for(RecordingEngine())
    with pytest.raises(RuntimeError, match="not running"):
        await batcher.score(1)
    await batcher.close()


async def test_nobody_hangs_when_the_batching_loop_itself_is_killed() -> None:
    engine = RecordingEngine()
    batcher = batcher_for(engine)
    batcher.start()
    engine.gate.clear()
    tasks = [asyncio.create_task(batcher.score(1))]
    await until(lambda: len(engine.batches) == 1)
    tasks.append(asyncio.create_task(batcher.score(2)))
    await until(lambda: batcher.waiting == 1)
    runner = next(task for task in asyncio.all_tasks() if task.get_name() == "micro-batcher")
    runner.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    engine.gate.set()
    await batcher.close()


async def test_many_callers_all_get_their_own_answer() -> None:
    engine = RecordingEngine({7: ValueError()})
    batcher = batcher_for(engine, max_waiting=16, max_tokens=8)
    batcher.start()
    outcomes = await asyncio.gather(
        *(batcher.score(number % 50) for number in range(1000)), return_exceptions=True
    )
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, EngineError) if number % 50 == 7 else outcome == 2 * (number % 50)
    assert batcher.stats.posts == 1000
    assert batcher.waiting == 0
    await batcher.close()


async def test_the_engine_thread_measures_its_work() -> None:
    seconds = iter([10.0, 12.5])
    thread = EngineThread(RecordingEngine(), clock=lambda: next(seconds))
    assert await thread.run([1, 2]) == [2, 4]
    assert thread.stats.busy_s == 2.5
    await thread.close()
