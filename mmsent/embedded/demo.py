"""The demo: start everything, put posts in, watch, end everything."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mmsent.broker import OffsetReader, Publisher
from mmsent.embedded.figures import Counter, Figures, Summary, lag
from mmsent.embedded.ingest import Ingester, Room, Timed
from mmsent.embedded.pictures import PictureServer
from mmsent.embedded.processes import process_age_s
from mmsent.embedded.record import claimed, remove_record, write_record
from mmsent.embedded.stack import Stack, Steps, running_stack
from mmsent.errors import UnavailableError
from mmsent.settings import Settings, default_data_dir
from mmsent.topics import TrackedTopic

MAX_BYTES_AHEAD = 2 * 1024 * 1024  # the local broker forgets what exceeds some 5 MB a partition
COMMITTED_WITHIN_S = 30.0  # once the time is up
ALERTS_WITHIN_S = 15.0
LOOK_S = 0.1
COUNT_EVERY_S = 0.5
RATE_OVER_S = 5.0


@dataclass(frozen=True)
class DemoPlan:
    """What a demo should do.

    `messages` makes the stream, once there is a picture server; `topics` are tracked from its first post on.
    `ends_with_stream` says whether the demo ends when all of it is through; `page` is what of the dashboard
    to look at first, as its address' query.
    """

    messages: Callable[[PictureServer], Iterable[Timed]]
    topics: tuple[TrackedTopic, ...] = ()
    duration_s: float | None = None
    ends_with_stream: bool = True
    headless: bool = True
    page: str = ""


@dataclass(frozen=True)
class Talk:
    """How a demo speaks: `say` a line, `show` the newest figures, `steps` of its start, `open` a page."""

    say: Callable[[str], None]
    show: Callable[[Figures], None]
    steps: Steps
    open: Callable[[str], None]


async def run_demo(settings: Settings, plan: DemoPlan, talk: Talk) -> Summary | None:
    """Run a demo to its end: the stream's, the time's, or SIGINT's and SIGTERM's.

    A second signal does not wait for what the worker has in hand. None if it ended before it was ready.

    Raises:
        SetupError: something cannot be started.
        ProgramEndedError: the worker or the dashboard ended by itself.
    """
    settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    stopping = asyncio.Event()
    stacks: list[Stack] = []
    with _signals(stopping, stacks), claimed(settings.data_dir):
        async with running_stack(
            settings, headless=plan.headless, started=stacks.append, steps=talk.steps, topics=plan.topics
        ) as stack:
            if not await _first(stack.ready(), stack.guard(), stopping.wait()):
                return None
            run = _Run(stack, plan, talk)
            write_record(settings.data_dir, stack.record())
            _introduce(stack, plan, talk)
            try:
                return await run.to_the_end(stopping)
            finally:
                remove_record(settings.data_dir)


def _introduce(stack: Stack, plan: DemoPlan, talk: Talk) -> None:
    """What to do now; the dashboard's address comes last."""
    folder = stack.settings.data_dir
    talk.say(f"kafka:     {stack.settings.kafka_bootstrap_servers}, for posts and subscribers of your own")
    talk.say(f"alerts:    {_command()} alerts{_data_dir(folder)}")
    talk.say(f"database and logs: {folder}; Ctrl-C ends the demo")
    if stack.dashboard:
        talk.open(f"{stack.dashboard}/?{plan.page}" if plan.page else stack.dashboard)


def _command() -> str:
    """How to call `mmsent` in another terminal."""
    beside = Path(sys.executable).with_name("mmsent")
    found = shutil.which("mmsent")
    if found is None and beside.exists():
        return (
            shlex.quote(os.path.relpath(beside))
            if beside.is_relative_to(Path.cwd())
            else shlex.quote(str(beside))
        )
    return "mmsent"


def _data_dir(folder: Path) -> str:
    return "" if folder == default_data_dir() else f" --data-dir {shlex.quote(str(folder))}"


