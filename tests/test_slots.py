import asyncio
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmsent.errors import ImageError
from mmsent.images.slots import Slots


async def test_nobody_waits_for_ever_even_while_things_move() -> None:
    slots = Slots(1, patience_s=0.4)

    async def occupy() -> None:
        async with slots.one():
            await asyncio.sleep(0.1)

    started = time.monotonic()
    results = await asyncio.gather(*(occupy() for _ in range(40)), return_exceptions=True)
    assert time.monotonic() - started < 3.5
    assert results[:3] == [None] * 3
    assert {str(result) for result in results if result} == {"timeout: no slot became free"}


async def test_nobody_waits_where_nothing_moves() -> None:
    slots = Slots(1, patience_s=0.2)
    async with slots.one():
        with pytest.raises(ImageError, match="timeout"):
            async with slots.one():
                pass
    async with slots.one():
        pass


@pytest.mark.parametrize("ticks", range(8))
async def test_a_slot_given_to_one_who_is_cancelled_goes_to_the_next(ticks: int) -> None:
    slots = Slots(1, patience_s=5)
    door = asyncio.Event()

    async def visit() -> None:
        async with slots.one():
            await door.wait()

    first, second, third, fourth = (asyncio.create_task(visit()) for _ in range(4))
    await asyncio.sleep(0.01)
    third.cancel()
    door.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({first, second, third, fourth}, timeout=2)
    assert third.cancelled()
    assert not first.exception()
    assert not fourth.exception()
    assert slots._free == 1


@given(st.lists(st.sampled_from(["enter", "leave", "cancel"]), max_size=60), st.integers(1, 3))
@example(["leave", "leave", "enter", "enter", "leave", "enter", "leave"], 1)
@settings(deadline=None, max_examples=100)
def test_slots_are_neither_lost_nor_doubled(steps: list[str], capacity: int) -> None:
    async def walk() -> None:
        slots = Slots(capacity, patience_s=100)
        doors: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        everyone: list[asyncio.Task[None]] = []
        inside = 0

        async def visit(door: asyncio.Event) -> None:
            nonlocal inside
            async with slots.one():
                inside += 1
                assert inside <= capacity
                try:
                    await door.wait()
                finally:
                    inside -= 1

        for number, step in enumerate(["enter"] * capacity + steps):
            if step == "enter":
                door = asyncio.Event()
                everyone.append(asyncio.create_task(visit(door)))
                doors.append((everyone[-1], door))
            elif doors:
                task, door = doors.pop(number % len(doors))
                task.cancel() if step == "cancel" else door.set()
            if number % 3:
                await asyncio.sleep(0)
        for _ in range(3 * len(steps) + 3):
            await asyncio.sleep(0)
        assert inside == min(capacity, sum(not task.done() for task, _ in doors))
        for _, door in doors:
            door.set()
        for ended in await asyncio.gather(*everyone, return_exceptions=True):
            assert ended is None or isinstance(ended, asyncio.CancelledError)
        assert slots._free == capacity

    asyncio.run(walk())
