"""How much of the throughput an outage of Redis leaves: turns with and without, over one backlog."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.stack import Stack

TURNS = 6
TURN_S = 8.0
BACKLOG = 15_000  # two workers take up to 800 a second
DRAINED_WITHIN_S = 300.0


async def measure(stack: Stack) -> dict[str, Any]:
    """Records taken in hand a second, in turns: Redis as always, frozen (it answers nothing), killed.

    As many are finished, for a worker has a bounded number in hand; commits come in leaps, behind pictures.
    """
    rates: dict[str, list[float]] = {"normal": [], "frozen": [], "killed": []}
    for _ in range(TURNS):
        rates["normal"].append(await _turn(stack, _nothing, _nothing))
        rates["frozen"].append(await _turn(stack, stack.redis.freeze, stack.redis.thaw))
        rates["killed"].append(await _turn(stack, stack.redis.kill, stack.redis.start))
    await stack.checker.until_committed(await stack.checker.ends(), DRAINED_WITHIN_S)
    means = {name: sum(each) / len(each) for name, each in rates.items()}
    return {
        "turns": TURNS,
        "turn_s": TURN_S,
        "posts_per_s": {name: round(mean, 1) for name, mean in means.items()},
        "each_turn": {name: [round(rate, 1) for rate in each] for name, each in rates.items()},
        "kept_frozen": round(means["frozen"] / means["normal"], 3),
        "kept_killed": round(means["killed"] / means["normal"], 3),
    }


async def _turn(stack: Stack, begin: Callable[[], object], end: Callable[[], object]) -> float:
    await _fill_up(stack)
    await asyncio.to_thread(begin)
    try:
        before, started = _taken(stack), time.monotonic()
        await asyncio.sleep(TURN_S)
        after, ended = _taken(stack), time.monotonic()
        assert sum((await stack.checker.ends()).values()) > after, "the backlog was too small"
    finally:
        await asyncio.to_thread(end)
    return (after - before) / (ended - started)


def _taken(stack: Stack) -> int:
    return stack.workers.journal()[0].total()


async def _fill_up(stack: Stack) -> None:
    ends, committed = await _sum(stack.checker.ends), await _sum(stack.checker.committed)
    missing = BACKLOG - (ends - committed)
    if missing > 0:
        await stack.load.send(stack.load.generator.take(missing))


async def _sum(ask: Callable[[], Awaitable[dict[int, int]]]) -> int:
    return sum((await ask()).values())


def _nothing() -> None:
    """All is well."""