class _Run:
    """One stream going through a stack that is ready."""

    def __init__(self, stack: Stack, plan: DemoPlan, talk: Talk) -> None:
        self._stack = stack
        self._plan = plan
        self._talk = talk
        self._topic = stack.settings.topic("posts")
        self._dead = stack.settings.topic("posts.dead")
        self._start_up_s = process_age_s()
        self._clock = asyncio.get_running_loop().time
        self._began = self._moved = self._counted = self._clock()
        self._ends: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._recently: deque[tuple[float, int]] = deque([(self._began, 0)])

    async def to_the_end(self, stopping: asyncio.Event) -> Summary:
        settings = self._stack.settings
        counter = Counter(settings.resolved_database_url, datetime.now(UTC))
        try:
            async with Publisher(settings) as publisher, OffsetReader(settings) as offsets:
                self._offsets = offsets
                room = Room(
                    MAX_BYTES_AHEAD,
                    partial(offsets.end_offsets, self._topic),
                    partial(offsets.committed_offsets, self._topic),
                )
                ingester = Ingester(partial(publisher.send_all, self._topic), room=room)
                await _first(self._stream(ingester, counter), self._stack.guard(), stopping.wait())
                await self._stack.stop()
                await self._look()
                return await self._summary(counter)
        finally:
            counter.close()

    async def _stream(self, ingester: Ingester, counter: Counter) -> None:
        """Put posts in until the stream or the time ends, and see them through."""
        ingesting = asyncio.ensure_future(ingester.run(self._plan.messages(self._stack.pictures)))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._plan.duration_s):
                    await self._see_through(ingesting, counter)
                    if not self._plan.ends_with_stream:
                        self._talk.say("all posts are through; Ctrl-C ends the demo")
                        await asyncio.Event().wait()
            ingester.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(COMMITTED_WITHIN_S):
                    await self._see_through(ingesting, counter)
                    await self._alerts_out(counter)
        finally:
            ingesting.cancel()

    async def _see_through(self, ingesting: asyncio.Future[None], counter: Counter) -> None:
        """Show figures until the ingester has ended and all it sent is committed."""
        while True:
            ended = ingesting.done()
            if ended:
                ingesting.result()
            with suppress(UnavailableError):  # the next look may succeed, and the guard sees a dead worker
                await self._look()
                await self._count(counter)
                if ended and self._ends and not lag(self._ends, self._done):
                    return
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        before = sum(self._done.values())
        self._done = await self._offsets.committed_offsets(self._topic)
        self._ends = await self._offsets.end_offsets(self._topic)  # after it, so that no lag is negative
        if sum(self._done.values()) != before:
            self._moved = self._clock()
        self._stack.worker.measure()

    async def _count(self, counter: Counter) -> None:
        now = self._clock()
        if now - self._counted < COUNT_EVERY_S:
            return
        self._counted = now
        gained = await asyncio.to_thread(counter.gained)
        done = sum(self._done.values())
        self._recently.append((now, done))
        while len(self._recently) > 2 and self._recently[0][0] < now - RATE_OVER_S:
            self._recently.popleft()
        since, from_count = self._recently[0]
        self._talk.show(
            Figures(
                posts=sum(self._ends.values()),
                scored=gained.posts - gained.unscored,
                flagged=gained.flagged,
                dead=sum((await self._offsets.end_offsets(self._dead)).values()),
                lag=lag(self._ends, self._done),
                posts_per_s=(done - from_count) / (now - since),
            )
        )

    async def _alerts_out(self, counter: Counter) -> None:
        """Wait for the detector to say what it has found; it needs a few seconds for the last revision."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ALERTS_WITHIN_S):
                while not await asyncio.to_thread(counter.alerts_are_out):  # noqa: ASYNC110  # in the database
                    await asyncio.sleep(LOOK_S)
                return
        self._talk.say("the detector has alerts left to publish; they stay in the database")

    async def _summary(self, counter: Counter) -> Summary:
        scored, unscored, flagged = await asyncio.to_thread(counter.written)
        dead = sum((await self._offsets.end_offsets(self._dead)).values())
        behind = lag(self._ends, self._done)
        seconds = self._moved - self._began
        done = sum(self._done.values())
        return Summary(
            posts=sum(self._ends.values()),
            scored=scored,
            unscored=unscored,
            flagged=flagged,
            dead=dead,
            unchanged=max(0, done - scored - unscored - dead),
            lag=behind,
            seconds=seconds,
            posts_per_s=done / seconds if seconds > 0 else 0.0,
            start_up_s=self._start_up_s,
            peak_memory_mib=self._stack.worker.peak_memory_mib,
        )


async def _first(*work: Coroutine[Any, Any, object]) -> bool:
    """Whether the first of `work` was what ended first; the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done:
            task.result()
    return tasks[0] in done


@contextmanager
def _signals(stopping: asyncio.Event, stacks: list[Stack]) -> Iterator[None]:
    def on_signal() -> None:
        if stopping.is_set():
            for stack in stacks:
                stack.kill()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
