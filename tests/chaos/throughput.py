"""How much of the throughput an outage of Redis leaves: turns with and without, over one backlog."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from tests.chaos.stack import Stack

TURNS = 6
TURN_S = 8.0
BACKLOG = 15_000  # two workers take up to 800 a second
DRAINED_WITHIN_S = 300.0


async def measure(stack: Stack) -> dict[str, Any]:
    """Records taken in hand a second, in turns: Redis frozen (it answers nothing) or killed, and as always.

    An outage is compared with the turns before and after it, for a machine's pace changes; medians are told.
    As many are finished, for a worker has a bounded number in hand; commits come in leaps, behind pictures.
    """
    redis = stack.redis
    outages = {"frozen": (redis.freeze, redis.thaw), "killed": (redis.kill, redis.start)}
    rates: dict[str, list[float]] = {"normal": [], **{name: [] for name in outages}}
    kept: dict[str, list[float]] = {name: [] for name in outages}
    await _turn(stack, _nothing, _nothing)  # to warm up
    before = await _turn(stack, _nothing, _nothing)
    for _ in range(TURNS):
        for name, (begin, end) in outages.items():
            during = await _turn(stack, begin, end)
            after = await _turn(stack, _nothing, _nothing)
            kept[name].append(2 * during / (before + after))
            rates[name].append(during)
            rates["normal"].append(before := after)
    await stack.checker.until_committed(await stack.checker.ends(), DRAINED_WITHIN_S)
    return {
        "turns": TURNS,
        "turn_s": TURN_S,
        "posts_per_s": {name: round(median(each), 1) for name, each in rates.items()},
        "each_turn": {name: [round(rate, 1) for rate in each] for name, each in rates.items()},
        **{f"kept_{name}": round(median(each), 3) for name, each in kept.items()},
        **{f"kept_{name}_each_turn": [round(share, 3) for share in each] for name, each in kept.items()},
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
